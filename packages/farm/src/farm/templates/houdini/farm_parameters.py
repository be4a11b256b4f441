"""What some documented parameters mean, for hython and for husk alike: no Houdini in here.

Python 3.7 or newer.
"""

import fnmatch
import os
import re
from typing import Any

FRAME = re.compile(r"\$\{?F+\d*\}?|#+|%0?\d*d|<F+\d*>")
"""A frame number in the name of a file, as Houdini, artists, C and husk write it."""

_KEPT = re.compile(r"HIP\w*|HFS|HH|HOME|TMPDIR|PATH|F+|FPS|LD_\w*|PYTHON\w*")
"""Variables that Houdini or the farm sets; a job's values would break this machine's."""


def is_wanted(name: str, patterns: "list[str]") -> bool:
    """Whether ``output_upload`` asks for a file; folders do not count, and [] asks for all.

    Empty patterns, as of an empty line in a form, ask for nothing.
    """
    base = os.path.basename(name)
    asked = [pattern for pattern in patterns if pattern.strip()]
    found = [FRAME.sub("*", pattern.rsplit("/", 1)[-1]) for pattern in asked]
    return not found or any(fnmatch.fnmatchcase(base, pattern) for pattern in found)


def environment_of(
    variables: "dict[str, Any]", project: str, gpu: bool
) -> "tuple[dict[str, str], list[str]]":
    """Return the environment that ``project_env`` and ``gpu`` make, and what was left out of it.

    Parameters:
        project: folder of the files; remote paths among the values become paths below it.

    Raises:
        ValueError: with a sentence, when a name is none of a variable.
    """
    given, kept = {"HOUDINI_OCL_DEVICETYPE": "GPU" if gpu else "CPU"}, []
    for name, value in variables.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(f"'{name}' in project_env is not a name of an environment variable.")
        if _KEPT.fullmatch(name):
            kept.append(name)
        else:
            given[name] = str(local(value, project))
    return given, kept


def local(value: Any, project: str) -> Any:
    """Return the path on this machine if ``value`` is a remote path of the project."""
    if isinstance(value, str) and value.startswith("/"):
        root = value.lstrip("/").split("/", 1)[0]
        if root and os.path.isdir(os.path.join(project, root)):
            return os.path.join(project, value.lstrip("/"))
    return value
