"""Local places of the files that a scene names by paths of the machine where it was made. Pure.

The rules are those of `farm_protocol.path_maps`. Paths of any system are understood, whatever this
machine's: ``/home/ann/a.png``, ``C:\\lib\\a.png`` and ``C:/lib/a.png``, ``\\\\server\\lib\\a.png``,
and ``//../lib/a.png``, which begins in the folder of the .blend that says it.

Python 3.7 or newer.
"""

import re
from collections.abc import Iterable

_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
_MOST_PLACES = 100
"""Limit for one path: a map is untrusted, and may have any number of rules for it."""
_LONGEST_SOURCE = 32767
"""Limit in characters: no system has longer paths."""


class PathMap:
    """Rules, each of which maps a path and everything below it."""

    def __init__(self, rules: "Iterable[tuple[str, str]]") -> None:
        """Index the rules: pairs of an absolute path of any system and a remote path."""
        # By case-folded key: Windows ignores the case of paths.
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
        """Return up to 100 remote paths that a path in a .blend may mean, the likeliest first.

        Parameters:
            path: as the .blend writes it.
            blend: remote path of that .blend, or "" when unknown.
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
        # In `//` paths, backslashes are separators on every system.
        below = path[2:].replace("\\", "/")
        return f"{origin}/../{below}" if origin else ""

    def places(self, path: str) -> "list[str]":
        """Return the remote paths for an absolute path; those with the longest source first."""
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
        """Return the artist's absolute path for a remote path; "" if unknown."""
        rest = []  # type: list[str]
        while remote:
            source = self._origins.get(remote)
            if source is not None:
                return "/".join([source, *reversed(rest)])
            remote, _, name = remote.rpartition("/")
            rest.append(name)
        return ""


def parts_of(path: str) -> "tuple[str, ...]":
    """Return the parts of an absolute path of any system, without ``.`` and ``..``.

    The first part is ``/``, ``C:``, or ``//`` for a network path; empty: the path is not absolute.
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
