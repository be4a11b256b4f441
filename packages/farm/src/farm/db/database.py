"""Opening the database: transactions, SQLite's settings, migrations."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event

BUSY_TIMEOUT_MS = 30_000


class Database:
    """A farm's database.

    ``with database.write() as connection`` is one transaction: committed at the end, rolled back
    by an exception. Writers of one process take turns here rather than by SQLite's polling;
    other processes (``farm users add``) wait for its lock.
    """

    def __init__(self, url: str) -> None:
        """Open ``url`` (SQLAlchemy's form, such as ``sqlite:////data/farm.sqlite``)."""
        self.url = url
        self._engine = create_engine(url, pool_size=20, max_overflow=40)
        self._turn = threading.Lock()
        if self._engine.dialect.name == "sqlite":
            _prepare_sqlite(self._engine)

    @classmethod
    def in_folder(cls, data_dir: Path) -> "Database":
        """Open, creating it where needed, the SQLite file of a farm's data folder."""
        data_dir.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{data_dir / 'farm.sqlite'}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction: everything in it sees one state."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open the write transaction."""
        with (
            self._turn,
            self._engine.connect().execution_options(farm_writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    def migrate(self) -> None:
        """Bring the tables to this version of the farm."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling is switched off; see begin() below.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL: what a runner or Envoy was told is stored survives a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that starts by reading and then writes can fail half-way with "database
        # is locked"; one that will write says so at once.
        writes = connection.get_execution_options().get("farm_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
