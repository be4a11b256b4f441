"""Commands work on the database of the test."""

import pytest


@pytest.fixture
def on_database(database_url: str | None, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Let the commands of this test work on SQLite, then on PostgreSQL."""
    if database_url is not None:
        monkeypatch.setenv("FARM_DATABASE_URL", database_url)
    return database_url
