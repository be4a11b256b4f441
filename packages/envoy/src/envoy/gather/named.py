"""Translates a path in a .blend to this machine. Pure: the disk is not accessed.

The .blend may come from another machine with another operating system: then the path itself leads
nowhere, but its last names may be those of a file that came along.
"""

import ntpath
import os.path
import posixpath
import re
from collections.abc import Iterator
from types import ModuleType

_DRIVE = re.compile(r"[A-Za-z]:[/\\]")


def rules_of(path: str) -> ModuleType | None:
    """Return the path module of an absolute path's system: `ntpath` or `posixpath`; None: not
    absolute.
    """
    if _DRIVE.match(path) or path.startswith("\\\\"):
        return ntpath
    return posixpath if path.startswith("/") and not path.startswith("//") else None


def absolute(path: str, blend: str, system: ModuleType = os.path) -> str:
    """Return the path on this machine that is meant; "" where it is another machine's.

    Parameters:
        path: as the .blend writes it.
        blend: absolute path of that .blend.
        system: path module of this machine.
    """
    if path.startswith("//"):
        below = path[2:].replace("\\", "/").replace("/", system.sep)
        return str(system.normpath(system.join(system.dirname(blend), below)))
    return str(system.normpath(path)) if _is_own(path, system) else ""


def is_network(path: str, system: ModuleType = os.path) -> bool:
    """Return whether a Windows path leads to another machine, which would learn who asks."""
    return system is ntpath and path.replace("/", "\\").startswith("\\\\")


def ends(path: str, root: str, system: ModuleType = os.path) -> Iterator[tuple[str, ...]]:
    """Yield possible paths of a file below ``root``, the longest first.

    Below a folder of that name, a path may have any length; elsewhere a file's name alone is too
    little, so its folder's name must match as well.
    """
    names = [name for name in path.replace("\\", "/").split("/") if name not in ("", ".", "..")]
    if _DRIVE.match(path):
        names = names[1:]
    home = system.basename(root).casefold()
    for start in range(len(names)):
        if len(names) - start > 1 or (start and names[start - 1].casefold() == home):
            yield tuple(names[start:])


def _is_own(path: str, system: ModuleType) -> bool:
    return rules_of(path) is (ntpath if system is ntpath else posixpath)
