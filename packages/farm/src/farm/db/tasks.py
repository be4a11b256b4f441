"""Claims as their user sees them: tasks. And what is known about their hosts."""

from collections.abc import Mapping
from datetime import datetime

from farm_protocol.jobs import Task
from sqlalchemy import Connection, Select, delete, insert, or_, select, update

from farm.db.tables import claims, host_failures, jobs, runners
from farm.jobs.retries import ClaimEnd

RUNNING = "running"

_NO_LICENCE = ClaimEnd.NO_LICENCE.value


def tasks(connection: Connection, job_id: str, limit: int, *, failed: bool) -> list[Task]:
    """Return a job's tasks, newest first.

    Parameters:
        limit: maximum number of tasks.
        failed: only those that did not end normally.
    """
    query: Select[tuple[object, ...]] = (
        select(claims, runners.c.host)
        .join(runners, runners.c.id == claims.c.runner_id)
        .where(claims.c.job_id == job_id)
        .order_by(claims.c.created_at.desc(), claims.c.id)
        .limit(limit)
    )
    if failed:
        query = query.where(claims.c.failed)
    return [
        Task(
            id=row.id,
            runner_id=row.runner_id,
            host=row.host,
            frames=row.frames,
            frames_total=row.frames_total,
            frames_done=row.frames_done,
            outcome=row.outcome or RUNNING,
            failed=row.failed,
            message=row.message,
            exit_code=row.exit_code,
            marker=row.marker,
            started_at=row.created_at,
            ended_at=row.ended_at,
        )
        for row in connection.execute(query)
    ]


def host_of(connection: Connection, runner_id: str) -> str:
    """Return the host of a runner, "" when unknown."""
    query = select(runners.c.host).where(runners.c.id == runner_id)
    host: str = connection.execute(query).scalar_one()
    return host


def failures_by_host(connection: Connection, job_id: str) -> Mapping[str, int]:
    """Return the number of consecutive failed claims of a job, by host."""
    rows = connection.execute(
        select(host_failures.c.host, host_failures.c.failures).where(
            host_failures.c.job_id == job_id
        )
    )
    return {row.host: row.failures for row in rows}


def newest_failed(connection: Connection, job_id: str, host: str, count: int) -> list[str]:
    """Return the claims of a job that failed on a host, newest first."""
    return list(
        connection.execute(
            select(claims.c.id)
            .join(runners, runners.c.id == claims.c.runner_id)
            .where(
                claims.c.job_id == job_id,
                runners.c.host == host,
                claims.c.failed,
                claims.c.outcome != _NO_LICENCE,
            )
            .order_by(claims.c.ended_at.desc())
            .limit(count)
        ).scalars()
    )


def delivered_elsewhere(connection: Connection, job_id: str, host: str) -> bool:
    """Return whether a host other than this one has delivered a frame of a job."""
    query = (
        select(claims.c.id)
        .join(runners, runners.c.id == claims.c.runner_id)
        .where(claims.c.job_id == job_id, claims.c.frames_done > 0, runners.c.host != host)
    )
    return connection.execute(query.limit(1)).first() is not None


def has_delivered(connection: Connection, runner_id: str) -> bool:
    """Return whether a runner's last claim delivered frames, and did not end for lack of a licence.

    A renderer that delivers has its licence.
    """
    query = (
        select(claims.c.frames_done, claims.c.outcome)
        .where(claims.c.runner_id == runner_id)
        .order_by(claims.c.created_at.desc())
        .limit(1)
    )
    found = connection.execute(query).first()
    return found is not None and found.frames_done > 0 and found.outcome != _NO_LICENCE


def is_delivering(connection: Connection, job_id: str) -> bool:
    """Return whether an open claim of a job has delivered frames."""
    query = select(claims.c.id).where(
        claims.c.job_id == job_id, claims.c.ended_at.is_(None), claims.c.frames_done > 0
    )
    return connection.execute(query.limit(1)).first() is not None


def add_host_failure(connection: Connection, job_id: str, host: str) -> int:
    """Count a failed claim; return the number of consecutive failures on that host."""
    there = (host_failures.c.job_id == job_id) & (host_failures.c.host == host)
    query = select(host_failures.c.failures).where(there)
    count: int = (connection.execute(query).scalar_one_or_none() or 0) + 1
    if count == 1:
        connection.execute(insert(host_failures).values(job_id=job_id, host=host, failures=1))
    else:
        connection.execute(update(host_failures).where(there).values(failures=count))
    return count


def forget_host_failures(connection: Connection, job_id: str, host: str | None = None) -> None:
    """Reset the count, for one host or for all."""
    query = delete(host_failures).where(host_failures.c.job_id == job_id)
    connection.execute(query if host is None else query.where(host_failures.c.host == host))


def known_hosts(connection: Connection, machine_type: str, since: datetime) -> set[str]:
    """Return the hosts that run runners of a machine type, or ran some since a given time."""
    found = connection.execute(
        select(runners.c.host)
        .distinct()
        .join(jobs, jobs.c.id == runners.c.job_id)
        .where(
            or_(runners.c.ended_at.is_(None), runners.c.ended_at > since),
            runners.c.host != "",
            jobs.c.machine_type == machine_type,
        )
    )
    return set(found.scalars())
