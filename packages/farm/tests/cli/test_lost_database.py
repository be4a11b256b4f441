"""A farm whose database is away ends when it is told to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.temporary_postgres import NoPostgresError, TemporaryPostgres


def test_a_farm_without_its_database_ends(tmp_path: Path) -> None:
    try:
        server = TemporaryPostgres()
    except NoPostgresError as error:
        pytest.skip(str(error))
    process = subprocess.Popen(
        [sys.executable, "-m", "farm", "serve", "--embedded", "--data-dir", str(tmp_path / "farm")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FARM_DATABASE_URL": server.url("postgres")},
    )
    try:
        assert process.stdout is not None
        json.loads(process.stdout.readline())  # It is ready.
        server.close()
        process.terminate()
        # Its own time for runners, and none that it waits for the database.
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode is not None
