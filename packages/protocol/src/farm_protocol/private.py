"""Folders and files of a service that other users of the machine cannot look into.

Private files are created private: a `chmod` afterwards would leave a moment in between. Permissions
are removed afterwards only from what older versions made, which used the umask; and only from names
that the service uses, since its user may have chosen a folder that holds other things.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600
MOST_BYTES = 16 << 20
"""Limit of a file that is read whole. What services keep in such files has kilobytes."""
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Contents:
    """What a service makes directly in a folder of its own, as patterns of `fnmatch`.

    Attributes:
        marks: names that only a folder of this service contains.
        files: its other files.
        folders: its other folders, some of which it may empty.
    """

    marks: tuple[str, ...]
    files: tuple[str, ...]
    folders: tuple[str, ...] = ()

    def is_marked(self, names: Iterable[str]) -> bool:
        """Return whether a folder with these names belongs to this service."""
        return any(_is_of(name, self.marks) for name in names)

    def own(self, names: Iterable[str]) -> list[str]:
        """Return those of the names that this service uses."""
        return [name for name in names if _is_of(name, (*self.marks, *self.files, *self.folders))]


def make_folder(folder: Path, contents: Contents) -> None:
    """Make a service's data folder, or remove others' permissions from what it made there before.

    Files with other names keep their permissions, and so does the folder itself while it has any:
    its owner may share it, and what the service writes into it is private all the same. Call this
    once per start, before anything is written: from then on the folder is marked.

    Raises:
        OSError: it cannot be made or read; or something in it is not what the service would make,
            such as a folder in place of a file, or a FIFO, which has no end; or it is not marked,
            and has a folder that the service would take for its own.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    names = [path.name for path in folder.iterdir()]
    own = contents.own(names)
    marked = contents.is_marked(names)
    if not marked and (taken := [name for name in own if _is_of(name, contents.folders)]):
        raise OSError(
            errno.EEXIST, f"it holds '{min(taken)}', which was not made by this program", folder
        )
    for name in own:
        _check_kind(folder, name, _is_of(name, contents.folders))
    _narrow_inside(folder, own if marked else (), itself=len(own) == len(names))


def reason(error: OSError, folder: Path) -> str:
    """Return why something in a data folder cannot be used, for a message: what, and where."""
    what = error.strerror or str(error)
    where = error.filename
    return f"{what} ({where})" if where and str(where) != str(folder) else what


def read_regular(path: Path) -> bytes:
    """Return the content of a small file that a service keeps.

    Raises:
        OSError: it does not exist, cannot be read, is not a regular file, or is larger than
            `MOST_BYTES`, for which memory and time have no limit otherwise.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MOST_BYTES >> 20} MiB", str(path))
    return content


def _check_kind(folder: Path, name: str, is_folder: bool) -> None:
    try:
        mode = (folder / name).stat().st_mode
    except OSError:
        return  # It is gone, or a dangling link; if it cannot be used, opening it will tell.
    if is_folder and not stat.S_ISDIR(mode):
        raise OSError(errno.ENOTDIR, f"'{name}' in it is not a folder", folder)
    if not is_folder and not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"'{name}' in it is not a regular file", folder)


def _is_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _narrow_inside(folder: Path, names: Iterable[str], *, itself: bool) -> None:
    """Remove others' permissions from the direct entries of a folder, and from itself; skip links.

    Parameters:
        itself: whether to remove them from the folder, too: everything below is then out of reach.
    """
    if sys.platform == "win32":
        return
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if itself:
            _narrow(inside)
        for name in names:
            # A FIFO, a socket, another user's file, or one that is gone by now: not ours.
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
    """Open a file, created with mode 0600: an ``opener`` for `open`."""
    return os.open(path, flags, FILE_MODE)


def replace_private(path: Path, content: bytes) -> None:
    """Write a file atomically, with mode 0600 from its first moment.

    Raises:
        OSError: it cannot be written. The previous content stays.
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
