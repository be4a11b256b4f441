"""Reads what `plan` decides on."""

from collections.abc import Collection, Mapping

from farm_protocol.jobs import JobState
from sqlalchemy import Connection, func, or_, select

from farm.accounts.plans import plan_named
from farm.db.tables import accounts, claims, jobs, runners, submissions
from farm.scheduler.plan import JobView, Snapshot

_STARTABLE = (JobState.READY.value, JobState.RUNNING.value)


def read_snapshot(
    connection: Connection, slots: Mapping[str, int], held_back: Collection[str]
) -> Snapshot:
    """Return the snapshot of this moment.

    Parameters:
        slots: capacity by machine type.
        held_back: ids of jobs that get no new runner now (their last ones could not start).
    """
    has_claimed = select(claims.c.id).where(claims.c.runner_id == runners.c.id).exists()
    alive = (
        select(
            runners.c.job_id,
            func.count().label("runners"),
            func.count().filter(~has_claimed).label("idle"),
        )
        .where(runners.c.ended_at.is_(None))
        .group_by(runners.c.job_id)
        .subquery()
    )
    rows = connection.execute(
        select(
            jobs,
            submissions.c.number,
            accounts.c.plan,
            func.coalesce(alive.c.runners, 0).label("runners"),
            func.coalesce(alive.c.idle, 0).label("idle"),
        )
        .join(submissions, jobs.c.submission_id == submissions.c.id)
        .join(accounts, jobs.c.account_id == accounts.c.id)
        .outerjoin(alive, alive.c.job_id == jobs.c.id)
        .where(or_(jobs.c.state.in_(_STARTABLE), alive.c.runners.is_not(None)))
    ).all()
    return Snapshot(
        jobs=[
            JobView(
                id=row.id,
                account_id=row.account_id,
                machine_type=row.machine_type,
                priority=row.priority,
                order=(row.number, row.position),
                most_runners=min(row.instances, plan_named(row.plan).job_throughput_limit),
                waiting=(
                    row.frames_total - row.frames_done - row.frames_failed - row.frames_running
                    if row.state in _STARTABLE and row.id not in held_back
                    else 0
                ),
                runners=row.runners,
                idle_runners=row.idle,
            )
            for row in rows
        ],
        slots=slots,
        max_throughput={row.account_id: plan_named(row.plan).max_throughput for row in rows},
    )
