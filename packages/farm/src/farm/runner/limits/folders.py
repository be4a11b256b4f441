"""Disk usage of folders whose contents may be written, moved and removed at any time.

Each folder is opened relative to its parent's descriptor. So it stays the same folder if it is
moved while it is being scanned, and no path becomes too long. Files that are moved between two
folders may be counted twice or not at all; `FolderUse.changed` reports that this may have happened.
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
"""Maximum depth of nested folders: each keeps two descriptors open while it is scanned."""
TICK_SECONDS = 0.1
"""Longer than a file system's timestamps lag: kernels update their clock every few milliseconds."""


@dataclass(frozen=True)
class FolderUse:
    """The contents of folders.

    Attributes:
        disk_bytes: disk space in use.
        files: number of files and folders.
        largest_bytes: size of the largest file.
        hidden: a folder that could not be opened, or is nested too deeply; "" for none.
        changed: a folder was changed during the scan: files may be missing, or counted twice.
    """

    disk_bytes: int
    files: int
    largest_bytes: int
    hidden: str = ""
    changed: bool = False


def folder_use(folders: Iterable[Path], most_files: int, tick: float = TICK_SECONDS) -> FolderUse:
    """Scan folders, which others may be changing.

    Symbolic links are not followed, and a file with several hard links counts once. The scan stops
    after ``most_files`` entries.

    Parameters:
        tick: seconds; a folder that was changed this shortly before the scan counts as changed
            during it.
    """
    count = _Count(most_files, time.time_ns() - int(tick * 1e9))
    for folder in folders:
        count.look_into(folder)
    return FolderUse(count.bytes, count.files, count.largest, count.hidden, count.changed)


@dataclass
class _Count:
    """``since``: folders with a later change time (in ns, of their file system) were changed."""

    most: int
    since: int
    bytes: int = 0
    files: int = 0
    largest: int = 0
    hidden: str = ""
    changed: bool = False
    seen: set[tuple[int, int]] = field(default_factory=set)

    def look_into(self, folder: Path) -> None:
        """Count the contents of a folder and its subfolders."""
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
                self.changed = True  # It was moved or removed after its folder had been listed.
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
        # Allocated blocks rather than the nominal size: files may be sparse.
        self.bytes += getattr(found, "st_blocks", -(-found.st_size // 512)) * 512
        return stat.S_ISDIR(found.st_mode)

    def _go_into(self, entry: "os.DirEntry[str]", open_ones: "list[_Open]") -> None:
        if len(open_ones) >= MOST_DEEP:
            self.hidden = entry.name
            return
        open_ones.append(_Open(open_ones[-1].of(entry), open_ones[-1].descriptor))

    def _close(self, folder: "_Open") -> None:
        # The parent's change time reveals subfolders that were moved away before they were scanned.
        with self._unless_gone(""):
            self.changed = self.changed or folder.changed_at() > self.since
        folder.close()


class _Open:
    """A folder that is being scanned: by its descriptor, or on Windows by its path."""

    def __init__(self, where: Path | str, parent: int | None = None) -> None:
        """Open a folder, but no symbolic link. Raises OSError.

        Parameters:
            where: its path, or its name in the folder ``parent``.
            parent: descriptor of the folder that contains it.
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
        """Return the path of a subfolder, relative to this folder if that has a descriptor."""
        return entry.path if self.descriptor is None else entry.name

    def changed_at(self) -> int:
        """Return the change time (ctime) in ns, by the clock of the file system."""
        status = os.stat(self._path if self.descriptor is None else self.descriptor)  # noqa: PTH116
        return status.st_ctime_ns

    def close(self) -> None:
        """Close the folder's descriptor."""
        if isinstance(self.entries, contextlib.AbstractContextManager):
            self.entries.close()  # type: ignore[attr-defined]
        if self.descriptor is not None:
            os.close(self.descriptor)
