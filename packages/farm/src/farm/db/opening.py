"""Opening a farm's data folder, for the server and for the commands beside it."""

from pathlib import Path

from farm.db import feed
from farm.db.database import Database


def open_database(data_dir: Path) -> Database:
    """Open the farm's database, made and migrated where needed."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database.in_folder(data_dir)
    database.migrate()
    with database.write() as connection:
        feed.ensure_farm_id(connection)
    return database
