"""Hashes of local files, so that an unchanged file is not read again."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from envoy.journal.database import Database

_MOST_PARAMETERS = 500
_COLUMNS = "path, size, mtime_ns, ctime_ns, inode, hash"
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class HashRecord:
    """A file as it was when it was hashed; any difference invalidates the hash."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: str
    hash: str


class Hashes:
    """The table ``hashes``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, paths: Sequence[str]) -> dict[str, HashRecord]:
        """Return the known records, by path."""
        found: dict[str, HashRecord] = {}
        for start in range(0, len(paths), _MOST_PARAMETERS):
            part = tuple(paths[start : start + _MOST_PARAMETERS])
            marks = ", ".join("?" * len(part))
            for path, *numbers, inode, digest in self._database.read(
                f"SELECT {_COLUMNS} FROM hashes WHERE path IN ({marks})",  # noqa: S608 - marks only
                part,
            ):
                size, mtime_ns, ctime_ns = (int(str(each)) for each in numbers)
                record = HashRecord(str(path), size, mtime_ns, ctime_ns, str(inode), str(digest))
                # An invalid hash is damage: the file is read again.
                if _HASH.fullmatch(record.hash):
                    found[record.path] = record
        return found

    def store(self, records: Iterable[HashRecord]) -> None:
        """Store records, replacing older ones of the same paths."""
        with self._database.transaction() as connection:
            connection.executemany(
                f"INSERT OR REPLACE INTO hashes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
                (astuple(record) for record in records),
            )

    def forget(self) -> None:
        """Forget all hashes, so that every file is read again."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM hashes")
