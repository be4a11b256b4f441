"""What it costs to add files to a project does not grow with the files that it has."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from farm.accounts.users import create
from farm.db import files
from farm.db.engine.database import Database
from farm.db.tables import manifest_entries
from farm_protocol.files import FileEntry
from farm_protocol.users import NewUser
from sqlalchemy import Connection, insert, text

HASH, NEW = "a" * 64, 500


def entry(path: str) -> dict[str, Any]:
    return {"path": path, "hash": HASH, "size": 5, "mtime_ns": 1}


def work(connection: Connection, look: Callable[[], object]) -> int:
    """Return how many rows or steps the database goes through while it is asked."""
    if connection.dialect.name == "postgresql":
        read = text(
            "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))"
            " FROM pg_stat_xact_user_tables WHERE relname = 'manifest_entries'"
        )
        before = connection.execute(read).scalar_one()
        look()
        return int(connection.execute(read).scalar_one() - before)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(count, 100)
    look()
    driver.set_progress_handler(None, 100)
    return steps


@pytest.mark.parametrize("found", [False, True])
def test_looking_for_new_files_goes_by_their_number(
    open_again: Callable[[], Database], found: bool
) -> None:
    database = open_again()
    account = create(database, NewUser(email="ann@example.com")).id
    with database.write() as connection:
        files.add_blob(connection, account, HASH, 5, datetime.now(UTC))
        project = files.ensure_project(connection, account, "demo", datetime.now(UTC))
        files.put_entries(connection, account, project, [FileEntry(**entry("demo/scene.blend"))])
    new = {f"demo/more/{number:05d}.exr" for number in range(NEW)}
    if found:
        new.add("demo/old/04000.exr")
    folders = {"demo/more", "demo/old"}

    def fill(first: int, end: int) -> None:
        with database.write() as connection:
            connection.execute(
                insert(manifest_entries),
                [
                    entry(f"demo/old/{number:05d}.exr/x")
                    | {"project_id": project, "account_id": account}
                    for number in range(first, end)
                ],
            )

    def cost() -> int:
        with database.read() as connection:
            answers: list[Any] = []

            def look() -> None:
                answers.append(files.new_paths(connection, project, new))
                answers.append(files.two_in_one(connection, project, new, folders))

            counted = work(connection, look)
            assert answers[0] == new
            clash = ("demo/old/04000.exr", "demo/old/04000.exr/x") if found else None
            assert answers[1] == clash
            return counted

    fill(0, 5_000)
    few = cost()
    fill(5_000, 50_000)
    assert cost() < 2 * few + 2 * NEW
