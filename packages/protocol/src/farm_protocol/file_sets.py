"""Several files under one name, as scenes name them. Pure.

* ``wood.<UDIM>.png`` and ``wood.<UVTILE>.png`` are tiles: 1001..., and u1_v1...
* ``smoke_*.bphys`` is a pattern already
* ``smoke_0001.vdb`` is a frame: its last digits stand for any number
"""

import re
from bisect import bisect_left
from collections.abc import Sequence

_TILES = {
    # Also as they are when case does not count.
    "<UDIM>": re.compile(r"\d{4}"),
    "<udim>": re.compile(r"\d{4}"),
    "<UVTILE>": re.compile(r"u\d+_v\d+"),
    "<uvtile>": re.compile(r"u\d+_v\d+"),
}
_NUMBER = re.compile(r"\d+")
_ANYTHING = re.compile(r".*", re.DOTALL)


def is_one_of(name: str, pattern: str) -> bool:
    """Return whether a file's name is one of those that another one stands for.

    Linear in both: names come from strangers.
    """
    parts = _parts(pattern)
    return parts is not None and _is_between(name, *parts)


def beginning(pattern: str) -> str | None:
    """Return how all names begin that a name stands for; None if it stands for itself alone."""
    parts = _parts(pattern)
    return parts[0] if parts else None


def first_of(names: Sequence[str], pattern: str) -> str | None:
    """Return the first of the names that a pattern stands for, or None.

    Parameters:
        names: in their order, so that only those are looked at that begin as the pattern does.
    """
    parts = _parts(pattern)
    if parts is None:
        return None
    before = parts[0]
    for at in range(bisect_left(names, before), len(names)):
        if not names[at].startswith(before):
            return None
        if _is_between(names[at], *parts):
            return names[at]
    return None


def _parts(pattern: str) -> tuple[str, re.Pattern[str], str] | None:
    """Return how the names begin, what stands in their middle, and how they end; None: no set."""
    for tile, expression in _TILES.items():
        if tile in pattern:
            before, _, after = pattern.partition(tile)
            return before, expression, after
    if "*" in pattern:
        return pattern.partition("*")[0], _ANYTHING, pattern.rpartition("*")[2]
    stem, dot, suffix = pattern.rpartition(".") if "." in pattern else (pattern, "", "")
    numbers = list(_NUMBER.finditer(stem))
    if not numbers:
        return None
    return stem[: numbers[-1].start()], _NUMBER, stem[numbers[-1].end() :] + dot + suffix


def _is_between(name: str, before: str, between: re.Pattern[str], after: str) -> bool:
    if len(name) < len(before) + len(after):
        return False
    if not (name.startswith(before) and name.endswith(after)):
        return False
    return between.fullmatch(name, len(before), len(name) - len(after)) is not None
