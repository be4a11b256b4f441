"""Opening a farm's database, for the server and for the commands beside it.

Only the server and ``farm migrate`` make a database or change its tables, and both own the data
folder while they do. A data folder remembers which database is its own, so that a forgotten
FARM_DATABASE_URL does not open an empty farm beside the blobs of a full one.
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
    """Open the farm's database, made and migrated where needed; see `connect` and `adopt`."""
    database = connect(data_dir, url)
    adopt(database, data_dir)
    return database


def open_existing(data_dir: Path, url: str | None) -> Database:
    """Open the database of an existing farm; nothing is created, and no table changed.

    Parameters:
        url: as of `connect`.

    Raises:
        CannotOpenDatabaseError: as of `connect`; or there is no farm, or one of another version.
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
    """Return the database of a data folder, before anything is read or changed.

    Parameters:
        url: ``postgresql://...``; None: the SQLite file of the data folder.

    Raises:
        CannotOpenDatabaseError: not such an address, the driver is missing, no answer, or the
            folder belongs to another kind of database.
    """
    parsed = None if url is None else _parsed(url)
    memory = Memory.read(data_dir)
    if memory is not None:
        _check_kind(data_dir, memory, parsed)
    elif parsed is None and not (data_dir / SQLITE_FILE).exists() and (data_dir / BLOBS).exists():
        # Of a time when folders did not remember: with SQLite, its file is there before blobs are.
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
        database.version()  # Does it answer?
    return database


def adopt(database: Database, data_dir: Path, *, new_folder: bool = True) -> None:
    """Create or migrate the tables, and record the database in the folder. Closed on an error.

    Parameters:
        new_folder: whether the folder may be a new one of a farm that has files already.

    Raises:
        CannotOpenDatabaseError: no answer, a newer version, or another farm's database.
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
                connection.execute(select(*table.columns).limit(0))  # Is it complete?
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
    # Not repeated in the message: it may hold a password.
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
    """Refuse an empty database for a folder with a farm: it would be a second one."""
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
    """Refuse a new folder for a farm whose files must be somewhere else."""
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
