from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from farm.db.opening import open_database
from farm.db.tables import metadata


def test_the_migrations_lead_to_the_tables(tmp_path: Path, empty_url: str | None) -> None:
    database = open_database(tmp_path, empty_url)
    with database.write() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_opening_again_keeps_what_is_there(tmp_path: Path, database_url: str | None) -> None:
    from farm.db import feed

    names = set()
    for _ in range(2):
        database = open_database(tmp_path, database_url)
        with database.read() as connection:
            names.add(feed.farm_id(connection))
        database.close()
    assert len(names) == 1
