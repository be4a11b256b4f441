"""Opening the database: transactions, one writer at a time, migrations."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, create_engine, inspect, make_url, text

from farm.db.engine import postgres, sqlite
from farm.db.engine.turns import OneAtATime, Result, SharedTurns, Turn

SQLITE_FILE = "farm.sqlite"
PORTION = 100
"""Jobs that one transaction changes: all waiting writers wait for all of them."""
MIGRATIONS = Path(__file__).parents[1] / "migrations"
"""Folder of the schema's versions."""


class Database:
    """A farm's database: SQLite or PostgreSQL.

    ``with database.write() as connection`` is one transaction: committed at the end, rolled back
    by an exception. There is one writer at a time, on both databases and over all processes:
    what a writer has read stays true until it has written, and its ids become visible in their
    order. Writers of one process take turns here, in the order of their requests, one of each
    account at a time; other processes (``farm users add``) wait for the database's lock.

    ``database.submit(work)`` is for short calls that come often: ``work(connection)`` is executed
    in such a transaction, which it may share with others that wait; see `farm.db.engine.turns`.
    """

    def __init__(self, url: str | URL) -> None:
        """Open ``url`` (SQLAlchemy's form, such as ``sqlite:////data/farm.sqlite``)."""
        parsed = make_url(url)
        self._on_postgres = parsed.get_backend_name() == "postgresql"
        self.url = postgres.with_driver(parsed) if self._on_postgres else parsed
        self._turn = Turn()
        self._one_of_an_account = OneAtATime()
        self._shared = SharedTurns(self._write_first)
        self._owner: Connection | None = None
        self._is_owned = False
        options: dict[str, Any] = {"pool_size": 20, "max_overflow": 40}
        if self._on_postgres:
            # Detects a restarted server before it can fail a request.
            self._engine = create_engine(self.url, pool_pre_ping=True, **options)
            self._reading = postgres.READING
            postgres.prepare(self._engine)
        else:
            self._engine = create_engine(self.url, **options)
            self._reading = {}
            sqlite.prepare(self._engine)

    @classmethod
    def in_folder(cls, data_dir: Path) -> Self:
        """Open the SQLite file of a farm's data folder, creating it if necessary."""
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        # As parts: in a URL text a "?" in the folder's name would begin a query.
        return cls(URL.create("sqlite", database=str(data_dir / SQLITE_FILE)))

    @property
    def on_server(self) -> bool:
        """Return whether it is PostgreSQL, rather than a file in the data folder."""
        return self._on_postgres

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction: all its queries see the same state."""
        with (
            self._engine.connect().execution_options(**self._reading) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self, account_id: str = "") -> Iterator[Connection]:
        """Open the write transaction.

        Parameters:
            account_id: the account whose request needs it. Only one request of an account queues
                for the transaction at a time, so that others wait for at most one of each account.
                "" for callers that cannot be many.
        """
        alone = self._one_of_an_account.of(account_id) if account_id else nullcontext()
        with alone, self._turn, self._writer() as connection:
            yield connection

    @contextmanager
    def _write_first(self) -> Iterator[Connection]:
        # Frequent calls come from runners. They are short and shared, and count as one waiting
        # writer.
        with self._turn.first(), self._writer() as connection:
            yield connection

    @contextmanager
    def _writer(self) -> Iterator[Connection]:
        with (
            self._engine.connect().execution_options(**self._writing()) as connection,
            connection.begin(),
        ):
            yield connection

    def write_in_portions(
        self,
        ids: Sequence[str],
        work: Callable[[Connection, list[str]], object],
        account_id: str = "",
    ) -> None:
        """Let ``work`` write to `PORTION` rows at a time: in between, others get their turn.

        Each portion is a transaction. If the farm dies in between, the first ones are done.

        Parameters:
            account_id: as for `write`.
        """
        for begin in range(0, len(ids), PORTION):
            with self.write(account_id) as connection:
                work(connection, list(ids[begin : begin + PORTION]))

    def _writing(self) -> dict[str, Any]:
        return {"farm_writes": True} | (postgres.writing() if self._on_postgres else {})

    def submit(
        self, work: Callable[[Connection], Result], account_id: str = ""
    ) -> "Future[Result]":
        """Let ``work`` write; its result is available once it is committed.

        Parameters:
            work: accesses nothing but the database: after another call's error it is repeated.
            account_id: as for `write`.
        """
        return self._shared.submit(work, account_id)

    def own(self) -> bool:
        """Keep other farms off this database until `close`; return whether that was possible.

        A SQLite file belongs to a data folder, which is locked already.
        """
        if self._on_postgres and self._owner is None:
            self._owner = postgres.own(self._engine)
            self._is_owned = self._owner is not None
            return self._is_owned
        return True

    def keep(self) -> bool:
        """Return whether a database that this process owns is still its own.

        A restarted server has lost the lock: it is taken again, unless another farm was faster.
        Raises SQLAlchemyError while the server does not answer.
        """
        if self._owner is not None and not postgres.is_alive(self._owner):
            self._owner.close()
            self._owner = None
        if self._is_owned and self._owner is None:
            self._owner = postgres.own(self._engine)
        return self._owner is not None or not self._is_owned

    def migrate(self, version: str = "head") -> None:
        """Bring the tables to this version of the farm, or to an earlier one."""
        # Imported only here: it is large, and most starts find the tables up to date.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, version)

    def version(self) -> str | None:
        """Return the version of the tables; None: there are none yet."""
        with self.read() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found = connection.execute(text("SELECT version_num FROM alembic_version"))
            version: str | None = found.scalar_one_or_none()
            return version

    @staticmethod
    def known_versions() -> list[str]:
        """Return the versions that this program knows, oldest first.

        From the names of their files: Alembic would execute each one for that.
        """
        return sorted(each.name.partition("_")[0] for each in MIGRATIONS.glob("versions/*_*.py"))

    @classmethod
    def newest_version(cls) -> str:
        """Return the version to which `migrate` leads."""
        return cls.known_versions()[-1]

    def close(self) -> None:
        """Execute what was submitted, then close all connections."""
        self._shared.close()
        if self._owner is not None:
            self._owner.close()
        self._engine.dispose()
