"""Where files lie here that a scene names by paths of the machine that it was made on. Pure.

The rules are those of `farm_protocol.path_maps`. Paths of any system are understood, whatever this
machine's: ``/home/ann/a.png``, ``C:\\lib\\a.png`` and ``C:/lib/a.png``, ``\\\\server\\lib\\a.png``,
and ``//../lib/a.png``, which begins in the folder of the .blend that says it.

Python 3.7 or newer.
"""

import re
from collections.abc import Iterable

_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
_MOST_PLACES = 100
"""That one path may have: a map is input, and may have any number for each."""
_LONGEST_SOURCE = 32767
"""Characters: no system has longer paths."""


class PathMap:
    """Rules, each of which maps a path and what lies below it."""

    def __init__(self, rules: "Iterable[tuple[str, str]]") -> None:
        """Index the rules: pairs of an absolute path of any system and a remote one."""
        # By key, which is folded: Windows paths are one whatever their case.
        self._places = {}  # type: dict[str, list[str]]
        self._lengths = set()  # type: set[int]
        self._origins = {}  # type: dict[str, str]
        self._known_origins = {}  # type: dict[str, str]
        for source, destination in rules:
            parts = parts_of(source) if len(source) <= _LONGEST_SOURCE else ()
            if parts:
                places = self._places.setdefault(_key(parts), [])
                if len(places) < _MOST_PLACES:
                    places.append(destination)
                self._lengths.add(len(parts))
                self._origins.setdefault(destination, source)

    def __bool__(self) -> bool:
        """Return whether there are any rules."""
        return bool(self._places)

    def meant(self, path: str, blend: str) -> "list[str]":
        """Return the remote paths that a path in a .blend may mean: the likeliest first, no more
        than 100.

        Parameters:
            path: as the .blend says it.
            blend: remote path of that .blend, or "" when nobody knows.
        """
        absolute = self.absolute(path, blend)
        return self.places(absolute) if absolute else []

    def absolute(self, path: str, blend: str) -> str:
        """Return the path of the artist's machine that a path in a .blend means; "" if unknown."""
        if not path.startswith("//"):
            return path if parts_of(path) else ""
        if blend not in self._known_origins:
            self._known_origins[blend] = self.origin(blend)
        origin = self._known_origins[blend]
        # Of `//` paths the backslashes separate, on every system.
        below = path[2:].replace("\\", "/")
        return f"{origin}/../{below}" if origin else ""

    def places(self, path: str) -> "list[str]":
        """Return the remote paths for an absolute path; those of the longest source come first."""
        parts = parts_of(path)
        key = _key(parts)
        found = []  # type: list[str]
        for length in range(len(parts), 0, -1):
            if length in self._lengths:
                for place in self._places.get(key, ())[: _MOST_PLACES - len(found)]:
                    found.append("/".join([place, *parts[length:]]))
            key = key[: key.rfind("/")]
        return found

    def origin(self, remote: str) -> str:
        """Return the absolute path that the artist had a remote one at; "" if unknown."""
        rest = []  # type: list[str]
        while remote:
            source = self._origins.get(remote)
            if source is not None:
                return "/".join([source, *reversed(rest)])
            remote, _, name = remote.rpartition("/")
            rest.append(name)
        return ""


def parts_of(path: str) -> "tuple[str, ...]":
    """Return the names of an absolute path of any system, without ``.`` and ``..``.

    The first one is ``/``, ``C:``, or ``//`` of a network path; empty: the path is not absolute.
    """
    if _DRIVE.match(path):
        first, names = path[:2].upper(), path[2:].replace("\\", "/")
    elif path.startswith("\\\\"):
        first, names = "//", path.replace("\\", "/")
    elif path.startswith("/"):
        first, names = "/", path
    else:
        return ()
    parts = []  # type: list[str]
    for name in names.split("/"):
        if name == "..":
            del parts[-1:]
        elif name not in ("", "."):
            parts.append(name)
    return (first, *parts)


def _key(parts: "tuple[str, ...]") -> str:
    """Return a text for names of an absolute path; that of the folder is what its last "/" ends."""
    key = "/".join(parts)
    return key if parts[:1] == ("/",) else key.casefold()
