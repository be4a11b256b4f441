"""Hashing local files, reading only those that changed since the last time."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm_protocol.hashing import hash_open

from envoy.journal import Journal, UploadFile
from envoy.journal.hashes import HashRecord
from envoy.process.local_files import open_local, stamp_of, unreadable

SETTLED_SECONDS = 2.0
"""A file written this recently may change again without a new time stamp (FAT has a resolution of
two seconds), so its hash is not remembered.
"""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A local file and the hash of its content.

    Attributes:
        root: the folder that must contain it; see `envoy.process.local_files.open_local`.
        size: in bytes.
        mtime_ns: since the epoch.
        accepted: `envoy.process.local_files.stamp_of` it when it was accepted; see `UploadFile`.
        stamp: the same when it was read.
    """

    remote: str
    local: Path
    root: str
    hash: str
    size: int
    mtime_ns: int
    accepted: str
    stamp: str

    @property
    def has_changed(self) -> bool:
        """Whether it is another file than was accepted, as far as that is known."""
        return self.accepted not in ("", self.stamp)


class HashCache:
    """BLAKE3 of files, remembered in the journal by path, size, times and inode."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def hash_all(self, files: Sequence[UploadFile], moved: Callable[[str], None]) -> list[Hashed]:
        """Return the hashes of files; blocking, so to be called in a thread.

        Parameters:
            moved: called with the path of a file when it is started, and after each piece.

        Raises:
            LocalFileError: names a file that is gone or cannot be read.
        """
        known = self._journal.hashes.find([file.local for file in files])
        fresh: list[HashRecord] = []
        result: list[Hashed] = []
        for file in files:
            path = Path(file.local)
            record, worth_keeping = _hash_one(path, file.root, known.get(file.local), moved)
            if worth_keeping:
                fresh.append(record)
            result.append(_hashed(file.remote, path, file.root, file.stamp, record))
        if fresh:
            self._journal.hashes.store(fresh)
        return result


def hash_again(hashed: Hashed, moved: Callable[[str], None]) -> Hashed:
    """Return the file as it is now, read again; blocking. Raises LocalFileError."""
    record, _ = _hash_one(hashed.local, hashed.root, None, moved)
    return _hashed(hashed.remote, hashed.local, hashed.root, hashed.accepted, record)


def _hashed(remote: str, local: Path, root: str, accepted: str, record: HashRecord) -> Hashed:
    stamp = stamp_of(record.size, record.mtime_ns, record.ctime_ns, record.inode)
    return Hashed(remote, local, root, record.hash, record.size, record.mtime_ns, accepted, stamp)


def _hash_one(
    path: Path, root: str, known: HashRecord | None, moved: Callable[[str], None]
) -> tuple[HashRecord, bool]:
    """Return the file's record and whether it is new and may be remembered.

    For a file that grows while it is read, its initial content counts.
    """
    moved(str(path))
    try:
        if known and _same(known, path.stat()):
            return known, False
        with os.fdopen(open_local(path, root), "rb") as file:
            before = os.fstat(file.fileno())
            digest, size = hash_open(file, before.st_size, lambda: moved(str(path)))
            after = os.fstat(file.fileno())
    except OSError as error:
        raise unreadable(path, error) from error
    record = HashRecord(
        str(path), size, after.st_mtime_ns, after.st_ctime_ns, str(after.st_ino), digest
    )
    settled = time.time() - max(after.st_mtime, after.st_ctime) > SETTLED_SECONDS
    return record, settled and _same(record, before) and _same(record, after)


def _same(record: HashRecord, status: os.stat_result) -> bool:
    return (
        record.size == status.st_size
        and record.mtime_ns == status.st_mtime_ns
        # Programs can set a file's modification time, but not its change time. (On Windows this is
        # the creation time.)
        and record.ctime_ns == status.st_ctime_ns
        and record.inode == str(status.st_ino)
    )
