"""Regular expressions that users give, matched in linear time.

Python's own engine backtracks: ``([\\w]+/?)+\\.exr`` against a path of thirty letters takes longer
than anybody waits, and no thread or signal gets a turn meanwhile. Here Python's parser still says
what a pattern means, and its tables which characters are letters, digits and spaces; the matching
is done by RE2, whose time and memory are bounded by the lengths of pattern and text.

RE2 cannot do everything. Constructs that it lacks are refused with a message that names them: see
`Construct`. The client finds the same constructs without RE2 and says the same
(``gridmarkets._patterns``).
"""

import re
import sys
from array import array
from enum import StrEnum
from functools import cache
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MOST_PATTERN_CHARACTERS = 16384
MOST_REPEATS = 1000
"""Limit of one ``{m,n}``, which is also RE2's."""
MOST_PROGRAM_BYTES = 1 << 20
"""Limit of a compiled pattern. Matching one of this size against a path of 4096 bytes takes a
second.
"""


class Construct(StrEnum):
    """A construct that patterns cannot use, as the message calls it."""

    LOOK_AHEAD = "a look-ahead, (?=...) or (?!...)"
    LOOK_BEHIND = "a look-behind, (?<=...) or (?<!...)"
    BACK_REFERENCE = "a back-reference, such as \\1 or (?P=name)"
    CONDITION = "a condition, (?(...)...)"
    ATOMIC_GROUP = "an atomic group, (?>...)"
    POSSESSIVE = "a possessive repeat, such as *+ or ++"
    WORD_BOUNDARY = "a word boundary, \\b or \\B"


HINT = "Write it with alternatives and sets of characters, such as (png|exr) and [^/]."


class PatternError(ValueError):
    """A pattern that cannot be used. ``str()`` is a message that says why."""


class Pattern:
    """A compiled pattern; safe to share between threads.

    Parameters:
        text: a regular expression in the syntax of Python's `re`.
        flags: of `re`.

    Raises:
        PatternError: it is not a regular expression, is too large, or uses a `Construct`.
    """

    def __init__(self, text: str, flags: int = 0) -> None:
        if len(text) > MOST_PATTERN_CHARACTERS:
            raise PatternError(
                f"The pattern is longer than {MOST_PATTERN_CHARACTERS} characters. Shorten it."
            )
        # A compiled module, needed only by processes that match patterns.
        import re2

        options = re2.Options()
        options.max_mem = MOST_PROGRAM_BYTES
        options.never_capture = True
        options.log_errors = False
        try:
            self._regexp = re2.compile(_translated(text, flags), options)
        except (re.error, OverflowError, RecursionError) as error:
            raise PatternError(f"The pattern is not a regular expression: {error}.") from error
        except re2.error as error:
            raise PatternError("The pattern is too large to be matched. Shorten it.") from error

    @property
    def size(self) -> int:
        """Instructions of the compiled pattern: its memory grows with them."""
        return int(self._regexp.programsize)

    def match(self, text: str) -> bool:
        """Return whether the pattern matches at the beginning of ``text``, as `re.match`.

        The same as `re.match` for texts that do not end with a newline, as no remote path does:
        there a ``$`` also consumes that newline.
        """
        # As bytes: for a string, re2 would build a table of positions for spans that nobody asks
        # for.
        return self._regexp.match(text.encode("utf-8", "surrogatepass")) is not None


def _translated(text: str, flags: int) -> str:
    """Translate a pattern of Python's into RE2's syntax."""
    parsed = parser.parse(text, flags)
    return _sequence(parsed, parsed.state.flags)


def _refused(construct: str) -> PatternError:
    return PatternError(f"The pattern uses {construct}, which is not supported. {HINT}")


_REFUSED = {
    op.GROUPREF: Construct.BACK_REFERENCE,
    op.GROUPREF_EXISTS: Construct.CONDITION,
    op.ATOMIC_GROUP: Construct.ATOMIC_GROUP,
    op.POSSESSIVE_REPEAT: Construct.POSSESSIVE,
    op.FAILURE: Construct.LOOK_AHEAD,  # (?!) is parsed as this.
}


def _sequence(nodes: Any, flags: int) -> str:
    return "".join(_node(code, argument, flags) for code, argument in nodes)


def _node(code: Any, argument: Any, flags: int) -> str:
    """Translate one node of Python's syntax tree into RE2's syntax."""
    if code in (op.LITERAL, op.NOT_LITERAL, op.IN):
        return _set(code, argument, flags)
    if code is op.ANY:
        return "(?s:.)" if flags & re.DOTALL else "[^\\n]"
    if code is op.AT:
        return _position(argument, flags)
    if code is op.BRANCH:
        return f"(?:{'|'.join(_sequence(branch, flags) for branch in argument[1])})"
    if code is op.SUBPATTERN:
        _, added, removed, nodes = argument
        kinds = re.ASCII | re.UNICODE | re.LOCALE
        inner = (flags & ~kinds if added & kinds else flags) | added
        return f"(?:{_sequence(nodes, inner & ~removed)})"
    if code in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, nodes = argument
        return _repeat(least, most, nodes, flags)
    if code in (op.ASSERT, op.ASSERT_NOT):
        raise _refused(Construct.LOOK_AHEAD if argument[0] > 0 else Construct.LOOK_BEHIND)
    raise _refused(_REFUSED.get(code, "something new in Python"))


def _repeat(least: int, most: int, nodes: Any, flags: int) -> str:
    # Greediness makes no difference to whether there is a match.
    if least > MOST_REPEATS or (most is not op.MAXREPEAT and most > MOST_REPEATS):
        raise PatternError(
            f"The pattern repeats something more than {MOST_REPEATS} times. Use * or + instead."
        )
    inner = f"(?:{_sequence(nodes, flags)})"
    if most is op.MAXREPEAT:
        return inner + {0: "*", 1: "+"}.get(least, f"{{{least},}}")
    return f"{inner}{{{least},{most}}}"


def _position(where: Any, flags: int) -> str:
    if where in (op.AT_BOUNDARY, op.AT_NON_BOUNDARY):
        # RE2 knows only ASCII word boundaries.
        if not flags & re.ASCII:
            raise _refused(Construct.WORD_BOUNDARY)
        return "\\b" if where is op.AT_BOUNDARY else "\\B"
    if flags & re.MULTILINE and where in (op.AT_BEGINNING, op.AT_END):
        return "(?m:^)" if where is op.AT_BEGINNING else "(?m:$)"
    if where not in _POSITIONS:
        raise _refused("something new in Python")
    return _POSITIONS[where]


_POSITIONS = {
    op.AT_BEGINNING: "\\A",
    op.AT_BEGINNING_STRING: "\\A",
    op.AT_END: "(?:\\n?\\z)",  # In Python it also matches before a newline at the end.
    op.AT_END_STRING: "\\z",
}


def _set(code: Any, argument: Any, flags: int) -> str:
    """Return a pattern for one character."""
    items = argument if code is op.IN else [(op.LITERAL, argument)]
    negated = code is op.NOT_LITERAL or items[0][0] is op.NEGATE
    ranges = [item for item in items if item[0] in (op.LITERAL, op.RANGE)]
    content = "".join(_range(*_bounds(*item)) for item in ranges)
    if flags & re.IGNORECASE and content:
        # Python itself finds the characters that are equal but for case. A set, so it cannot
        # backtrack.
        same = re.compile(f"[{_python_ranges(ranges)}]", flags & (re.ASCII | re.IGNORECASE))
        content += "".join(_range(ord(each), ord(each)) for each in same.findall(_cased()))
    content += "".join(
        _category(category, bool(flags & re.ASCII))
        for kind, category in items
        if kind is op.CATEGORY
    )
    return f"[{'^' if negated else ''}{content}]"


def _python_ranges(ranges: Any) -> str:
    """Return the inside of a set in Python's syntax."""
    return "".join("\\U{:08x}-\\U{:08x}".format(*_bounds(*item)) for item in ranges)


def _bounds(code: Any, argument: Any) -> tuple[int, int]:
    return argument if code is op.RANGE else (argument, argument)


def _range(first: int, last: int) -> str:
    return f"\\x{{{first:X}}}-\\x{{{last:X}}}" if first != last else f"\\x{{{first:X}}}"


_CLASSES = {
    op.CATEGORY_WORD: r"\w+",
    op.CATEGORY_NOT_WORD: r"\W+",
    op.CATEGORY_DIGIT: r"\d+",
    op.CATEGORY_NOT_DIGIT: r"\D+",
    op.CATEGORY_SPACE: r"\s+",
    op.CATEGORY_NOT_SPACE: r"\S+",
}


@cache
def _category(category: Any, is_ascii: bool) -> str:
    r"""Return Python's characters of ``\w`` and the like: ranges for the inside of a set."""
    found = re.finditer(_CLASSES[category], _all_characters(), re.ASCII if is_ascii else 0)
    return "".join(_range(ord(each[0][0]), ord(each[0][-1])) for each in found)


def _all_characters() -> str:
    numbers = array("I", range(0x110000))  # Ten times as fast as joining them one by one.
    return numbers.tobytes().decode(f"utf-32-{sys.byteorder[0]}e", "surrogatepass")


@cache
def _cased() -> str:
    """Return all characters that exist in more than one case."""
    characters = map(chr, [*range(0xD800), *range(0xE000, 0x20000)])
    return "".join(each for each in characters if not each == each.lower() == each.upper())
