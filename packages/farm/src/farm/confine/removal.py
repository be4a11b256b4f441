"""Removes folders with untrusted content, whatever their depth and permissions.

`shutil.rmtree` recurses: a thousand nested folders end it with a RecursionError. And it leaves what
its owner may not read. Here each folder is moved up to the first one before it is emptied, and gets
the necessary permissions.
"""

import contextlib
import os
import secrets
import shutil
import sys
import time
from pathlib import Path

_HAS_DESCRIPTORS = sys.platform != "win32"
_FOLDER = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_LONGEST_SECONDS = 600.0
"""Attempts before giving up, in case somebody fills it as fast as it is emptied."""


def remove_tree(folder: Path) -> bool:
    """Remove a folder with its content; return whether it is gone. Follows no link.

    It may remain when somebody still writes there, or when it belongs to another user.
    """
    if not _HAS_DESCRIPTORS:
        with contextlib.suppress(RecursionError):
            shutil.rmtree(folder, ignore_errors=True)
        return not os.path.lexists(folder)
    with contextlib.suppress(OSError):
        parent = os.open(folder.parent, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
        try:
            _remove(parent, folder.name)
        finally:
            os.close(parent)
    return not os.path.lexists(folder)


def _remove(parent: int, name: str) -> None:
    """Remove an entry of a folder. Raises OSError."""
    if _unlinked(parent, name):
        return
    top = _opened(parent, name)
    try:
        until = time.monotonic() + _LONGEST_SECONDS
        # Folders that are moved up are handled in the next round.
        while (names := os.listdir(top)) and time.monotonic() < until:  # noqa: PTH208
            if not any([_emptied(top, each) for each in names]):
                break
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _emptied(top: int, name: str) -> bool:
    """Remove an entry of the first folder, moving its own folders up; return whether it is gone."""
    try:
        if _unlinked(top, name):
            return True
        inside = _opened(top, name)
        try:
            for each in os.listdir(inside):  # noqa: PTH208 - a descriptor
                if not _unlinked(inside, each):
                    _move_up(inside, each, top)
        finally:
            os.close(inside)
        os.rmdir(name, dir_fd=top)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _unlinked(folder: int, name: str) -> bool:
    """Remove a file or link; return whether it was one, rather than a folder."""
    try:
        os.unlink(name, dir_fd=folder)
    except (IsADirectoryError, PermissionError):
        return False  # Systems report folders differently.
    return True


def _move_up(inside: int, name: str, top: int) -> None:
    _allow(inside, name)  # Moving a folder changes it.
    os.rename(name, f"removed-{secrets.token_hex(8)}", src_dir_fd=inside, dst_dir_fd=top)


def _opened(folder: int, name: str) -> int:
    """Return the descriptor of a folder from which anything can be removed. Raises OSError."""
    _allow(folder, name)
    return os.open(name, _FOLDER, dir_fd=folder)


def _allow(folder: int, name: str) -> None:
    """Give its owner all permissions on a folder, but never on the target of a link."""
    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode & 0o700 == 0o700:
        return
    if sys.platform == "linux":
        # Opened as a name only (O_PATH), which needs no permissions.
        held = os.open(name, _FOLDER | os.O_PATH, dir_fd=folder)
        try:
            os.chmod(f"/proc/self/fd/{held}", 0o700)  # noqa: PTH101
        finally:
            os.close(held)
    else:
        os.chmod(name, 0o700, dir_fd=folder, follow_symlinks=False)
