"""Several files under one name, as scenes name them. Pure.

* ``wood.<UDIM>.png`` and ``wood.<UVTILE>.png`` are tiles: 1001..., and u1_v1...
* ``smoke_*.bphys`` is a pattern already
* ``smoke_0001.vdb`` is a frame: its last digits stand for any number
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

_TILES = {
    # Case-insensitively, too.
    "<UDIM>": re.compile(r"\d{4}"),
    "<udim>": re.compile(r"\d{4}"),
    "<UVTILE>": re.compile(r"u\d+_v\d+"),
    "<uvtile>": re.compile(r"u\d+_v\d+"),
}
_NUMBER = re.compile(r"\d+")
_ANYTHING = re.compile(r".*", re.DOTALL)


class _Pattern(NamedTuple):
    before: str
    between: re.Pattern[str]
    after: str

    def fits(self, name: str) -> bool:
        if len(name) < len(self.before) + len(self.after):
            return False
        if not (name.startswith(self.before) and name.endswith(self.after)):
            return False
        end = len(name) - len(self.after)
        return self.between.fullmatch(name, len(self.before), end) is not None


def is_one_of(name: str, pattern: str) -> bool:
    """Return whether a file's name is one of those that another name stands for.

    Linear in both: names are untrusted.
    """
    parsed = _pattern(pattern)
    return parsed is not None and parsed.fits(name)


def beginning(pattern: str) -> str | None:
    """Return the common prefix of all names that a name stands for; None if it stands only for
    itself.
    """
    parsed = _pattern(pattern)
    return parsed.before if parsed else None


class Names:
    """The names in a folder, indexed to find quickly those that a pattern stands for.

    A scene may name thousands of patterns, and a folder may hold a hundred thousand files.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Index the names; the expensive indexes only when they are needed."""
        self._names = sorted(names)

    def of(self, pattern: str) -> Iterator[str]:
        """Yield the names that a pattern stands for, as `is_one_of` says, in any order.

        Frames are looked up. For other patterns, the names with the same beginning or with the same
        ending are compared, whichever are fewer.
        """
        parsed = _pattern(pattern)
        if parsed is None:
            return iter(())
        if parsed.between is _NUMBER:
            return iter(self._frames.get((parsed.before, parsed.after), ()))
        return filter(parsed.fits, self._like(parsed))

    def _like(self, pattern: _Pattern) -> Iterable[str]:
        begin = _those(self._names, pattern.before)
        end = _those(self._backwards, pattern.after[::-1])
        if len(begin) <= len(end):
            return (self._names[each] for each in begin)
        return (self._backwards[each][::-1] for each in end)

    @cached_property
    def _backwards(self) -> list[str]:
        return sorted(name[::-1] for name in self._names)

    @cached_property
    def _frames(self) -> dict[tuple[str, str], list[str]]:
        # A frame's number is where the pattern has its own: no other digits can be next to it, nor
        # between it and the last dot.
        found = defaultdict(list)
        for name in self._names:
            if parsed := _frame(name):
                found[parsed.before, parsed.after].append(name)
        return dict(found)


def _those(names: Sequence[str], begin: str) -> range:
    """Return the range of sorted names that have this prefix."""
    first = bisect_left(names, begin)
    return range(first, bisect_right(names, begin, first, key=lambda name: name[: len(begin)]))


def _pattern(text: str) -> _Pattern | None:
    for tile, expression in _TILES.items():
        if tile in text:
            before, _, after = text.partition(tile)
            return _Pattern(before, expression, after)
    if "*" in text:
        return _Pattern(text.partition("*")[0], _ANYTHING, text.rpartition("*")[2])
    return _frame(text)


def _frame(text: str) -> _Pattern | None:
    end = text.rindex(".") if "." in text else len(text)
    numbers = list(_NUMBER.finditer(text, 0, end))
    if not numbers:
        return None
    number = numbers[-1]
    return _Pattern(text[: number.start()], _NUMBER, text[number.end() :])
