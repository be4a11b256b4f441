"""Several files under one name, as scenes name them. Pure.

* ``wood.<UDIM>.png`` and ``wood.<UVTILE>.png`` are tiles: 1001..., and u1_v1...
* ``smoke_*.bphys`` is a pattern already
* ``smoke_0001.vdb`` is a frame: its last digits stand for any number
"""

import re

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
    for tile, expression in _TILES.items():
        if tile in pattern:
            before, _, after = pattern.partition(tile)
            return _is_between(name, before, expression, after)
    if "*" in pattern:
        before, after = pattern.partition("*")[0], pattern.rpartition("*")[2]
        return _is_between(name, before, _ANYTHING, after)
    stem, dot, suffix = pattern.rpartition(".") if "." in pattern else (pattern, "", "")
    numbers = list(_NUMBER.finditer(stem))
    if not numbers:
        return False
    before, after = stem[: numbers[-1].start()], stem[numbers[-1].end() :] + dot + suffix
    return _is_between(name, before, _NUMBER, after)


def _is_between(name: str, before: str, between: re.Pattern[str], after: str) -> bool:
    if len(name) < len(before) + len(after):
        return False
    if not (name.startswith(before) and name.endswith(after)):
        return False
    return between.fullmatch(name, len(before), len(name) - len(after)) is not None
