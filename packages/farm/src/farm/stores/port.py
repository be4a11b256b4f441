"""The port behind which blobs are stored: a disk, a share or an object store.

It is narrow, and uses domain types only. Every store passes
`packages/farm/tests/stores/contract.py`. Account ids and hashes are validated by the caller; the
database knows which blobs exist, a store only keeps their bytes.

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
        """Store the bytes as the announced blob, completely and on disk, or not at all.

        May be called again after an `UnavailableError`. An existing blob stays.

        Raises:
            HashMismatchError: the bytes are another blob's; nothing is kept.
            StorageFullError, UnavailableError: nothing is kept.
        """

    def abort(self) -> None:
        """Discard the bytes, unless they were committed. Never fails."""


class Store(Protocol):
    """Keeps the bytes of blobs by account and hash. May be used from any thread."""

    def begin(self, account_id: str, blob_hash: str, size: int) -> Incoming:
        """Start receiving a blob of so many bytes. Raises StorageFullError, UnavailableError."""

    def open(self, account_id: str, blob_hash: str) -> BinaryIO:
        """Return the bytes of a blob as a seekable file. Raises BlobLostError, UnavailableError."""

    def local_path(self, account_id: str, blob_hash: str) -> Path | None:
        """Return the local path of a blob, whether it exists or not; None: this store has no files.

        Reading such a file is fastest; `farm.stores.lending` serves programs that cannot do without
        one.
        """

    def folder(self) -> Path | None:
        """Return the local folder that grows with the blobs; None: there is none."""

    def source(self, account_id: str) -> DiskSource | TicketSource:
        """Return where runners get an account's blobs."""

    def tickets(self, account_id: str, hashes: Collection[str]) -> Mapping[str, str]:
        """Return the URL from which each blob's bytes can be read for some minutes.

        It needs no further authentication. Blobs that are left out are read through the farm.

        Raises:
            UnavailableError: none can be created now.
        """

    def delete(self, account_id: str, hashes: Collection[str]) -> None:
        """Delete blobs; missing ones are fine. Raises UnavailableError."""
