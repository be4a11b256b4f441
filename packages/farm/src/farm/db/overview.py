"""Jobs and runners of all users, for the farm's administrator."""

from dataclasses import dataclass
from datetime import datetime

from farm_protocol.jobs import JobState
from sqlalchemy import Connection, func, select

from farm.db.engine.rows import rows_as
from farm.db.jobs import INSTANCES, SAYS
from farm.db.tables import accounts, claims, jobs, plans, runners, submissions


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job, as a row of a list. Times are UTC; ``runners``: alive now."""

    id: str
    user: str
    project: str
    submission_id: str
    submission: str
    name: str
    state: str
    priority: int
    instances: int
    machine_type: str
    runners: int
    frames_total: int
    frames_done: int
    frames_failed: int
    frames_running: int
    message: str
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One living runner.

    Attributes:
        host: "" until its first claim.
        since: when it was started.
        frames: frames of its open claim, as text; "" between claims.
        claim_done, claim_total: frames of the open claim; 0 between claims.
        current_frame: None between frames.
        heard_at: its last sign of life; None before its first claim.
        frames_done: over all its claims.
    """

    id: str
    host: str
    machine_type: str
    user: str
    job_id: str
    job: str
    since: datetime
    yielding: bool
    frames: str
    claim_done: int
    claim_total: int
    current_frame: int | None
    heard_at: datetime | None
    frames_done: int


_OVER = [state.value for state in JobState if state.is_final]


def job_lines(
    connection: Connection, *, user: str | None = None, over: bool = False, limit: int = 1000
) -> list[JobLine]:
    """Return jobs, newest submission first.

    Parameters:
        user: email address of the only user to show.
        over: include those that have ended.
    """
    alive = (
        select(func.count())
        .where(runners.c.job_id == jobs.c.id, runners.c.ended_at.is_(None))
        .scalar_subquery()
    )
    query = (
        select(
            jobs.c.id,
            accounts.c.email.label("user"),
            submissions.c.project,
            jobs.c.submission_id,
            submissions.c.name.label("submission"),
            jobs.c.name,
            jobs.c.state,
            jobs.c.priority,
            INSTANCES,
            jobs.c.machine_type,
            alive.label("runners"),
            jobs.c.frames_total,
            jobs.c.frames_done,
            jobs.c.frames_failed,
            jobs.c.frames_running,
            SAYS,
            jobs.c.submitted_at,
        )
        .join(submissions, submissions.c.id == jobs.c.submission_id)
        .join(accounts, accounts.c.id == jobs.c.account_id)
        .join(plans, plans.c.name == accounts.c.plan)
        .order_by(submissions.c.number.desc(), jobs.c.position)
        .limit(limit)
    )
    if user is not None:
        query = query.where(accounts.c.email == user)
    if not over:
        query = query.where(jobs.c.state.not_in(_OVER))
    return rows_as(JobLine, connection.execute(query))


def worker_lines(connection: Connection) -> list[WorkerLine]:
    """Return the living runners, oldest first."""
    total = (
        select(func.coalesce(func.sum(claims.c.frames_done), 0))
        .where(claims.c.runner_id == runners.c.id)
        .correlate(runners)
        .scalar_subquery()
    )
    query = (
        select(
            runners.c.id,
            runners.c.host,
            jobs.c.machine_type,
            accounts.c.email.label("user"),
            jobs.c.id.label("job_id"),
            jobs.c.name.label("job"),
            runners.c.created_at.label("since"),
            runners.c.yielding,
            func.coalesce(claims.c.frames, "").label("frames"),
            func.coalesce(claims.c.frames_done, 0).label("claim_done"),
            func.coalesce(claims.c.frames_total, 0).label("claim_total"),
            claims.c.current_frame,
            claims.c.heartbeat_at.label("heard_at"),
            total.label("frames_done"),
        )
        .join(jobs, jobs.c.id == runners.c.job_id)
        .join(accounts, accounts.c.id == jobs.c.account_id)
        .outerjoin(claims, (claims.c.runner_id == runners.c.id) & claims.c.ended_at.is_(None))
        .where(runners.c.ended_at.is_(None))
        .order_by(runners.c.created_at, runners.c.id)
    )
    return rows_as(WorkerLine, connection.execute(query))


def jobs_beginning_with(connection: Connection, prefix: str) -> list[str]:
    """Return up to two ids of jobs with this prefix."""
    query = select(jobs.c.id).where(jobs.c.id.startswith(prefix, autoescape=True)).limit(2)
    return list(connection.execute(query).scalars())


def tasks_beginning_with(connection: Connection, job_id: str, prefix: str) -> list[str]:
    """Return up to two ids of a job's tasks with this prefix."""
    query = select(claims.c.id).where(
        claims.c.job_id == job_id, claims.c.id.startswith(prefix, autoescape=True)
    )
    return list(connection.execute(query.limit(2)).scalars())
