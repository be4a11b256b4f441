"""Writers in several processes at once, on both databases."""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from farm.accounts.users import create
from farm.db import feed, files, manifests, new_jobs, projects
from farm.db import jobs as job_table
from farm.db.engine.database import Database
from farm.db.new_jobs import NewJobs, NewSubmission
from farm.db.opening import open_database
from farm.db.tables import changes
from farm.errors import CannotOpenDatabaseError
from farm.jobs.frames import Frames
from farm_protocol.files import FileEntry
from farm_protocol.users import NewUser
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from stored_jobs import plain_job

WRITERS, TRANSACTIONS = 4, 25


def add_job(database: Database) -> tuple[str, str]:
    """Store what a change must belong to; return the account's id and the job's."""
    account = create(database, NewUser(email="ann@example.com")).id
    now = datetime.now(UTC)
    with database.write() as connection:
        project = projects.ensure(connection, account, "demo", now)
        new_jobs.insert_submission(
            connection,
            NewSubmission("s" * 32, account, project.id, 1, "demo", "s", "demo/out", now),
        )
        new = NewJobs()
        job = plain_job("j" * 32, "s" * 32, account)
        new.add(job, Frames((range(1, 2),)), [])
        new.store(connection, now)
    return account, "j" * 32


def test_the_feed_never_skips_a_change(open_again: Callable[[], Database]) -> None:
    # A change has its id before it is committed; a reader must not pass it by in between.
    reader = open_again()
    account, job = add_job(reader)
    done = threading.Event()
    seen: list[str] = []

    def follow() -> None:
        cursor = 0
        while True:
            last_look = done.is_set()
            with reader.read() as connection:
                found = feed.after(connection, account, cursor)
            # Nobody has stored the results that the feed tells of here.
            seen.extend(each.path for each in found.gone)
            cursor = found.cursor
            if last_look:
                return

    def write(database: Database, seed: int) -> None:
        chance = random.Random(seed)
        for count in range(TRANSACTIONS):
            with database.write() as connection:
                feed.outputs_changed(connection, account, job, [f"{seed}/{count}"])
                time.sleep(chance.random() * 0.004)  # Commits in another order, if it can.

    following = threading.Thread(target=follow)
    writers = [threading.Thread(target=write, args=(open_again(), seed)) for seed in range(WRITERS)]
    for thread in (following, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    following.join()
    with reader.read() as connection:
        stored = list(connection.execute(select(changes.c.output_path).order_by(changes.c.id)))
    written = [path for (path,) in stored if path is not None]
    assert len(stored) == len(written) + 1
    assert len(written) == WRITERS * TRANSACTIONS
    assert seen == written


def test_what_a_writer_has_read_stays_true(open_again: Callable[[], Database]) -> None:
    # Each takes the next number after the highest: two that read the same one would clash.
    first = open_again()
    account, _ = add_job(first)
    now = datetime.now(UTC)
    failures: list[Exception] = []

    def submit(database: Database, writer: int) -> None:
        for count in range(TRANSACTIONS):
            try:
                with database.write() as connection:
                    project = projects.ensure(connection, account, f"p{count}", now)
                    submission_id = f"{writer:016d}{count:016d}"
                    new_jobs.insert_submission(
                        connection,
                        NewSubmission(
                            submission_id, account, project.id, 1, "p", "s", "p/out", now
                        ),
                    )
            except IntegrityError as error:
                failures.append(error)

    threads = [
        threading.Thread(target=submit, args=(open_again(), writer)) for writer in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with first.read() as connection:
        assert len(projects.summaries(connection, account, None, 1000)) == TRANSACTIONS + 1


def test_a_reader_sees_one_state(open_again: Callable[[], Database]) -> None:
    first, second = open_again(), open_again()
    account, job = add_job(first)
    with first.read() as connection:
        before = feed.newest(connection, account)
        with second.write() as other:
            feed.job_changed(other, account, job)
        assert feed.newest(connection, account) == before
    with first.read() as connection:
        assert feed.newest(connection, account) > before


def test_a_failed_transaction_leaves_nothing_and_ids_never_come_back(
    open_again: Callable[[], Database],
) -> None:
    database = open_again()
    account, job = add_job(database)
    with database.write() as connection:
        feed.job_changed(connection, account, job)

    def fail_half_way() -> None:
        with database.write() as connection:
            feed.job_changed(connection, account, job)
            connection.execute(insert(changes).values(account_id="nobody", job_id="none"))

    with pytest.raises(IntegrityError):
        fail_half_way()
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(changes)).scalar_one() == 1
        newest = feed.newest(connection, account)
    with database.write() as connection:
        connection.execute(changes.delete())
        feed.job_changed(connection, account, job)
        assert feed.newest(connection, account) > newest


def test_texts_and_numbers_come_back_as_they_were(open_again: Callable[[], Database]) -> None:
    database = open_again()
    text = "Größe \N{SNOWMAN} 'quoted' %s {x} \\n\n"
    account, job = add_job(database)
    with database.write() as connection:
        project = projects.ensure(connection, account, text.strip(), datetime.now(UTC))
        files.add_blob(connection, account, "0" * 64, 2**59, datetime.now(UTC))
        names = ("b/Z", "a/ä", "a/z", "A/z", "a/Z")
        entries = [
            FileEntry(path=f"demo/{name}", hash="0" * 64, size=2**59, mtime_ns=-5) for name in names
        ]
        manifests.add(connection, account, project, entries)
    with database.read() as connection:
        shown = {each.name: each for each in projects.summaries(connection, account, None, 9)}
        assert shown[text.strip()].total_size == 5 * 2**59
        found = manifests.entries(connection, project.id, project.next_snapshot)
        assert [each.path for each in found] == sorted(each.path for each in entries)
        assert job_table.by_ids(connection, [job])[0].warnings == []


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("nonsense", "postgresql://user@host"),
        ("mysql://user:secret@host/farm", "postgresql://user@host"),
        ("postgresql://farm:secret@/farm?host=/nowhere", "/nowhere"),
    ],
)
def test_a_database_that_cannot_be_opened_is_told_in_a_message(
    tmp_path: Path, url: str, word: str
) -> None:
    with pytest.raises(CannotOpenDatabaseError) as caught:
        open_database(tmp_path, url)
    assert word in caught.value.message
    assert "secret" not in caught.value.message
