"""What is read for a decision is enough for it, however many jobs wait."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from farm.accounts.users import create
from farm.db import job_rows, new_jobs, projects, runners
from farm.db.engine.database import Database
from farm.db.new_jobs import NewJobs, NewSubmission
from farm.jobs.frames import Frames
from farm.jobs.progress import Progress
from farm.scheduler.plan import plan
from farm.scheduler.snapshot import read_snapshot
from farm_protocol.users import NewUser
from sqlalchemy import Connection
from stored_jobs import plain_job

NOW = datetime(2030, 1, 1, tzinfo=UTC)
USERS, JOBS, SLOTS = 2, 120, {"small": 1, "large": 4}
EVERYTHING = {"small": 10_000, "large": 10_000}


def fill(connection: Connection, accounts: list[str], chance: random.Random) -> dict[str, Progress]:
    """Store jobs at every point of their lives; return those that may be worked on."""
    workable = {}
    for number in range(JOBS):
        account, job_id = chance.choice(accounts), f"{number:032d}"
        project = projects.ensure(connection, account, "demo", NOW).id
        new_jobs.insert_submission(
            connection, NewSubmission(job_id, account, project, 1, "demo", "s", "o", NOW)
        )
        counts = [chance.randrange(3) for _ in range(3)]
        done, failed, running = counts
        total = sum(counts) + chance.randrange(3)
        progress = Progress(total, done, failed, running, chance.choice([0, 0, 2]))
        state = chance.choice(["ready", "running", "running", "suspended"])
        later = chance.choice([None, None, NOW - timedelta(1), NOW + timedelta(1)])
        new = replace(
            plain_job(job_id, job_id, account),
            instances=chance.randrange(4),
            priority=chance.randrange(3),
            machine_type=chance.choice(list(SLOTS)),
            state=state,
            frames_total=progress.total,
            frames_done=progress.done,
            frames_failed=progress.failed,
            frames_running=progress.running,
            test_frames=progress.test_frames,
        )
        rows = NewJobs()
        rows.add(new, Frames((range(1, 2),)), [])
        rows.store(connection, NOW)
        if later is not None:
            job_rows.put(connection, job_rows.row(connection, job_id), not_before=later)
        if chance.random() < 0.05:
            runners.add_runner(
                connection,
                runner_id=job_id,
                job_id=job_id,
                token_hash=job_id,
                host="",
                now=NOW,
                expires_at=NOW + timedelta(1),
            )
        if state != "suspended" and (later is None or later <= NOW):
            workable[job_id] = progress
    return workable


@pytest.fixture
def database(open_again: Callable[[], Database]) -> Database:
    return open_again()


@pytest.mark.parametrize("seed", range(6))
def test_the_decision_is_the_same_as_from_all_jobs(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    people = [NewUser(email=f"{each}@example.com", credits=Decimal(9)) for each in range(USERS)]
    accounts = [create(database, each).id for each in people]
    with database.write() as connection:
        workable = fill(connection, accounts, chance)
    held_back = {f"{chance.randrange(JOBS):032d}"}
    with database.read() as connection:
        read = read_snapshot(connection, SLOTS, held_back, NOW)
        everything = read_snapshot(connection, EVERYTHING, held_back, NOW)
    free = {
        job_id: progress.claimable
        for job_id, progress in workable.items()
        if progress.claimable > 0 and job_id not in held_back
    }
    shown = {job.id: job for job in everything.jobs if job.startable and job.waiting > 0}
    assert {job_id: shown[job_id].waiting for job_id in free} == free
    for job_id in shown.keys() - free.keys():
        # Held back: nothing is started for it, and nobody who gets ready is sent away.
        assert shown[job_id].waiting <= sum(runner.idle for runner in shown[job_id].runners)
    assert len(read.jobs) < len(everything.jobs)
    decision, whole = plan(read), plan(replace(everything, slots=SLOTS))
    assert decision.yields == whole.yields
    assert sorted(decision.launches, key=str) == sorted(whole.launches, key=str)
