"""Reads the input of `plan`: not every waiting job, but all that could get a slot."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from farm_protocol.jobs import JobState
from sqlalchemy import Connection, Select, and_, case, func, or_, select, union_all

from farm.db.tables import accounts, claims, jobs, plans, runners, submissions
from farm.jobs.instances import most_runners
from farm.jobs.progress import Progress
from farm.jobs.turns import turn_seconds
from farm.scheduler.plan import JobView, RunnerView, Snapshot

_STARTABLE = (JobState.READY.value, JobState.RUNNING.value)


def read_snapshot(
    connection: Connection, slots: Mapping[str, int], held_back: Collection[str], now: datetime
) -> Snapshot:
    """Return the snapshot of this moment.

    Parameters:
        slots: capacity by machine type.
        held_back: ids of jobs that get no new runner now, because their last ones could not start.
    """
    rows = (
        [] if not slots else connection.execute(_query(max(slots.values()), held_back, now)).all()
    )
    turns = {row.id: turn_seconds(row.startup_seconds) for row in rows}
    living = _runners(connection, turns, now)
    views = []
    for row in rows:
        progress = Progress(
            row.frames_total,
            row.frames_done,
            row.frames_failed,
            row.frames_running,
            row.test_frames,
        )
        alive = living.get(row.id, ())
        waiting = progress.claimable
        if row.id in held_back or (row.not_before is not None and row.not_before > now):
            # No new ones; but those that are starting need not start over.
            waiting = min(waiting, sum(runner.idle for runner in alive))
        views.append(
            JobView(
                id=row.id,
                account_id=row.account_id,
                machine_type=row.machine_type,
                priority=row.priority,
                order=(row.number, row.position),
                most_runners=most_runners(row.instances, row.job_throughput_limit),
                waiting=waiting,
                startable=row.state in _STARTABLE,
                runners=alive,
            )
        )
    return Snapshot(
        jobs=views,
        slots=slots,
        max_throughput={row.account_id: row.max_throughput for row in rows},
        served={row.account_id: row.served_at.timestamp() for row in rows if row.served_at},
    )


_ALIVE = select(runners.c.job_id).where(runners.c.ended_at.is_(None))
_STARTED = jobs.c.frames_done + jobs.c.frames_failed + jobs.c.frames_running
_TESTING = jobs.c.frames_done < jobs.c.test_frames
_CLAIMABLE = case(
    (and_(_TESTING, jobs.c.frames_failed > 0), 0),
    (_TESTING, jobs.c.test_frames - _STARTED),
    else_=jobs.c.frames_total - _STARTED,
)
"""`Progress.claimable`, computed by the database."""


def _query(most: int, held_back: Collection[str], now: datetime) -> Select[Any]:
    """Return the query for the jobs on which a decision can depend.

    Those are the jobs with runners. And since each job takes at least one slot, the first waiting
    jobs of each user, as many as a machine type has slots; one more tells that somebody will wait.

    Parameters:
        most: slots of the largest machine type.
    """
    place = func.row_number().over(
        partition_by=(jobs.c.account_id, jobs.c.machine_type),
        order_by=(jobs.c.priority.desc(), submissions.c.number, jobs.c.position),
    )
    waiting = (
        select(jobs.c.id, place.label("place"))
        .join(submissions, jobs.c.submission_id == submissions.c.id)
        .where(
            jobs.c.state.in_(_STARTABLE),
            _CLAIMABLE > 0,
            or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now),
            jobs.c.id.not_in(held_back),
        )
        .subquery()
    )
    first = select(waiting.c.id).where(waiting.c.place <= most + 1)
    return (
        select(
            jobs.c.id,
            jobs.c.account_id,
            jobs.c.machine_type,
            jobs.c.priority,
            jobs.c.position,
            jobs.c.instances,
            jobs.c.state,
            jobs.c.frames_total,
            jobs.c.frames_done,
            jobs.c.frames_failed,
            jobs.c.frames_running,
            jobs.c.test_frames,
            jobs.c.not_before,
            jobs.c.startup_seconds,
            submissions.c.number,
            plans.c.job_throughput_limit,
            plans.c.max_throughput,
            accounts.c.served_at,
        )
        .join(submissions, jobs.c.submission_id == submissions.c.id)
        .join(accounts, jobs.c.account_id == accounts.c.id)
        .join(plans, accounts.c.plan == plans.c.name)
        .where(jobs.c.id.in_(union_all(first, _ALIVE)))
    )


def _runners(
    connection: Connection, turns: Mapping[str, float], now: datetime
) -> dict[str, list[RunnerView]]:
    """Return the living runners of each job, oldest first."""
    own = claims.c.runner_id == runners.c.id
    # A turn consists of work: waiting for a machine is not part of it.
    first = select(func.min(claims.c.created_at)).where(own).scalar_subquery()
    begun = select(claims.c.id).where(
        own, or_(claims.c.frames_done > 0, claims.c.current_frame.is_not(None))
    )
    rows = connection.execute(
        select(
            runners.c.id,
            runners.c.job_id,
            runners.c.created_at,
            runners.c.yielding,
            first.label("first_claim"),
            begun.exists().label("begun"),
        )
        .where(runners.c.ended_at.is_(None))
        .order_by(runners.c.created_at, runners.c.reference, runners.c.id)
    )
    living: dict[str, list[RunnerView]] = {}
    for row in rows:
        claimed = row.first_claim is not None
        worked = (now - row.first_claim).total_seconds() if claimed else 0.0
        over = bool(row.begun) and worked >= turns.get(row.job_id, 0.0)
        view = RunnerView(row.id, idle=not claimed, turn_over=over, yielding=row.yielding)
        living.setdefault(row.job_id, []).append(view)
    return living
