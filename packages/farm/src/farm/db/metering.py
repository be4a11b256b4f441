"""Machine time that is metered but not posted yet: of open claims, up to their last heartbeat.

It is included wherever the cost of a job is shown. It is posted when a frame is done or the claim
ends; only the free time of a claim without a licence never is.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, func, select

from farm.db.tables import claims, jobs
from farm.jobs.pricing import charged_seconds, machine_time_micros
from farm.jobs.retries import ClaimEnd


def by_job(
    connection: Connection,
    *,
    job_ids: Collection[str] | None = None,
    account_id: str | None = None,
) -> Mapping[str, int]:
    """Return the metered micros of jobs with open claims: all, these, or those of an account."""
    query = (
        select(
            claims.c.job_id,
            claims.c.unposted_seconds,
            claims.c.seconds,
            (claims.c.frames_done >= claims.c.frames_total).label("delivered"),
            jobs.c.credits_per_hour,
        )
        .join(jobs, jobs.c.id == claims.c.job_id)
        .where(claims.c.ended_at.is_(None))
    )
    if job_ids is not None:
        query = query.where(claims.c.job_id.in_(job_ids))
    if account_id is not None:
        query = query.where(jobs.c.account_id == account_id)
    found: dict[str, int] = {}
    for row in connection.execute(query):
        seconds = charged_seconds(row.unposted_seconds, row.delivered, row.seconds)
        micros = machine_time_micros(seconds, Decimal(row.credits_per_hour))
        found[row.job_id] = found.get(row.job_id, 0) + micros
    return found


def never_posted(connection: Connection, account_id: str, since: datetime) -> float:
    """Return the free seconds of an account's claims without a licence.

    Parameters:
        since: only claims that ended at this time or later.
    """
    query = (
        select(func.sum(claims.c.unposted_seconds))
        .join(jobs, jobs.c.id == claims.c.job_id)
        .where(
            claims.c.outcome == ClaimEnd.NO_LICENCE.value,
            claims.c.ended_at > since,
            claims.c.frames_done == 0,
            jobs.c.account_id == account_id,
        )
    )
    return float(connection.execute(query).scalar_one() or 0.0)
