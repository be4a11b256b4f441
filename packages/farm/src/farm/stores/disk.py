"""Blobs in a folder.

On disk::

    <root>/<account id>/<first two hex digits>/<hash>    one blob, never changed
    <root>/tmp/<random>                                  bytes on their way in

A blob appears by a rename, complete and verified, or not at all. Only the farm's user can read it
(mode 0600). Runners on the same disk hard-link from here: writing to such a link would change the
blob for everybody, so a renderer never sees one (`farm.confine.layers`).
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO

from farm_protocol.hashing import new_hasher
from farm_protocol.runner import DiskSource

from farm.errors import BlobLostError, FarmError, StorageFullError, UnavailableError
from farm.stores.verified import require_announced

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_PASSING = frozenset(
    {
        *(errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT),
        # Errors of a share whose server was away for a moment.
        *(errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET),
    }
)


class DiskStore:
    """A folder of blobs, on this machine's disk or on a share. See `farm.stores.port`."""

    def __init__(self, root: Path) -> None:
        """Use ``root``, creating it if necessary; discard what a crash left in ``tmp``."""
        self._root = root
        self._tmp = root / "tmp"
        self._tmp.mkdir(parents=True, exist_ok=True)
        for leftover in self._tmp.iterdir():
            leftover.unlink()

    def begin(self, account_id: str, blob_hash: str, size: int) -> "_IncomingFile":
        """Start receiving a blob."""
        try:
            descriptor, name = tempfile.mkstemp(dir=self._tmp)
        except OSError as error:
            raise _translated(error) from error
        target = self.local_path(account_id, blob_hash)
        return _IncomingFile(os.fdopen(descriptor, "wb"), Path(name), target, size)

    def open(self, account_id: str, blob_hash: str) -> BinaryIO:
        """Return a blob's file."""
        try:
            return self.local_path(account_id, blob_hash).open("rb")
        except FileNotFoundError as error:
            raise BlobLostError(blob_hash) from error
        except OSError as error:
            raise _translated(error) from error

    def local_path(self, account_id: str, blob_hash: str) -> Path:
        """Return where a blob is or would be."""
        return self._root / account_id / blob_hash[:2] / blob_hash

    def folder(self) -> Path:
        """Return the folder of all blobs."""
        return self._root

    def source(self, account_id: str) -> DiskSource:
        """Return the folder of an account's blobs, for runners to hard-link from."""
        return DiskSource(folder=str(self._root / account_id))

    def tickets(self, account_id: str, hashes: Collection[str]) -> Mapping[str, str]:
        """Return nothing: a file has no URL."""
        return {}

    def delete(self, account_id: str, hashes: Collection[str]) -> None:
        """Remove the files. Runners keep what they have linked."""
        for each in hashes:
            try:
                self.local_path(account_id, each).unlink(missing_ok=True)
            except OSError as error:
                raise _translated(error) from error


class _IncomingFile:
    def __init__(self, file: BinaryIO, temporary: Path, target: Path, size: int) -> None:
        self._file = file
        self._temporary = temporary
        self._target = target
        self._announced = size
        self._hasher = new_hasher()
        self._size = 0

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _translated(error) from error
        self._hasher.update(data)
        self._size += len(data)

    def commit(self) -> None:
        found = (self._hasher.hexdigest(), self._size)
        require_announced(found, (self._target.name, self._announced))
        try:
            self._file.flush()
            os.fchmod(self._file.fileno(), 0o600)
            os.fsync(self._file.fileno())
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.replace(self._target)
        except OSError as error:
            raise _translated(error) from error
        self._file.close()

    def abort(self) -> None:
        with contextlib.suppress(OSError):  # A full disk may refuse even the last buffer.
            self._file.close()
        with contextlib.suppress(OSError):  # The next start removes leftovers.
            self._temporary.unlink(missing_ok=True)


def _translated(error: OSError) -> OSError | FarmError:
    if error.errno in _FULL:
        return StorageFullError("The farm's disk is full. Work continues when there is space.")
    if error.errno in _PASSING:
        return UnavailableError(
            f"The farm's store does not answer ({error.strerror}). Try again later."
        )
    return error
