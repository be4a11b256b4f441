"""Where a path in a .blend leads among the files of a project. Pure: the disk is not accessed.

``//`` is the folder of the .blend itself. All other paths belong to the artist's machine:
``/home/...``, ``C:\\...``, ``\\\\server\\...``, and a bare ``textures/wood.png``, which Blender
looks for in the folder in which it happened to be started. None of them can be on a farm.

Of several files under one name (`farm_protocol.file_sets`) one is enough: which frames or tiles are
needed is only known when they are rendered. A name that is not a pattern may be a folder, with any
file below it.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import Enum, auto
from functools import cached_property

from farm_protocol.file_sets import Names
from farm_protocol.spellings import composed, folded

_NUMBERS = re.compile(r"\d+|<UDIM>|u\d+_v\d+|<UVTILE>")


def expected_path(path: str, blend: str) -> str | None:
    """Return the remote path that a path in a .blend means; None when it is outside the project.

    Parameters:
        path: as the .blend writes it.
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
    """The remote paths of a project, searchable as Blender would search for files.

    The time of a lookup hardly depends on the size of the project; expensive indexes are built for
    the first lookup that needs them, since most scenes lack nothing.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        """Index ``paths``: remote, without a leading slash."""
        self._listed = list(paths)  # Mostly sorted already, which a set would lose.
        self._paths = set(self._listed)

    def has(self, path: str, is_sequence: bool) -> bool:
        """Return whether a file of this name, or one file of a sequence, exists."""
        if path in self._paths or not is_sequence:
            return path in self._paths
        return self._exactly.below(path) is not None or self._exactly.one_of(path) is not None

    def similar(self, path: str, is_sequence: bool) -> str | None:
        """Return a file whose path differs only in case, or in how its accents are encoded. None
        when there is none. For paths that the manifest does not have.
        """
        wanted = folded(path)
        found = self._alike.file(wanted)
        if found or not is_sequence:
            return found
        return self._alike.one_of(wanted) or self._alike.below(wanted)

    @cached_property
    def _exactly(self) -> "_Index":
        return _Index((path, path) for path in self._listed)

    @cached_property
    def _alike(self) -> "_Index":
        return _Index((folded(path), path) for path in self._listed)


class _Index:
    """Remote paths by their key of comparison."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Index pairs of a key and a path."""
        self._sorted = sorted(pairs)
        self._names: dict[str, Names] = {}

    def file(self, path: str) -> str | None:
        """Return the file of this path."""
        return self._first(path, lambda found: found == path)

    def below(self, folder: str) -> str | None:
        """Return any file below a folder."""
        begin = f"{folder}/"
        return self._first(begin, lambda found: found.startswith(begin))

    def one_of(self, path: str) -> str | None:
        """Return one of the files that a path stands for."""
        folder, _, pattern = path.rpartition("/")
        if folder not in self._names:
            self._names[folder] = Names(self._inside.get(folder, ()))
        name = next(self._names[folder].of(pattern), None)
        return None if name is None else self.file(f"{folder}/{name}" if folder else name)

    def _first(self, begin: str, fits: Callable[[str], bool]) -> str | None:
        place = bisect_left(self._sorted, (begin, ""))
        if place < len(self._sorted) and fits(self._sorted[place][0]):
            return self._sorted[place][1]
        return None

    @cached_property
    def _inside(self) -> dict[str, list[str]]:
        """The names directly in each folder."""
        found = defaultdict(list)
        for path, _ in self._sorted:
            folder, _, name = path.rpartition("/")
            found[folder].append(name)
        return found


class Difference(Enum):
    """How two names differ that are equal to some systems."""

    CASE = auto()
    ENCODING = auto()
    BOTH = auto()


def how_they_differ(path: str, similar: str) -> Difference:
    """Return how a path differs from the result of `Manifest.similar`."""
    # The result may be below the path. In a sequence the numbers differ as well.
    found = "/".join(similar.split("/")[: path.count("/") + 1])
    one, other = (_NUMBERS.sub("#", each) for each in (path, found))
    if one.casefold() == other.casefold():
        return Difference.CASE
    return Difference.ENCODING if composed(one) == composed(other) else Difference.BOTH
