from pathlib import Path

import pytest
from scheduler.world import Place

from tools.temporary_postgres import TemporaryPostgres


@pytest.fixture
def place(tmp_path: Path, database_url: str | None, server: TemporaryPostgres | None) -> Place:
    """Where worlds get their databases."""
    return Place(tmp_path, database_url, server)
