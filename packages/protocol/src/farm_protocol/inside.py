"""Files below a folder, reached without following links on the way.

Checking a path tells where it led a moment ago: anyone who may write to a folder on the way can
replace it by a link afterwards. So folders are opened one by one, from the root of the disk, each
by its name in its parent (`openat`) and never through a link, and operations on a file use its name
in the last folder, which is held open.

Links that a user has on the way to a folder are followed once, by `os.path.realpath` when the
folder is chosen; its result is the ``root`` of these functions.

Where the system cannot do that (Windows), the path is checked again before each step, which leaves
a short race for anyone who may write there; links need administrator rights there.
"""

import errno
import os
import stat
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Self

from farm_protocol.paths import UnsafePathError, canonical, local_target
from farm_protocol.real_paths import real_path

HAS_DESCRIPTORS = sys.platform != "win32"
"""Whether a file can be accessed through a descriptor of its folder, instead of by its path."""
LEASE_SECONDS = 60.0
"""How long another program may take to release a file (a lease, as file servers hold them)."""

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_PASS = (os.O_PATH if sys.platform == "linux" else os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
_PASS |= getattr(os, "O_CLOEXEC", 0)
"""For folders on the way, which need not be listable."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NOT_A_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EMLINK})
"""Errors of systems for a link or a file in place of a folder."""


class NotRegularError(OSError):
    """There is a FIFO, a device, a socket or a folder in place of a file. ``str()`` says so."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(errno.EINVAL, "it is not a regular file", str(path))


class FolderExchangedError(OSError):
    """There is a link in place of a folder that was chosen before; ``filename`` says where."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(errno.ELOOP, "it is a symbolic link now", str(path))


class Place:
    """A name in a folder that is held open, until `close` or the end of a ``with`` block.

    Attributes:
        name: of the file; the methods also take names of its neighbours.
        path: for messages only. Where it leads may change.
    """

    def __init__(self, root: Path, parts: Sequence[str], descriptor: int) -> None:
        self._root = root
        self._parts = parts
        self._descriptor = descriptor
        self.name = parts[-1]
        self.path = root.joinpath(*parts)

    def __enter__(self) -> Self:
        """Return the place itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the folder's descriptor."""
        self.close()

    def close(self) -> None:
        """Close the folder; does nothing the second time."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def status(self) -> os.stat_result | None:
        """Return the status of the entry, links not followed; None when there is none."""
        try:
            return os.stat(self._at(self.name), dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def read(self) -> int:
        """Open the file for reading; returns a descriptor. It never blocks on a FIFO.

        Raises:
            NotRegularError: it is something else, such as a link.
            OSError: it is gone or cannot be opened.
        """
        return _open_regular(self._at(self.name), self._folder, self.path)

    def create(self, name: str, mode: int = 0o666) -> int:
        """Create a new file beside the place and open it for writing; returns a descriptor."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY
        return os.open(self._at(name), flags, mode, dir_fd=self._folder)

    def remove(self, name: str) -> None:
        """Remove a file beside the place, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._folder)

    def take(self, name: str) -> None:
        """Rename a file beside the place to its name, replacing any file or link there.

        Raises:
            UnsafePathError: there is a folder of that name.
            OSError: it fails for another reason.
        """
        try:
            self._replace(self._at(name), self._at(self.name), self._folder)
        except (IsADirectoryError, PermissionError):
            status = self.status()
            if status is None or not stat.S_ISDIR(status.st_mode):
                raise
            raise UnsafePathError(
                f"{self.path} cannot be written: there is a folder of that name."
            ) from None

    def move_to(self, target: Path) -> None:
        """Rename the file to a path elsewhere on the same disk."""
        self._replace(self._at(self.name), str(target), None)

    def is_current(self) -> bool:
        """Return whether the path still leads to the folder that is held open.

        Raises:
            UnsafePathError: it now leads through a link below ``root``.
            FolderExchangedError: it now leads through a link above ``root``.
        """
        if not HAS_DESCRIPTORS:
            return True
        try:
            descriptor = _open_folder(self._root, self._parts[:-1], make=False)
        except FileNotFoundError:
            return False
        try:
            return os.path.samestat(os.fstat(descriptor), os.fstat(self._descriptor))
        finally:
            os.close(descriptor)

    def flush(self) -> None:
        """Make a rename survive a power cut, where the system can do that."""
        if HAS_DESCRIPTORS:
            os.fsync(self._descriptor)

    @property
    def _folder(self) -> int | None:
        return self._descriptor if HAS_DESCRIPTORS else None

    def _at(self, name: str) -> str:
        if HAS_DESCRIPTORS:
            return name
        target = local_target(self._root, "/".join(self._parts))
        return str(target.with_name(name))

    def _replace(self, source: str, target: str, target_folder: int | None) -> None:
        os.replace(source, target, src_dir_fd=self._folder, dst_dir_fd=target_folder)


def reach(root: Path, relative: str, *, make: bool = False) -> Place:
    """Return the place of a file below a folder, with the folder that holds it held open.

    Parameters:
        root: as `os.path.realpath` returned it when it was chosen. No link is followed on the way
            to it or below it.
        relative: a remote-style path, for example ``sub/frame_0001.png``.
        make: make the folders that are missing, ``root`` too.

    Raises:
        UnsafePathError: the path is not canonical, or leads through a link or something else that
            is not a folder.
        FolderExchangedError: there is a link in place of ``root``, or of a folder above it.
        OSError: a folder is missing, or cannot be opened or created.
    """
    clean = canonical(relative)
    parts = clean.split("/")
    if HAS_DESCRIPTORS:
        return Place(root, parts, _open_folder(root, parts[:-1], make=make))
    _check_root(root)
    target = local_target(root, clean)
    if make:
        target.parent.mkdir(parents=True, exist_ok=True)
    return Place(root, parts, -1)


def open_below(root: Path, path: Path) -> int:
    """Open a regular file for reading, if its real path is below a folder.

    Links are followed as long as they end below ``root``; not, however, a link that appears
    meanwhile, or one in place of ``root`` itself or of a folder above it.

    Parameters:
        root: as `os.path.realpath` returned it when it was chosen. It may be ``path`` itself: then
            only this file is opened, and no link is followed at all.

    Returns a descriptor.

    Raises:
        UnsafePathError: it is elsewhere, as the message says.
        NotRegularError: it is a FIFO, a device, a socket or a folder. Opening never blocks on
            these.
        OSError: it is gone or cannot be opened.
    """
    real = Path(real_path(path))
    if not real.is_relative_to(root) or (real == root and path != root):
        raise UnsafePathError(f"{path} leads to {real}, which is outside of {root}.")
    if not HAS_DESCRIPTORS:
        return _open_regular(str(real), None, path)
    try:
        folder = _enter_root(real.parent, make=False)
    except FolderExchangedError as error:
        raise UnsafePathError(f"{path} leads through the link {error.filename}.") from None
    try:
        return _open_regular(real.name, folder, path)
    finally:
        os.close(folder)


def open_regular(path: Path) -> int:
    """Open a file for reading, wherever it lies; nothing is waited for.

    Raises:
        NotRegularError: something else is there, such as a FIFO or a link.
        OSError: it is not there, or cannot be read.
    """
    return _open_regular(str(path), None, path)


def _open_folder(root: Path, below: Sequence[str], *, make: bool) -> int:
    """Return a descriptor of a folder below ``root`` that can also be flushed."""
    folder = _enter_root(root, make=make)
    try:
        wanted, way = PurePosixPath(*below), root
        for part in below:
            try:
                outside, folder = folder, _enter(folder, part, way, make=make)
            except FolderExchangedError:
                message = f"'{wanted}' leads through the symbolic link '{part}'."
                raise UnsafePathError(message) from None
            except NotADirectoryError:
                message = f"'{wanted}' needs a folder in the place of the file '{part}'."
                raise UnsafePathError(message) from None
            os.close(outside)
            way /= part
        return os.open(".", _FOLDER, dir_fd=folder)
    finally:
        os.close(folder)


def _enter_root(root: Path, *, make: bool) -> int:
    """Return a descriptor of a folder, without following a link on the way."""
    way = Path(root.anchor)
    folder = os.open(way, _PASS)
    try:
        for part in root.relative_to(way).parts:
            outside, folder = folder, _enter(folder, part, way, make=make)
            os.close(outside)
            way /= part
    except BaseException:
        os.close(folder)
        raise
    return folder


def _enter(folder: int, part: str, shown: Path, *, make: bool) -> int:
    """Return a descriptor of a folder in another one; ``shown``: the path of that, for errors."""
    try:
        try:
            return os.open(part, _PASS | _NO_LINK, dir_fd=folder)
        except FileNotFoundError:
            if not make:
                raise
        with suppress(FileExistsError):
            os.mkdir(part, dir_fd=folder)
        return os.open(part, _PASS | _NO_LINK, dir_fd=folder)
    except OSError as error:
        error.filename = str(shown / part)
        if error.errno not in _NOT_A_FOLDER:
            raise
    is_link = False
    with suppress(OSError):
        is_link = stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode)
    if is_link:
        raise FolderExchangedError(shown / part)
    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(shown / part))


def _check_root(root: Path) -> None:
    """Raise FolderExchangedError when a path leads elsewhere than it says."""
    if os.path.realpath(root) != str(root):
        raise FolderExchangedError(root)


def _open_regular(name: str, folder: int | None, shown: Path) -> int:
    # Checked before it is opened: opening alone makes some devices act.
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise NotRegularError(shown)
    until = time.monotonic() + LEASE_SECONDS
    while True:
        try:
            descriptor = os.open(name, _READ | _NO_LINK | _BINARY, dir_fd=folder)
            break
        except BlockingIOError:
            # Another program holds a lease and has been asked to release it.
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        except OSError as error:
            # Replaced since: by a link (ELOOP), or a socket (ENXIO).
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
                raise NotRegularError(shown) from None
            error.filename = str(shown)
            raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NotRegularError(shown)
