"""What lies in the folders of a renderer that may be writing, moving and removing all the time.

Folders are opened one from the other, so that one that is moved while it is looked through is still
the same, and no path is too long. What is moved between two of them is seen twice or not at all:
that this may have happened is told (`FolderUse.changed`), and who asks decides what it is worth.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_BY_DESCRIPTOR = os.scandir in os.supports_fd and os.open in os.supports_dir_fd
_FOLDER = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
MOST_DEEP = 100
"""Folders in folders: each keeps two descriptors while what is in it is looked through."""
TICK_SECONDS = 0.1
"""More than the times of a file system are wrong by: kernels move them on every few milliseconds.
"""


@dataclass(frozen=True)
class FolderUse:
    """What lies in folders: bytes on the disk, number of entries, size of the largest file.

    Attributes:
        hidden: a folder that could not be looked into, "" for none: shut, or in too many others.
        changed: a folder was changed meanwhile: something may be missing, or counted twice.
    """

    disk_bytes: int
    files: int
    largest_bytes: int
    hidden: str = ""
    changed: bool = False


def folder_use(folders: Iterable[Path], most_files: int, tick: float = TICK_SECONDS) -> FolderUse:
    """Return what lies in folders, whoever is just writing there.

    No link is followed, and a file with several names counts once. Stops as soon as there are more
    than ``most_files`` entries.

    Parameters:
        tick: seconds; what has changed a folder so shortly before counts as meanwhile.
    """
    count = _Count(most_files, time.time_ns() - int(tick * 1e9))
    for folder in folders:
        count.look_into(folder)
    return FolderUse(count.bytes, count.files, count.largest, count.hidden, count.changed)


@dataclass
class _Count:
    """``since``: what changes a folder later, by its own clock in ns, has changed it meanwhile."""

    most: int
    since: int
    bytes: int = 0
    files: int = 0
    largest: int = 0
    hidden: str = ""
    changed: bool = False
    seen: set[tuple[int, int]] = field(default_factory=set)

    def look_into(self, folder: Path) -> None:
        """Count what lies in a folder and below."""
        open_ones: list[_Open] = []
        with self._unless_gone(str(folder)):
            open_ones.append(_Open(folder))
        try:
            while open_ones and self.files <= self.most:
                entry = None
                with self._unless_gone(str(folder)):
                    entry = next(open_ones[-1].entries, None)
                if entry is None:
                    self._close(open_ones.pop())
                    continue
                self.files += 1
                with self._unless_gone(entry.name):
                    if self._is_folder(entry):
                        self._go_into(entry, open_ones)
        finally:
            while open_ones:
                self._close(open_ones.pop())

    @contextlib.contextmanager
    def _unless_gone(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _GONE:
                self.changed = True  # Moved or removed since its folder was read.
            else:
                self.hidden = name

    def _is_folder(self, entry: "os.DirEntry[str]") -> bool:
        """Count an entry; return whether it is a folder. Raises OSError."""
        found = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(found.st_mode):
            self.largest = max(self.largest, found.st_size)
            if found.st_nlink > 1:
                if (found.st_dev, found.st_ino) in self.seen:
                    return False
                self.seen.add((found.st_dev, found.st_ino))
        # What is used, and not what is promised: files may have holes.
        self.bytes += getattr(found, "st_blocks", -(-found.st_size // 512)) * 512
        return stat.S_ISDIR(found.st_mode)

    def _go_into(self, entry: "os.DirEntry[str]", open_ones: "list[_Open]") -> None:
        if len(open_ones) >= MOST_DEEP:
            self.hidden = entry.name
            return
        open_ones.append(_Open(open_ones[-1].of(entry), open_ones[-1].descriptor))

    def _close(self, folder: "_Open") -> None:
        # Its parent's time tells of folders that were moved away before their turn came.
        with self._unless_gone(""):
            self.changed = self.changed or folder.changed_at() > self.since
        folder.close()


class _Open:
    """A folder that is being looked through: by a descriptor, or by its path on Windows."""

    def __init__(self, where: Path | str, parent: int | None = None) -> None:
        """Open it; no link. Raises OSError.

        Parameters:
            where: its path, or its name in the folder ``parent``.
        """
        self.descriptor: int | None = None
        self._path = str(where)
        self.entries: Iterator[os.DirEntry[str]]
        if not _BY_DESCRIPTOR:
            self.entries = os.scandir(self._path)
            return
        self.descriptor = os.open(where, _FOLDER, dir_fd=parent)
        try:
            self.entries = os.scandir(self.descriptor)
        except BaseException:
            os.close(self.descriptor)
            raise

    def of(self, entry: "os.DirEntry[str]") -> str:
        """Return how a folder in this one is named."""
        return entry.path if self.descriptor is None else entry.name

    def changed_at(self) -> int:
        """Return when it was changed last, in ns by its disk's clock."""
        status = os.stat(self._path if self.descriptor is None else self.descriptor)  # noqa: PTH116
        return status.st_ctime_ns

    def close(self) -> None:
        """Close the folder's descriptor."""
        if isinstance(self.entries, contextlib.AbstractContextManager):
            self.entries.close()  # type: ignore[attr-defined]
        if self.descriptor is not None:
            os.close(self.descriptor)
