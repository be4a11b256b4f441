"""Variables and backtick expressions in texts, as Houdini expands them. [D]"""

import re
from collections.abc import Callable, Mapping

_TOKEN = re.compile(r"\$\{(\w+)\}|\$(\w+)|`([^`]*)`")
_FRAME = re.compile(r"F(\d*)\Z")


def expand(
    text: str, frame: float, variables: "Mapping[str, str]", run: "Callable[[str], str]"
) -> str:
    """Expand a text.

    Parameters:
        variables: name -> value, without the frame's own; unknown names stay as they are.
        run: evaluates what stands between backticks.
    """

    def replace(match: "re.Match[str]") -> str:
        if match.group(3) is not None:
            return run(match.group(3))
        name = match.group(1) or match.group(2)
        number = _FRAME.match(name)
        if number:
            # A sign counts as one of the digits, as in C. Our choice for negative frames.
            return f"{int(frame):0{int(number.group(1) or 1)}d}"
        if name == "FF":
            return f"{frame:g}"
        return variables.get(name, match.group(0))

    return _TOKEN.sub(replace, text)
