"""Writes one download to disk, so that a file is either complete or absent. Blocking.

Bytes go to ``.<name>.<download id>.part`` in the target's own folder, are flushed, and then renamed
over the target: a viewer or compositor that watches the folder never sees half a frame.

The path of a watch's folder may lead through links of its user: they are followed once, when the
watch is accepted. From then on no link is followed, neither on the way to the folder nor below it
(`farm_protocol.inside`), so that replacing a folder by a link while frames arrive cannot redirect
them.
"""

import errno
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

from farm_protocol.hashing import hash_open, new_hasher
from farm_protocol.inside import NotRegularError, Place, reach
from farm_protocol.paths import UnsafePathError
from farm_protocol.real_paths import real_path

from envoy.errors import CorruptDownloadError
from envoy.journal import Download

MOST_NAME_BYTES = 200
"""Characters of the target's name in the temporary name, which must stay below 255 bytes."""


def _place(download: Download, *, make: bool = False) -> Place:
    """Return where a download goes now, as the only path check allows it."""
    # For a watch from an older Envoy, it is unknown where its folder led at the time.
    real = download.real_folder or real_path(download.folder)
    return reach(Path(real), download.relative, make=make)


def _temporary(download: Download, place: Place) -> str:
    """Return the temporary name of a download; the same after a restart."""
    name = place.name.encode()[:MOST_NAME_BYTES].decode(errors="ignore")
    return f".{name}.{download.id}.part"


def remove_leftover(download: Download) -> None:
    """Remove the leftover of a killed Envoy's download. Raises OSError, UnsafePathError."""
    with _place(download) as place:
        place.remove(_temporary(download, place))


def in_place_mtime(download: Download) -> int | None:
    """Return the target's mtime in ns when it already has the wanted content, else None.

    It is read only if necessary: a file of the right size with Envoy's own time stamp is trusted.

    Raises:
        UnsafePathError: the target is outside its folder, or a folder stands in its place.
        OSError: the disk cannot be read.
    """
    try:
        place = _place(download)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        # The folder of the watch is a file: writing says so.
        return None
    with place:
        status = place.status()
        if status is not None and stat.S_ISDIR(status.st_mode):
            raise UnsafePathError(
                f"{place.path} cannot be written: there is a folder of that name."
            )
        # A link or a device is not the wanted file, wherever it leads: it is replaced.
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != download.size:
            return None
        if download.written_mtime_ns and status.st_mtime_ns == download.written_mtime_ns:
            return status.st_mtime_ns
        try:
            with os.fdopen(place.read(), "rb") as file:
                found = hash_open(file, download.size)
        except (FileNotFoundError, NotRegularError):
            return None
        return status.st_mtime_ns if found == (download.hash, download.size) else None


class PartFile:
    """The temporary file of one download.

    Raises (all methods):
        UnsafePathError: the target is outside its folder, or a folder stands in its place.
        OSError: the disk is full, may not be written, or is broken.
    """

    def __init__(self, download: Download) -> None:
        self._download = download
        self._hasher = new_hasher()
        self._size = 0
        # A cancelled download is abandoned while its last write may still run in a thread: closing
        # the descriptor then could send the bytes into another file.
        self._lock = threading.Lock()
        self._descriptor = -1
        self._place = _place(download, make=True)
        try:
            self._name = _temporary(download, self._place)
            self._place.remove(self._name)
            self._descriptor = self._place.create(self._name)
        except BaseException:
            self._place.close()
            raise

    def write(self, part: bytes) -> None:
        """Append bytes. Raises CorruptDownloadError when they are more than announced."""
        with self._lock:
            self._size += len(part)
            if self._size > self._download.size:
                raise CorruptDownloadError(f"{self._place.path} is larger than the farm announced.")
            self._hasher.update(part)
            left = memoryview(part)
            while left:
                left = left[os.write(self._descriptor, left) :]

    def finish(self) -> int:
        """Flush, check, and put the file in its place; returns its mtime in ns.

        Raises:
            CorruptDownloadError: the bytes are not the announced ones.
        """
        with self._lock:
            return self._finish()

    def _finish(self) -> int:
        if self._size != self._download.size or self._hasher.hexdigest() != self._download.hash:
            raise CorruptDownloadError(f"{self._place.path} arrived damaged.")
        os.fsync(self._descriptor)
        mtime_ns = os.fstat(self._descriptor).st_mtime_ns
        # The folder may have been moved away meanwhile, and a file in it would not be found.
        if not self._place.is_current():
            raise OSError(errno.ESTALE, "the folder was moved", str(self._place.path.parent))
        # Windows cannot rename open files.
        self._close()
        try:
            self._place.take(self._name)
        except BaseException:
            self._place.remove(self._name)
            raise
        self._place.flush()
        self._place.close()
        return mtime_ns

    def abandon(self) -> None:
        """Remove the temporary file; does nothing after `finish`. Never raises."""
        with self._lock, suppress(OSError, UnsafePathError):
            try:
                if self._descriptor >= 0:
                    try:
                        self._close()
                    finally:
                        self._place.remove(self._name)
            finally:
                self._place.close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
