"""Runners: which works on which job, and who calls."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update

from farm.db import job_rows
from farm.db.claims import ClaimRow
from farm.db.engine.prepared import Prepared
from farm.db.engine.rows import columns_of, reader, rows_as
from farm.db.job_rows import JobRow
from farm.db.tables import accounts, claims, jobs, runners
from farm.jobs.retries import ClaimEnd


@dataclass(frozen=True, slots=True)
class RunnerRow:
    """One runner.

    Attributes:
        reference: the engine's reference; None until it is launched.
        heard_at: its last sign of life before its first claim; None: it was launched, and may still
            wait for a machine.
        host: its machine, from the engine or else from its first claim; "" when neither is known
            yet.
        yielding: it must end after its current frame.
    """

    id: str
    job_id: str
    reference: str | None
    created_at: datetime
    expires_at: datetime
    host: str
    yielding: bool
    heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class Caller:
    """A living runner that calls, and the data for its answer.

    Attributes:
        job: as `farm.db.job_rows.row` returns it.
        claim: the open one; None between two claims.
    """

    runner: RunnerRow
    job: JobRow
    claim: ClaimRow | None


_RUNNER = columns_of(RunnerRow, runners.c)


def add_runner(
    connection: Connection,
    *,
    runner_id: str,
    job_id: str,
    token_hash: str,
    host: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Store a runner that is about to be launched. ``host``: "" when the engine cannot tell."""
    connection.execute(
        insert(runners).values(
            id=runner_id,
            job_id=job_id,
            token_hash=token_hash,
            created_at=now,
            expires_at=expires_at,
            host=host,
            yielding=False,
        )
    )


def note_served(connection: Connection, job_id: str, now: datetime) -> None:
    """Record when the job's user last got a runner."""
    owner = select(jobs.c.account_id).where(jobs.c.id == job_id).scalar_subquery()
    connection.execute(update(accounts).where(accounts.c.id == owner).values(served_at=now))


def set_reference(connection: Connection, runner_id: str, reference: str) -> None:
    """Record the engine's reference for the runner."""
    connection.execute(update(runners).where(runners.c.id == runner_id).values(reference=reference))


def end_runner(connection: Connection, runner_id: str, now: datetime) -> None:
    """The runner has ended; its token is void."""
    connection.execute(
        update(runners)
        .where(runners.c.id == runner_id, runners.c.ended_at.is_(None))
        .values(ended_at=now)
    )


def live_runners(connection: Connection, job_id: str | None = None) -> list[RunnerRow]:
    """Return all runners that have not ended, of one job if it is given."""
    query = select(*_RUNNER).where(runners.c.ended_at.is_(None))
    if job_id is not None:
        query = query.where(runners.c.job_id == job_id)
    return rows_as(RunnerRow, connection.execute(query))


def stuck_runners(connection: Connection, lost_before: datetime) -> list[RunnerRow]:
    """Return living runners that lost their claim before a given time and requested no other."""
    at_work = select(claims.c.runner_id).where(claims.c.ended_at.is_(None))
    newest = (
        select(claims.c.runner_id, func.max(claims.c.created_at).label("newest"))
        .join(runners, runners.c.id == claims.c.runner_id)
        .where(runners.c.ended_at.is_(None))
        .group_by(claims.c.runner_id)
        .subquery()
    )
    query = (
        select(*_RUNNER)
        .join(newest, newest.c.runner_id == runners.c.id)
        .join(
            claims,
            and_(claims.c.runner_id == runners.c.id, claims.c.created_at == newest.c.newest),
        )
        .where(
            claims.c.outcome == ClaimEnd.LOST.value,
            claims.c.ended_at < lost_before,
            # The newest by time is not the last one if the clock was set back in between.
            runners.c.id.not_in(at_work),
        )
    )
    return rows_as(RunnerRow, connection.execute(query))


def idle_runners(connection: Connection, heard_before: datetime) -> list[RunnerRow]:
    """Return living runners without a claim that have been silent since a given time.

    They were preparing their first claim then, or ended one. Runners that wait for a machine have
    shown no sign of life yet, and are not idle.
    """
    busy = select(claims.c.id).where(
        claims.c.runner_id == runners.c.id,
        or_(claims.c.ended_at.is_(None), claims.c.ended_at >= heard_before),
    )
    first = (
        select(func.min(claims.c.created_at))
        .where(claims.c.runner_id == runners.c.id)
        .scalar_subquery()
    )
    query = select(*_RUNNER).where(
        runners.c.ended_at.is_(None),
        func.coalesce(runners.c.heard_at, first) < heard_before,
        ~busy.exists(),
    )
    return rows_as(RunnerRow, connection.execute(query))


def heard_since(connection: Connection, moment: datetime) -> set[str]:
    """Return the ids of the living runners that have reported since then."""
    lately = select(claims.c.id).where(
        claims.c.runner_id == runners.c.id, claims.c.heartbeat_at >= moment
    )
    query = select(runners.c.id).where(
        runners.c.ended_at.is_(None), or_(runners.c.heard_at >= moment, lately.exists())
    )
    return set(connection.execute(query).scalars())


def set_heard(connection: Connection, runner_id: str, now: datetime) -> None:
    """Record a sign of life at ``now`` from a runner that is preparing."""
    connection.execute(update(runners).where(runners.c.id == runner_id).values(heard_at=now))


def set_host(connection: Connection, runner_id: str, host: str) -> None:
    """Record a runner's machine."""
    connection.execute(update(runners).where(runners.c.id == runner_id).values(host=host))


def set_expiry(connection: Connection, runner_id: str, expires_at: datetime) -> None:
    """Set when a runner's token expires."""
    connection.execute(
        update(runners).where(runners.c.id == runner_id).values(expires_at=expires_at)
    )


def set_yielding(connection: Connection, runner_ids: Collection[str]) -> bool:
    """Make these living runners yield, and no others; return whether that changed anything."""
    changed = 0
    for row in connection.execute(
        select(runners.c.id, runners.c.yielding).where(runners.c.ended_at.is_(None))
    ).all():
        if row.yielding != (row.id in runner_ids):
            changed += 1
            connection.execute(
                update(runners).where(runners.c.id == row.id).values(yielding=not row.yielding)
            )
    return changed > 0


def has_claimed(connection: Connection, runner_id: str) -> bool:
    """Return whether the runner has ever got frames."""
    return (
        connection.execute(
            select(claims.c.id).where(claims.c.runner_id == runner_id).limit(1)
        ).first()
        is not None
    )


def caller(connection: Connection, token_hash: str, now: datetime) -> Caller | None:
    """Return the living runner of a token, with its job and its claim, in one query."""
    row = _CALLER.one(connection, of_token=token_hash, now=now)
    if row is None:
        return None
    claimed = row[_CALLER.names.index("claim_id")] is not None
    return Caller(
        runner=reader(RunnerRow, _CALLER.names, "runner_")(row),
        job=reader(JobRow, _CALLER.names)(row),
        claim=reader(ClaimRow, _CALLER.names, "claim_")(row) if claimed else None,
    )


# Compiled once, since every call of a runner begins with it.
_CALLER = Prepared(
    select(
        *columns_of(RunnerRow, runners.c, "runner_"),
        *columns_of(ClaimRow, claims.c, "claim_"),
        *job_rows.ROW_COLUMNS,
    )
    .select_from(
        job_rows.ROW_TABLES.join(runners, runners.c.job_id == jobs.c.id).outerjoin(
            claims, and_(claims.c.runner_id == runners.c.id, claims.c.ended_at.is_(None))
        )
    )
    .where(
        runners.c.token_hash == bindparam("of_token"),
        runners.c.ended_at.is_(None),
        runners.c.expires_at > bindparam("now"),
    )
)
