"""Writing one download to disk, so that a file is either complete or not there. Blocking.

Bytes go to ``.<name>.<download id>.part`` in the target's own folder, are flushed, and then renamed
over the target: a viewer or compositor that watches the folder never sees half a frame.
"""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from farm_protocol.hashing import hash_file, new_hasher
from farm_protocol.paths import local_target

from envoy.errors import CorruptDownloadError
from envoy.journal import Download

MOST_NAME_BYTES = 200
"""Of the target's name inside the temporary name, which must stay below 255 bytes."""


def _target(download: Download) -> Path:
    """Return where a download goes, as the only path check there is allows it, now."""
    return local_target(Path(download.folder), download.relative)


def _temporary(download: Download, target: Path) -> Path:
    """Return the name under which a download is written; the same after a restart."""
    name = target.name.encode()[:MOST_NAME_BYTES].decode(errors="ignore")
    return target.with_name(f".{name}.{download.id}.part")


def remove_leftover(download: Download) -> None:
    """Remove what a killed Envoy left of a download. Raises OSError, UnsafePathError."""
    _temporary(download, _target(download)).unlink(missing_ok=True)


def in_place_mtime(download: Download) -> int | None:
    """Return the target's mtime in ns when it is already what is wanted, else None.

    Read only when it must be: a file of the right size with the time stamp that Envoy gave it is
    believed.

    Raises:
        UnsafePathError: the target is outside its folder.
        OSError: the disk cannot be read.
    """
    target = _target(download)
    try:
        status = target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if status.st_size != download.size:
        return None
    if download.written_mtime_ns and status.st_mtime_ns == download.written_mtime_ns:
        return status.st_mtime_ns
    return status.st_mtime_ns if hash_file(target)[0] == download.hash else None


class PartFile:
    """The temporary file of one download.

    Raises (all methods):
        UnsafePathError: the target is outside its folder.
        OSError: the disk is full, may not be written, or is broken.
    """

    def __init__(self, download: Download) -> None:
        self._download = download
        self._hasher = new_hasher()
        self._size = 0
        # A cancelled download is abandoned while its last write may still run in a thread: closing
        # the descriptor under it could send the bytes into another file.
        self._lock = threading.Lock()
        # Checked before folders are made, and again after: a link may stand where one was made.
        _target(download).parent.mkdir(parents=True, exist_ok=True)
        self._target = _target(download)
        self._path = _temporary(download, self._target)
        self._path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(self._path, flags, 0o666)

    def write(self, part: bytes) -> None:
        """Append bytes. Raises CorruptDownloadError when they are more than announced."""
        with self._lock:
            self._hasher.update(part)
            self._size += len(part)
            if self._size > self._download.size:
                raise CorruptDownloadError(f"Too many bytes came for {self._target}.")
            left = memoryview(part)
            while left:
                left = left[os.write(self._descriptor, left) :]

    def finish(self) -> int:
        """Flush, check, and put the file in its place; returns its mtime in ns.

        Raises:
            CorruptDownloadError: the bytes are not those that were announced.
        """
        with self._lock:
            return self._finish()

    def _finish(self) -> int:
        if self._size != self._download.size or self._hasher.hexdigest() != self._download.hash:
            raise CorruptDownloadError(f"The bytes that came for {self._target} are damaged.")
        os.fsync(self._descriptor)
        mtime_ns = os.fstat(self._descriptor).st_mtime_ns
        self._close()
        try:
            self._path.replace(_target(self._download))
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        _flush_folder(self._path.parent)
        return mtime_ns

    def abandon(self) -> None:
        """Remove the temporary file; does nothing after `finish`. Never raises."""
        with self._lock, suppress(OSError):
            if self._descriptor >= 0:
                try:
                    self._close()
                finally:
                    self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, where the system can do that."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
