"""What it costs to add files to a project does not grow with the files that it has."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from farm.accounts.users import create
from farm.db import files, manifests, projects
from farm.db.engine.database import Database
from farm.db.tables import manifest_entries, replaced_entries
from farm.submissions.project_files import ProjectPaths
from farm_protocol.files import FileEntry
from farm_protocol.users import NewUser
from sqlalchemy import Connection, event, insert, select, text

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
        row = projects.ensure(connection, account, "demo", datetime.now(UTC))
        manifests.add(connection, account, row, [FileEntry(**entry("demo/scene.blend"))])
        project = row.id
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
                    | {"project_id": project, "account_id": account, "since": 1}
                    for number in range(first, end)
                ],
            )

    def cost() -> int:
        with database.read() as connection:
            answers: list[Any] = []

            def look() -> None:
                answers.append(manifests.lines(connection, project, new))
                answers.append(manifests.two_in_one(connection, project, new, folders))

            counted = work(connection, look)
            assert answers[0] == {}
            clash = ("demo/old/04000.exr", "demo/old/04000.exr/x") if found else None
            assert answers[1] == clash
            return counted

    fill(0, 5_000)
    few = cost()
    fill(5_000, 50_000)
    assert cost() < 2 * few + 2 * NEW


def test_lines_are_taken_out_by_few_statements_however_many(
    open_again: Callable[[], Database],
) -> None:
    """Those that a snapshot has are kept; other lines, and those of other projects, stay."""
    database = open_again()
    account = create(database, NewUser(email="ann@example.com")).id
    paths = [f"demo/it's {number:04d}" for number in range(3 * NEW)]
    now = datetime.now(UTC)
    with database.write() as connection:
        files.add_blob(connection, account, HASH, 5, now)
        other = projects.ensure(connection, account, "other", now)
        mine = projects.ensure(connection, account, "demo", now)
        old = [FileEntry(**entry(path)) for path in paths[: 2 * NEW]]
        manifests.add(connection, account, other, old)
        manifests.add(connection, account, mine, old)
        projects.take_snapshot(connection, mine)
    with database.write() as connection:
        found = projects.find(connection, account, "demo")
        assert found is not None
        mine = found
        added = [FileEntry(**entry(path)) for path in paths[2 * NEW :]]
        manifests.add(connection, account, mine, added)
    gone = paths[NEW : 3 * NEW - 1]
    executed = 0

    def count(*said: Any) -> None:
        nonlocal executed
        _, _, _, parameters, _, many = said
        executed += len(parameters) if many else 1

    with database.write() as connection:
        lines = manifests.lines(connection, mine.id, gone)
        event.listen(connection, "before_cursor_execute", count)
        manifests.drop(connection, mine, lines)
        event.remove(connection, "before_cursor_execute", count)
    assert executed <= 2
    with database.read() as connection:
        of_mine = manifests.hashes(connection, mine.id, "", 4 * NEW)
        assert [path for path, _ in of_mine] == [*paths[:NEW], paths[-1]]
        of_other = manifests.hashes(connection, other.id, "", 4 * NEW)
        assert [path for path, _ in of_other] == paths[: 2 * NEW]
        kept = connection.execute(select(replaced_entries)).mappings().all()
        assert sorted(line["path"] for line in kept) == paths[NEW : 2 * NEW]
        assert {(line["project_id"], line["since"], line["until"]) for line in kept} == {
            (mine.id, 1, 2)
        }
        before = [each.path for each in manifests.entries(connection, mine.id, 1)]
        assert before == paths[: 2 * NEW]


def test_looking_for_a_sequence_goes_by_its_length(open_again: Callable[[], Database]) -> None:
    database = open_again()
    account = create(database, NewUser(email="ann@example.com")).id
    with database.write() as connection:
        files.add_blob(connection, account, HASH, 5, datetime.now(UTC))
        row = projects.ensure(connection, account, "demo", datetime.now(UTC))
        frames = [f"demo/film/f_{number:05d}.exr" for number in range(2 * NEW + 10)]
        manifests.add(connection, account, row, [FileEntry(**entry(each)) for each in frames])
    pending = ["demo/film/f_00003.exr", "demo/film/f_1.exr", "demo/film/g_1.exr"]

    def fill(first: int, last: int) -> None:
        others = [f"demo/{'ez'[number % 2]}/{number:05d}.exr" for number in range(first, last)]
        with database.write() as connection:
            manifests.add(connection, account, row, [FileEntry(**entry(each)) for each in others])

    def cost() -> int:
        with database.read() as connection:
            paths = ProjectPaths(connection, row.id, pending)

            def look() -> None:
                assert list(paths.beginning("demo/film/f_")) == sorted([*frames, *pending[:2]])

            counted = work(connection, look)
            assert sum(1 for _ in paths) > len(frames) + len(pending)
            return counted

    fill(0, 1_000)
    few = cost()
    fill(1_000, 30_000)
    assert cost() < 2 * few + 2 * NEW
    with database.read() as connection:
        assert list(ProjectPaths(connection, None, pending)) == pending
