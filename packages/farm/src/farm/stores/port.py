"""Where blobs are kept: the seam behind which a disk, a share or an object store can stand.

Narrow, and in domain types only. `packages/farm/tests/stores/contract.py` is what every store
passes. Accounts' ids and hashes that are given have been checked before; the database knows which
blobs there are, a store only keeps their bytes.

Errors, all of `farm.errors`:

    BlobLostError       for good: the bytes are not there
    HashMismatchError   for good: these are other bytes than were announced
    StorageFullError    until there is room
    UnavailableError    passing: the same call may work a moment later; `farm.stores.wrappers`
                        makes it again
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from farm_protocol.runner import DiskSource, TicketSource


class Incoming(Protocol):
    """Bytes of one blob on their way in: any number of `write`, then `commit` or `abort`."""

    def write(self, data: bytes) -> None:
        """Append bytes. Raises StorageFullError, UnavailableError."""

    def commit(self) -> None:
        """Keep the bytes as the announced blob, complete and on the disk, or not at all.

        May be called again after an `UnavailableError`. Where the blob is there already, it stays.

        Raises:
            HashMismatchError: they are another blob's; nothing is kept.
            StorageFullError, UnavailableError: nothing is kept.
        """

    def abort(self) -> None:
        """Forget the bytes, unless they were committed. Never fails."""


class Store(Protocol):
    """Keeps the bytes of blobs by account and hash. May be used from any thread."""

    def begin(self, account_id: str, blob_hash: str, size: int) -> Incoming:
        """Start to receive a blob of so many bytes. Raises StorageFullError, UnavailableError."""

    def open(self, account_id: str, blob_hash: str) -> BinaryIO:
        """Return the bytes of a blob as a seekable file. Raises BlobLostError, UnavailableError."""

    def local_path(self, account_id: str, blob_hash: str) -> Path | None:
        """Return where a blob lies as a file of this machine, or would lie; None: nowhere.

        What reads a file there is as fast as it can be; `farm.stores.lending` serves what cannot
        do without one.
        """

    def folder(self) -> Path | None:
        """Return the folder of this machine that grows with the blobs; None: none does."""

    def source(self, account_id: str) -> DiskSource | TicketSource:
        """Return where runners get an account's blobs from."""

    def tickets(self, account_id: str, hashes: Collection[str]) -> Mapping[str, str]:
        """Return the URL from which each blob's bytes can be read for some minutes.

        Whoever has it needs no other right. A blob that is left out is read through the farm.

        Raises:
            UnavailableError: none can be made now.
        """

    def delete(self, account_id: str, hashes: Collection[str]) -> None:
        """Forget blobs; those that are not there are fine. Raises UnavailableError."""
