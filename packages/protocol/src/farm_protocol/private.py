"""Folders and files of a service that no other user of the machine may look into.

What is private is made so: a `chmod` afterwards would leave a moment in between. `narrow` is for
folders of older versions, which took what the umask gave.
"""

import os
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_OTHERS = 0o077


def make_folder(folder: Path, known: Iterable[str]) -> None:
    """Make a service's data folder, or take others' rights from one that it made before.

    A folder that was there already and holds other things is left as it is: whoever named it may
    share it, and what the service writes into it is private all the same. To be called once a
    start, before anything is written: from then on the folder holds what is known.

    Parameters:
        known: names that only a folder of this service holds.

    Raises:
        OSError: it cannot be made or read.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    names = {path.name for path in folder.iterdir()}
    if not names or not names.isdisjoint(known):
        narrow(folder)


def narrow(folder: Path) -> None:
    """Take others' rights from a folder, and from what lies directly in it; links are left alone.

    With the folder itself everything below it is out of reach.
    """
    if sys.platform == "win32":
        return
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _narrow(inside)
        for name in os.listdir(inside):  # noqa: PTH208 - of the folder that is open
            # A FIFO, a socket, or what is another user's, or gone by now: not what we made.
            with suppress(OSError):
                status = os.stat(name, dir_fd=inside, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                    continue
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                found = os.open(name, flags, dir_fd=inside)
                try:
                    _narrow(found)
                finally:
                    os.close(found)
    finally:
        os.close(inside)


def open_private(path: Path | str, flags: int) -> int:
    """Open a file that is made with mode 0600: an ``opener`` for `open`."""
    return os.open(path, flags, FILE_MODE)


def replace_private(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there, and has mode 0600 from its first moment.

    Raises:
        OSError: it cannot be written. What was there before stays.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _narrow(descriptor: int) -> None:
    status = os.fstat(descriptor)
    if status.st_uid == os.geteuid() and status.st_mode & _OTHERS:
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_OTHERS)
