"""Opening a farm's database, for the server and for the commands beside it."""

from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from farm.db import feed
from farm.db.database import Database
from farm.errors import CannotOpenDatabaseError


def open_database(data_dir: Path, url: str | None) -> Database:
    """Open the farm's database, made and migrated where needed.

    Parameters:
        url: ``postgresql://...``; None: the SQLite file of the data folder.

    Raises:
        CannotOpenDatabaseError: not such an address, the driver is missing, or no answer.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database.in_folder(data_dir) if url is None else _on_server(url)
    try:
        database.migrate()
        with database.write() as connection:
            feed.ensure_farm_id(connection)
    except OperationalError as error:
        database.close()
        where = database.url.render_as_string(hide_password=True)
        raise CannotOpenDatabaseError(
            f"The database {where} cannot be used: {str(error.orig).strip()}"
        ) from error
    return database


def _on_server(url: str) -> Database:
    try:
        known = make_url(url).get_backend_name() == "postgresql"
    except ArgumentError:
        known = False
    if not known:
        # Not repeated in the sentence: it may hold a password.
        raise CannotOpenDatabaseError(
            "FARM_DATABASE_URL must be like postgresql://user@host:5432/farm; "
            "leave it out to use the SQLite file of the data folder."
        )
    try:
        return Database(url)
    except ModuleNotFoundError as error:
        raise CannotOpenDatabaseError(
            f"FARM_DATABASE_URL needs PostgreSQL's driver ({error.name}): "
            "install render-farm[postgres]."
        ) from error
