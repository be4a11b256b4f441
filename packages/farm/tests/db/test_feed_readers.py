"""Readers of the change feed, whose older lines are dropped while they read: any interleaving."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from farm.db import feed, files, job_rows, outputs
from farm.db.engine.database import Database
from farm.db.tables import changes
from farm.db.tables import jobs as jobs_table
from farm.db.tables import outputs as outputs_table
from farm.scheduler import actions
from farm_protocol.changes import Changes
from farm_protocol.jobs import JobChange
from farm_protocol.runner import OutputFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, insert, select

from .test_writers import add_job

JOBS, PATHS, READERS = 3, 3, 3
PAGE = 2
"""Lines: readers are between two pages most of the time."""

job_numbers = st.integers(0, JOBS - 1)
step = st.one_of(
    st.tuples(st.just("change"), job_numbers, st.integers(0, 5)),
    st.tuples(st.just("deliver"), job_numbers, st.integers(0, PATHS - 1), st.integers(0, 3)),
    st.tuples(st.just("remove"), job_numbers, st.integers(0, PATHS - 1)),
    st.tuples(st.just("read"), st.integers(0, READERS - 1)),
)


@dataclass
class Reader:
    """What an Envoy makes of the feed."""

    cursor: int = 0
    jobs: dict[str, int] = field(default_factory=dict)
    outputs: dict[tuple[str, str], int] = field(default_factory=dict)

    def hear(self, told: Changes) -> None:
        self.cursor = told.cursor
        self.jobs |= {job.id: job.priority for job in told.jobs}
        for gone in told.gone:
            self.outputs.pop((gone.job_id, gone.path), None)
        self.outputs |= {(each.job_id, each.path): each.size for each in told.outputs}


@dataclass
class Feed:
    """A database of some jobs."""

    database: Database
    account: str
    jobs: list[str]

    def clear(self) -> None:
        with self.database.write() as connection:
            connection.execute(delete(changes))
            connection.execute(delete(outputs_table))
            feed.jobs_changed(connection, self.account, self.jobs)

    def apply(self, connection: Connection, what: str, job: int, *more: int) -> None:
        job_id = self.jobs[job]
        if what == "change":
            actions.change(connection, [job_id], JobChange(priority=more[0]))
            return
        path = f"demo/out/{more[0]}"
        if what == "remove":
            its = (outputs_table.c.job_id == job_id) & (outputs_table.c.path == path)
            connection.execute(delete(outputs_table).where(its))
        else:
            outputs.store(
                connection,
                job_id=job_id,
                submission_id="s" * 32,
                account_id=self.account,
                frame=1,
                files=[OutputFile(path=path, hash=f"{more[1]:064x}", size=more[1])],
                now=datetime.now(UTC),
            )
        feed.outputs_changed(connection, self.account, job_id, [path])

    def read(self, reader: Reader) -> bool:
        with self.database.read() as connection:
            told = feed.after(connection, self.account, reader.cursor, PAGE)
        reader.hear(told)
        return told.more

    def truth(self) -> Reader:
        with self.database.read() as connection:
            rows = job_rows.fetch_many(connection, self.jobs).values()
            found = connection.execute(select(outputs_table)).all()
        return Reader(
            jobs={row.id: row.priority for row in rows},
            outputs={(each.job_id, each.path): each.size for each in found},
        )

    def lines(self) -> int:
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(changes)).scalar_one()


@pytest.fixture
def the_feed(open_again: Callable[[], Database]) -> Feed:
    database = open_again()
    account, job = add_job(database)
    ids = [job, *(f"{number:032}" for number in range(1, JOBS))]
    with database.write() as connection:
        row = connection.execute(select(jobs_table)).one()._asdict()
        for position, job_id in enumerate(ids[1:], 1):
            other = row | {"id": job_id, "position": position}
            connection.execute(insert(jobs_table).values(other))
        for number in range(4):
            files.add_blob(connection, account, f"{number:064x}", number, datetime.now(UTC))
    return Feed(database, account, ids)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(step, max_size=40))
def test_every_reader_ends_with_what_there_is(the_feed: Feed, steps: list[tuple[str, int]]) -> None:
    the_feed.clear()
    readers = [Reader() for _ in range(READERS)]
    told: set[tuple[int, int]] = set()
    for what, *which in steps:
        if what == "read":
            the_feed.read(readers[which[0]])
            continue
        with the_feed.database.write() as connection:
            the_feed.apply(connection, what, *which)
        if what != "change":
            told.add((which[0], which[1]))
        # One for each job, one for each result that there is or was.
        assert the_feed.lines() == JOBS + len(told)
    truth = the_feed.truth()
    for reader in readers:
        while the_feed.read(reader):
            pass
        assert (reader.jobs, reader.outputs) == (truth.jobs, truth.outputs)
