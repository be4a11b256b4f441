"""Opens a farm's database, for the server and for administration commands.

Only the server and ``farm migrate`` create a database or change its tables, and both lock the data
folder meanwhile. A data folder records which database belongs to it, so that a farm with blobs is
not opened with an empty database because FARM_DATABASE_URL was forgotten.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from farm.db import feed, files
from farm.db.engine.database import SQLITE_FILE, Database
from farm.db.memory import BLOBS, Kind, Memory
from farm.db.tables import metadata
from farm.errors import CannotOpenDatabaseError


def open_database(data_dir: Path, url: str | None) -> Database:
    """Open the farm's database; create or migrate it if necessary. See `connect` and `adopt`."""
    database = connect(data_dir, url)
    adopt(database, data_dir)
    return database


def open_existing(data_dir: Path, url: str | None) -> Database:
    """Open the database of an existing farm, without creating or changing anything.

    Parameters:
        url: as for `connect`.

    Raises:
        CannotOpenDatabaseError: as for `connect`; or there is no farm, or its tables are of another
            version.
    """
    memory = Memory.read(data_dir)
    if url is None and memory is None and not (data_dir / SQLITE_FILE).exists():
        raise CannotOpenDatabaseError(_nothing_in(data_dir))
    database = connect(data_dir, url)
    with _closed_on_error(database):
        version = database.version()
        if version is None:
            _refuse_lost(database, data_dir, memory)
            raise CannotOpenDatabaseError(_nothing_in(data_dir))
        _refuse_newer(database, version)
        if version != database.newest_version():
            raise CannotOpenDatabaseError(
                f"The database of {data_dir} is of an older version. Stop the farm, then bring it"
                f" up to date with: farm migrate --data-dir {data_dir}"
            )
        _check_identity(database, data_dir, memory)
    return database


def connect(data_dir: Path, url: str | None) -> Database:
    """Connect to the database of a data folder, without reading or changing any table.

    Parameters:
        url: ``postgresql://...``; None: the SQLite file of the data folder.

    Raises:
        CannotOpenDatabaseError: invalid URL, driver not installed, no connection, or the folder
            belongs to a database of the other kind.
    """
    parsed = None if url is None else _parsed(url)
    memory = Memory.read(data_dir)
    if memory is not None:
        _check_kind(data_dir, memory, parsed)
    elif parsed is None and not (data_dir / SQLITE_FILE).exists() and (data_dir / BLOBS).exists():
        # A folder from before databases were recorded. With SQLite, its file is older than any
        # blob.
        raise CannotOpenDatabaseError(
            f"{data_dir} holds the files of a farm, but no {SQLITE_FILE}: set FARM_DATABASE_URL to"
            f" its database, or restore {SQLITE_FILE} from a backup."
        )
    if parsed is None:
        return Database.in_folder(data_dir)
    try:
        database = Database(parsed)
    except ModuleNotFoundError as error:
        raise CannotOpenDatabaseError(
            f"FARM_DATABASE_URL needs PostgreSQL's driver ({error.name}): "
            "install render-farm[postgres]."
        ) from error
    with _closed_on_error(database):
        database.version()  # Fails without a connection.
    return database


def adopt(database: Database, data_dir: Path, *, new_folder: bool = True) -> None:
    """Create or migrate the tables, and record the database in the folder. On an error, close it.

    Parameters:
        new_folder: accept a new folder for a farm that already has files.

    Raises:
        CannotOpenDatabaseError: no connection, a newer version, or another farm's database.
    """
    memory = Memory.read(data_dir)
    with _closed_on_error(database):
        version = database.version()
        if version is None:
            _refuse_lost(database, data_dir, memory)
        if version is None and database.on_server and (data_dir / SQLITE_FILE).exists():
            raise CannotOpenDatabaseError(
                f"The farm of {data_dir} keeps its data in {SQLITE_FILE}, and the database of"
                " FARM_DATABASE_URL is empty. Leave the variable out, or give the new farm a folder"
                " of its own with --data-dir."
            )
        if version is not None:
            _refuse_newer(database, version)
            _check_identity(database, data_dir, memory)
        known = memory is not None or (data_dir / BLOBS).exists()
        if version is not None and database.on_server and not known and not new_folder:
            _refuse_strange_folder(database, data_dir)
        if version != database.newest_version():
            database.migrate()
        with database.write() as connection:
            feed.ensure_farm_id(connection)
            farm_id = feed.farm_id(connection)
            for table in metadata.sorted_tables:
                connection.execute(select(*table.columns).limit(0))  # Fails if a column is missing.
        assert farm_id is not None
        _memory_of(database, farm_id).write(data_dir)


@contextmanager
def _closed_on_error(database: Database) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        database.close()
        raise CannotOpenDatabaseError(
            f"The database {_name(database)} cannot be used: {str(error.orig).strip()}"
        ) from error
    except BaseException:
        database.close()
        raise


def _name(database: Database) -> str:
    return database.url.render_as_string(hide_password=True)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            return parsed
    except ArgumentError:
        pass
    # Not included in the message: it may contain a password.
    raise CannotOpenDatabaseError(
        "FARM_DATABASE_URL must be like postgresql://user@host:5432/farm; "
        "leave it out to use the SQLite file of the data folder."
    )


def _nothing_in(data_dir: Path) -> str:
    return (
        f"There is no farm in {data_dir} yet. Start it with: farm serve --data-dir {data_dir}"
        " (or make it with farm migrate). Name the folder of another one with --data-dir."
    )


def _check_kind(data_dir: Path, memory: Memory, url: URL | None) -> None:
    if memory.kind is Kind.POSTGRESQL and url is None:
        raise CannotOpenDatabaseError(
            f"The farm of {data_dir} keeps its data in PostgreSQL ({memory.where}). Set"
            " FARM_DATABASE_URL to its address."
        )
    if memory.kind is Kind.SQLITE and url is not None:
        raise CannotOpenDatabaseError(
            f"The farm of {data_dir} keeps its data in {SQLITE_FILE}, not in the database of"
            " FARM_DATABASE_URL. Leave the variable out, or name the other farm's folder with"
            " --data-dir."
        )
    if memory.kind is Kind.SQLITE and not (data_dir / SQLITE_FILE).exists():
        raise CannotOpenDatabaseError(_lost(data_dir, memory))


def _refuse_lost(database: Database, data_dir: Path, memory: Memory | None) -> None:
    """Refuse an empty database for the folder of an existing farm."""
    if memory is not None:
        raise CannotOpenDatabaseError(_lost(data_dir, memory))
    if (data_dir / BLOBS).exists():
        what = f"its {SQLITE_FILE} is empty: restore it from a backup, or set FARM_DATABASE_URL"
        if database.on_server:
            what = "the database of FARM_DATABASE_URL is empty: set the variable"
        raise CannotOpenDatabaseError(
            f"{data_dir} holds the files of a farm, and {what} to the farm's database. To"
            " start afresh, name another folder with --data-dir."
        )


def _lost(data_dir: Path, memory: Memory) -> str:
    what = f"there is no {SQLITE_FILE}"
    if memory.kind is Kind.POSTGRESQL:
        what = "that of FARM_DATABASE_URL is empty. Correct the variable if it names another one"
    return (
        f"The farm of {data_dir} has lost its database ({memory.where}): {what}. Restore it"
        " from a backup. To start afresh, name another folder with --data-dir."
    )


def _check_identity(database: Database, data_dir: Path, memory: Memory | None) -> None:
    if memory is None:
        return
    with database.read() as connection:
        farm_id = feed.farm_id(connection)
    if farm_id == memory.farm_id:
        return
    subject = "The database of FARM_DATABASE_URL" if database.on_server else SQLITE_FILE
    raise CannotOpenDatabaseError(
        f"{subject} belongs to another farm, not to that of {data_dir} ({memory.where})."
        " Name the right database, or the other farm's folder with --data-dir."
    )


def _refuse_newer(database: Database, version: str) -> None:
    if version not in database.known_versions():
        raise CannotOpenDatabaseError(
            f"The database {_name(database)} was written by a newer version of this program"
            f" ({version}; this one knows {database.newest_version()}). Update this program."
        )


def _refuse_strange_folder(database: Database, data_dir: Path) -> None:
    """Refuse a new folder for a farm whose files must be in another one."""
    with database.read() as connection:
        if not files.any_blob(connection):
            return
    raise CannotOpenDatabaseError(
        f"The database of FARM_DATABASE_URL belongs to a farm whose files are not in {data_dir}."
        " Name its folder with --data-dir. If that folder is lost, give the database to"
        f" this one with: farm migrate --data-dir {data_dir}"
    )


def _memory_of(database: Database, farm_id: str) -> Memory:
    if not database.on_server:
        return Memory(kind=Kind.SQLITE, farm_id=farm_id, where=SQLITE_FILE)
    url = database.url
    host = url.host or url.query.get("host", "")
    where = f"'{url.database}' on {host}" if host else f"'{url.database}'"
    return Memory(kind=Kind.POSTGRESQL, farm_id=farm_id, where=where)
