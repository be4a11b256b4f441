"""The SQLite file: opening, migrating, transactions."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TypeVar

from farm_protocol.private import FOLDER_MODE, open_private

from envoy.errors import StartError
from envoy.process.status_messages import Reason, StatusMessage

Row = TypeVar("Row")
Kind = TypeVar("Kind")

_PASSING = frozenset(
    {
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY),
    }
)
"""Errors that pass when the disk has room again, or when another program has finished."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE entries (
            id TEXT PRIMARY KEY,
            account TEXT NOT NULL,
            project TEXT NOT NULL,
            name TEXT NOT NULL,
            output_folder TEXT NOT NULL,
            spec TEXT NOT NULL,
            state TEXT NOT NULL,
            sentence TEXT NOT NULL,
            warnings TEXT NOT NULL,
            bytes_total INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            position INTEGER NOT NULL UNIQUE
        ) STRICT""",
        "CREATE INDEX entries_by_project ON entries (project, position)",
        "CREATE INDEX entries_by_state ON entries (state)",
        """
        CREATE TABLE upload_files (
            entry_id TEXT NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
            remote TEXT NOT NULL,
            local TEXT NOT NULL,
            size INTEGER NOT NULL,
            PRIMARY KEY (entry_id, remote)
        ) STRICT, WITHOUT ROWID""",
        """
        CREATE TABLE watches (
            entry_id TEXT NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
            pattern TEXT NOT NULL,
            folder TEXT NOT NULL,
            PRIMARY KEY (entry_id, pattern, folder)
        ) STRICT, WITHOUT ROWID""",
        """
        CREATE TABLE jobs (
            id TEXT PRIMARY KEY,
            entry_id TEXT NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            body TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX jobs_by_entry ON jobs (entry_id, position)",
        """
        CREATE TABLE downloads (
            id INTEGER PRIMARY KEY,
            entry_id TEXT NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
            folder TEXT NOT NULL,
            relative TEXT NOT NULL,
            hash TEXT NOT NULL,
            size INTEGER NOT NULL,
            state TEXT NOT NULL,
            sentence TEXT NOT NULL,
            written_mtime_ns INTEGER NOT NULL,
            UNIQUE (entry_id, folder, relative)
        ) STRICT""",
        "CREATE INDEX downloads_by_target ON downloads (folder, relative)",
        "CREATE INDEX downloads_by_state ON downloads (state)",
        """
        CREATE TABLE feeds (
            account TEXT PRIMARY KEY,
            farm_id TEXT NOT NULL,
            cursor INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """
        CREATE TABLE hashes (
            path TEXT PRIMARY KEY,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            inode TEXT NOT NULL,
            hash TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
    ),
    ("ALTER TABLE upload_files ADD COLUMN root TEXT NOT NULL DEFAULT ''",),
    ("ALTER TABLE entries ADD COLUMN farm TEXT NOT NULL DEFAULT ''",),
    ("ALTER TABLE watches ADD COLUMN real_folder TEXT NOT NULL DEFAULT ''",),
    (
        "ALTER TABLE entries RENAME COLUMN sentence TO message",
        "ALTER TABLE downloads RENAME COLUMN sentence TO message",
        """
        UPDATE jobs SET body = json_set(
            json_remove(body, '$.sentence'), '$.message', json_extract(body, '$.sentence'))
        WHERE CASE WHEN json_valid(body) THEN json_type(body, '$.sentence') END = 'text'""",
    ),
    (
        """
        CREATE TABLE upload_folders (
            entry_id TEXT NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
            remote TEXT NOT NULL,
            local TEXT NOT NULL,
            PRIMARY KEY (entry_id, remote)
        ) STRICT, WITHOUT ROWID""",
    ),
    # No file has changed then: all are read again.
    ("ALTER TABLE hashes ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0",),
    (
        "ALTER TABLE downloads ADD COLUMN place TEXT NOT NULL DEFAULT ''",
        "UPDATE downloads SET place = folder || '/' || relative",
        "CREATE INDEX downloads_by_place ON downloads (place)",
    ),
    # Of what was said before, only the words are known.
    (
        "ALTER TABLE entries ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE downloads ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
    ),
    (
        "ALTER TABLE upload_files ADD COLUMN stamp TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE entries ADD COLUMN revision INTEGER",
    ),
)
"""Each tuple takes the file from one version (``PRAGMA user_version``) to the next.

``inode`` is text: on Windows it has 64 bits without a sign, more than SQLite's integers hold.
"""


def may_pass(error: BaseException) -> bool:
    """Return whether a retry may succeed later, since only the disk is in the way."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and code is not None and code & 0xFF in _PASSING


def cannot_write(error: BaseException) -> StatusMessage:
    """Return what there is to say of a temporary error."""
    return StatusMessage(
        f"Envoy cannot write its journal ({error}). Make room on the disk of its data"
        " folder. Envoy then continues by itself.",
        Reason.JOURNAL,
    )


class Database:
    """One connection, shared by all threads, one at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        self._lock = threading.RLock()
        self._path = path
        try:
            self._open(path)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StartError:
        return StartError(
            f"Envoy's journal {self._path} cannot be used ({error}). Restore it from a backup, or"
            " move it away: Envoy then starts a new one and forgets unfinished uploads and"
            " downloads."
        )

    def _open(self, path: Path) -> None:
        # SQLite gives its companion files (-wal, -shm) the mode of the main file.
        with suppress(OSError):
            os.close(open_private(path, os.O_RDWR | os.O_CREAT))
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # Before anything is written to it.
        ((version,),) = self.read("PRAGMA user_version")
        assert isinstance(version, int)
        if version > len(MIGRATIONS):
            self._connection.close()
            raise StartError(
                f"The data folder {path.parent} was used by a newer version of Envoy (its journal"
                f" has version {version}; this one knows {len(MIGRATIONS)}). Update Envoy, or"
                " choose another folder (envoy up --data-dir)."
            )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.execute("PRAGMA busy_timeout = 5000")
        self._migrate(version)
        for table, columns in _tables().items():
            self.read(f"SELECT {', '.join(columns)} FROM {table} LIMIT 0")  # noqa: S608 - our own

    def close(self) -> None:
        """Close the file; waits for a running transaction."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Run statements that take effect together or not at all.

        Parameters:
            durable: flush to disk before returning, so that a power cut cannot undo it.
        """
        with self._lock:
            if durable:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException as error:
                    # On a full disk SQLite usually has done so already, but not always.
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    if type(error) is sqlite3.DatabaseError:
                        raise self._unusable(error) from error
                    raise
            finally:
                if durable:
                    self._connection.execute("PRAGMA synchronous = NORMAL")

    def read(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Return all rows of a query.

        Raises:
            StartError: the file is damaged in these rows, or in what leads to them.
        """
        return self._read(sql, parameters, lambda cursor: cursor.fetchall())

    def read_as(
        self, kind: type[Kind], sql: str, parameters: tuple[object, ...] = ()
    ) -> list[Kind]:
        """Return all rows of a query as dataclasses, by column name; raises as `read` does.

        Parameters:
            kind: has a field for each column, of the type that a sound file has there.
        """
        return self._read(sql, parameters, lambda cursor: _as_kind(kind, cursor))

    def _read(
        self,
        sql: str,
        parameters: tuple[object, ...],
        fetch: Callable[[sqlite3.Cursor], list[Row]],
    ) -> list[Row]:
        with self._lock:
            try:
                return fetch(self._connection.execute(sql, parameters))
            except sqlite3.OperationalError as error:
                if hasattr(error, "sqlite_errorcode"):
                    raise  # An error of SQLite's own. Text that Python cannot decode has no code.
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:
                    raise
                raise self._unusable(error) from error
            # One value is not valid text: the others are read all the same.
            self._connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            try:
                return fetch(self._connection.execute(sql, parameters))
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:
                    raise
                raise self._unusable(error) from error
            finally:
                self._connection.text_factory = str

    def _migrate(self, version: int) -> None:
        for number in range(version, len(MIGRATIONS)):
            with self.transaction(durable=True) as connection:
                for statement in MIGRATIONS[number]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number + 1}")


def _as_kind(kind: type[Kind], cursor: sqlite3.Cursor) -> list[Kind]:
    names = [name for name, *_ in cursor.description]
    return [kind(**dict(zip(names, row, strict=True))) for row in cursor]


def _tables() -> dict[str, list[str]]:
    """Return the columns of each table, as the migrations create them."""
    found: dict[str, list[str]] = {}
    with closing(sqlite3.connect(":memory:")) as empty:
        for statement in chain.from_iterable(MIGRATIONS):
            empty.execute(statement)
        for table, column in empty.execute(
            "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c"
            " WHERE m.type = 'table'"
        ):
            found.setdefault(table, []).append(column)
    return found
