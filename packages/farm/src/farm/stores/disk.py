"""Blobs in a folder.

On disk::

    <root>/<account id>/<first two hex digits>/<hash>    one blob, mode 0400, never changed
    <root>/tmp/<random>                                  bytes on their way in

A blob appears by a rename, complete and verified, or not at all. Runners on the same disk
hard-link from here, so the files are read-only.
"""

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from farm_protocol.hashing import new_hasher

from farm.errors import HashMismatchError, StorageFullError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskStore:
    """A folder of blobs. The account ids and hashes given must have been checked before."""

    def __init__(self, root: Path) -> None:
        """Use ``root``, made where needed; forget what a crash left in ``tmp``."""
        self._root = root
        self._tmp = root / "tmp"
        self._tmp.mkdir(parents=True, exist_ok=True)
        for leftover in self._tmp.iterdir():
            leftover.unlink()

    def account_folder(self, account_id: str) -> Path:
        """Return the folder of an account's blobs, for a runner to hard-link from."""
        return self._root / account_id

    def path(self, account_id: str, blob_hash: str) -> Path:
        """Return where a blob is or would be."""
        return self._root / account_id / blob_hash[:2] / blob_hash

    def begin(self) -> "IncomingBlob":
        """Start to receive a blob. Raises StorageFullError."""
        try:
            descriptor, name = tempfile.mkstemp(dir=self._tmp)
        except OSError as error:
            raise _translated(error) from error
        return IncomingBlob(self, os.fdopen(descriptor, "wb"), Path(name))


class IncomingBlob:
    """Bytes on their way in: any number of `write`, then `commit` or `abort`."""

    def __init__(self, store: DiskStore, file: BinaryIO, temporary: Path) -> None:
        """Made by `DiskStore.begin`."""
        self._store = store
        self._file = file
        self._temporary = temporary
        self._hasher = new_hasher()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append bytes. Raises StorageFullError."""
        try:
            self._file.write(data)
        except OSError as error:
            raise _translated(error) from error
        self._hasher.update(data)
        self.size += len(data)

    def commit(self, account_id: str, blob_hash: str, size: int) -> None:
        """Keep the bytes as this blob of the announced size.

        Raises:
            HashMismatchError: they are another blob's; nothing is kept.
            StorageFullError: nothing is kept.
        """
        if self.size != size or self._hasher.hexdigest() != blob_hash:
            raise HashMismatchError(
                "The bytes received do not match the announced BLAKE3 hash. "
                "The file may have changed while it was sent: hash and send it again."
            )
        target = self._store.path(account_id, blob_hash)
        try:
            self._file.flush()
            os.fchmod(self._file.fileno(), 0o400)
            os.fsync(self._file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.replace(target)
        except OSError as error:
            raise _translated(error) from error
        self._file.close()

    def abort(self) -> None:
        """Forget the bytes, unless they were committed."""
        with contextlib.suppress(OSError):  # a full disk may refuse even the last buffer
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def _translated(error: OSError) -> Exception:
    if error.errno in _FULL:
        return StorageFullError("The farm's disk is full. It goes on when there is room.")
    return error
