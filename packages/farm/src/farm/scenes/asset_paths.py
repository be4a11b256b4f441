"""Where a path in a .blend leads among the files of a project. Pure: no disk is asked.

``//`` is the folder of the .blend itself. Every other path belongs to the artist's machine:
``/home/...``, ``C:\\...``, ``\\\\server\\...``, and a bare ``textures/wood.png``, which Blender
looks for in the folder in which it happened to be started. None of them can be on a farm.

Of several files under one name (`farm_protocol.file_sets`) one is enough: which frames or tiles are
needed is only known when they are rendered. Where such a name is none of a pattern's, it may be a
folder, with any file below it.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum, auto

from farm_protocol.file_sets import first_of

_NUMBERS = re.compile(r"\d+|<UDIM>|u\d+_v\d+|<UVTILE>")


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
        self._alike_in: dict[str, dict[str, str]] = defaultdict(dict)
        for path in sorted(self._paths):
            folder, _, name = path.rpartition("/")
            self._names[folder].append(name)
            self._alike.setdefault(_folded(path), path)
            self._alike_in[_folded(folder)].setdefault(_folded(name), path)
            while folder and folder not in self._folders:
                self._folders.add(folder)
                self._alike_below.setdefault(_folded(folder), path)
                folder = folder.rpartition("/")[0]
        for names in self._names.values():
            names.sort()
        self._alike_names = {folder: sorted(names) for folder, names in self._alike_in.items()}

    def has(self, path: str, is_sequence: bool) -> bool:
        """Return whether a file of this name is there, or one file of a sequence."""
        if path in self._paths or not is_sequence:
            return path in self._paths
        folder, _, name = path.rpartition("/")
        if path in self._folders:
            return True
        return first_of(self._names.get(folder, ()), name) is not None

    def similar(self, path: str, is_sequence: bool) -> str | None:
        """Return a file whose path differs only in upper and lower case, or in how its accents are
        encoded. None when there is none. Asked of a path that the manifest does not have.
        """
        wanted = _folded(path)
        found = self._alike.get(wanted)
        if found or not is_sequence:
            return found
        folder, _, name = wanted.rpartition("/")
        alike = first_of(self._alike_names.get(folder, ()), name)
        if alike is not None:
            return self._alike_in[folder][alike]
        return self._alike_below.get(wanted)


class Difference(Enum):
    """How two names differ that are one to some systems."""

    CASE = auto()
    ENCODING = auto()
    BOTH = auto()


def how_they_differ(path: str, similar: str) -> Difference:
    """Return how a path differs from what `Manifest.similar` has found for it."""
    # What was found may lie below the path. Of a sequence the numbers differ as well.
    found = "/".join(similar.split("/")[: path.count("/") + 1])
    one, other = (_NUMBERS.sub("#", each) for each in (path, found))
    if one.casefold() == other.casefold():
        return Difference.CASE
    composed = (unicodedata.normalize("NFC", each) for each in (one, other))
    return Difference.ENCODING if len(set(composed)) == 1 else Difference.BOTH


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
