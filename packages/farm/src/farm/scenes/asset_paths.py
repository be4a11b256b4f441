"""Where a path in a .blend leads among the files of a project. Pure: no disk is asked.

``//`` is the folder of the .blend itself. Every other path belongs to the artist's machine:
``/home/...``, ``C:\\...``, ``\\\\server\\...``, and a bare ``textures/wood.png``, which Blender
looks for in the folder in which it happened to be started. None of them can be on a farm.

Several files under one name are looked for by pattern, and one of them is enough: which frames or
tiles are needed is only known when they are rendered.

* ``wood.<UDIM>.png`` and ``wood.<UVTILE>.png`` are tiles: 1001..., and u1_v1...
* ``smoke_*.bphys`` is a pattern already
* ``smoke_0001.vdb`` is a frame: its last digits stand for any number
* anything else may be a folder, with any file below it
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

_TILES = {
    # Also as they are after `_folded`.
    "<UDIM>": re.compile(r"\d{4}"),
    "<udim>": re.compile(r"\d{4}"),
    "<UVTILE>": re.compile(r"u\d+_v\d+"),
    "<uvtile>": re.compile(r"u\d+_v\d+"),
}
_NUMBER = re.compile(r"\d+")
_ANYTHING = re.compile(r".*", re.DOTALL)


def expected_path(path: str, blend: str) -> str | None:
    """Return the remote path that a path in a .blend means; None when it is outside the project.

    Parameters:
        path: as the .blend says it.
        blend: remote path of that .blend, without a leading slash.
    """
    if not path.startswith("//"):
        return None
    parts = blend.split("/")[:-1]
    for part in path[2:].replace("\\", "/").split("/"):
        if part == "..":
            if len(parts) <= 1:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


class Manifest:
    """The remote paths of a project, to be looked up as Blender would look for files."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Index ``paths``: remote, without a leading slash."""
        self._paths = set(paths)
        self._folders: set[str] = set()
        self._names: dict[str, list[str]] = defaultdict(list)
        # By folded path: a file, a file somewhere below a folder, the files right in a folder.
        self._alike: dict[str, str] = {}
        self._alike_below: dict[str, str] = {}
        self._alike_in: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self._paths):
            folder, _, name = path.rpartition("/")
            self._names[folder].append(name)
            self._alike.setdefault(_folded(path), path)
            self._alike_in[_folded(folder)].append(path)
            while folder and folder not in self._folders:
                self._folders.add(folder)
                self._alike_below.setdefault(_folded(folder), path)
                folder = folder.rpartition("/")[0]

    def has(self, path: str, is_sequence: bool) -> bool:
        """Return whether a file of this name is there, or one file of a sequence."""
        if path in self._paths or not is_sequence:
            return path in self._paths
        folder, _, name = path.rpartition("/")
        inside = self._names.get(folder, ())
        return path in self._folders or any(_is_one_of(name, each) for each in inside)

    def similar(self, path: str, is_sequence: bool) -> str | None:
        """Return a file whose path differs only in upper and lower case, or in how its accents are
        encoded. None when there is none. Asked of a path that the manifest does not have.
        """
        wanted = _folded(path)
        found = self._alike.get(wanted)
        if found or not is_sequence:
            return found
        folder, _, name = wanted.rpartition("/")
        for each in self._alike_in.get(folder, ()):
            if _is_one_of(name, _folded(each).rpartition("/")[2]):
                return each
        return self._alike_below.get(wanted)


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _is_one_of(sequence: str, name: str) -> bool:
    """Whether a file name is one of a sequence's. Linear in both: names come from strangers."""
    for tile, pattern in _TILES.items():
        if tile in sequence:
            before, _, after = sequence.partition(tile)
            return _is_between(name, before, pattern, after)
    if "*" in sequence:
        before, after = sequence.partition("*")[0], sequence.rpartition("*")[2]
        return _is_between(name, before, _ANYTHING, after)
    stem, dot, suffix = sequence.rpartition(".") if "." in sequence else (sequence, "", "")
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
