"""Claims: which frames a runner got, and their outcome."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from farm_protocol.runner import CLAIM_TIMEOUT_SECONDS
from sqlalchemy import Connection, Select, bindparam, func, insert, or_, select, update

from farm.db import frame_states
from farm.db.engine.prepared import Prepared
from farm.db.engine.rows import columns_of, rows_as
from farm.db.tables import claims, jobs
from farm.jobs.frames import format_frames
from farm.jobs.progress import Moved
from farm.jobs.retries import ClaimEnd


class TimeColumns(TypedDict, total=False):
    """Columns of a claim with its machine time; see `ClaimRow`."""

    seconds: float
    unposted_seconds: float


class EndColumns(TimeColumns, total=False):
    """Columns of a claim that its end sets."""

    outcome: str
    failed: bool
    message: str
    exit_code: int | None
    marker: str
    current_frame: int | None


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One open claim.

    Attributes:
        recalled: it shall end after the frame it is at.
        heartbeat_at: the last sign of life of its runner.
        seconds: of machine time that were charged.
        unposted_seconds: of machine time up to ``heartbeat_at`` that were not charged yet.
    """

    id: str
    runner_id: str
    job_id: str
    created_at: datetime
    heartbeat_at: datetime
    current_frame: int | None
    frames_total: int
    frames_done: int
    recalled: bool
    seconds: float
    unposted_seconds: float

    @property
    def delivered(self) -> bool:
        """All of its frames are done: its renderer only has to end."""
        return self.frames_done >= self.frames_total


CLAIM = columns_of(ClaimRow, claims.c)
"""The columns of a `ClaimRow`."""

# Built once: runners ask so often that building these costs more than running them.
_ADD_CLAIM = Prepared(insert(claims).inline())
# The given values determine which columns it sets.
_PUT_CLAIM = Prepared(update(claims).where(claims.c.id == bindparam("of_claim")))


def recall(connection: Connection, job_id: str) -> None:
    """Reclaim frames that the job's open claims have not started, to redistribute them."""
    connection.execute(
        update(claims)
        .where(claims.c.job_id == job_id, claims.c.ended_at.is_(None))
        .values(recalled=True)
    )


def recall_all(connection: Connection, account_id: str) -> None:
    """Reclaim frames that the claims of all of an account's jobs have not started."""
    _recall(connection, select(jobs.c.id).where(jobs.c.account_id == account_id))


def recall_machine(connection: Connection, machine_type: str) -> None:
    """Reclaim frames that the claims of all jobs of a machine type have not started."""
    _recall(connection, select(jobs.c.id).where(jobs.c.machine_type == machine_type))


def _recall(connection: Connection, job_ids: Select[tuple[str]]) -> None:
    connection.execute(
        update(claims)
        .where(claims.c.job_id.in_(job_ids), claims.c.ended_at.is_(None))
        .values(recalled=True)
    )


def open_claims(connection: Connection, *, runner_id: str | None = None) -> list[ClaimRow]:
    """Return open claims: all, or those of a runner."""
    query: Select[Any] = select(*CLAIM).where(claims.c.ended_at.is_(None))
    if runner_id is not None:
        query = query.where(claims.c.runner_id == runner_id)
    return rows_as(ClaimRow, connection.execute(query))


def silent_claims(connection: Connection, now: datetime) -> list[ClaimRow]:
    """Return the open claims that have been silent for `CLAIM_TIMEOUT_SECONDS`.

    Also those that were heard of in the future: the clock was set back, and a runner that lives
    has told of itself since.
    """
    patience = timedelta(seconds=CLAIM_TIMEOUT_SECONDS)
    query = select(*CLAIM).where(
        claims.c.ended_at.is_(None),
        or_(claims.c.heartbeat_at < now - patience, claims.c.heartbeat_at > now + patience),
    )
    return rows_as(ClaimRow, connection.execute(query))


def add_claim(
    connection: Connection,
    claim_id: str,
    runner_id: str,
    job_id: str,
    most: int,
    now: datetime,
) -> tuple[list[int], Moved]:
    """Store a claim and give it the first of a job's waiting frames.

    Returns these, and what that means for the counts of the job.

    Parameters:
        most: of these, at least 1; the job has some.
    """
    waiting = frame_states.Waiting(connection, job_id, most)
    _ADD_CLAIM.run(
        connection,
        id=claim_id,
        runner_id=runner_id,
        job_id=job_id,
        created_at=now,
        heartbeat_at=now,
        frames=format_frames(waiting.numbers),
        frames_total=len(waiting.numbers),
        frames_done=0,
        recalled=False,
        seconds=0.0,
        unposted_seconds=0.0,
        failed=False,
        message="",
        marker="",
    )
    return waiting.numbers, waiting.give(connection, claim_id)


def touch(
    connection: Connection, claim_id: str, now: datetime, frame: int | None, unposted: float
) -> None:
    """A heartbeat arrived; ``unposted``: seconds up to now that were not charged yet."""
    _PUT_CLAIM.run(
        connection,
        of_claim=claim_id,
        heartbeat_at=now,
        current_frame=frame,
        unposted_seconds=unposted,
    )


def frame_finished(
    connection: Connection, claim: ClaimRow, number: int, seconds: float, now: datetime
) -> Moved:
    """A running frame of the claim is done, and its time up to now, ``seconds``, was charged.

    Returns what that means for the counts of the job.
    """
    moved = frame_states.finish(connection, claim.job_id, number, seconds)
    _PUT_CLAIM.run(
        connection,
        of_claim=claim.id,
        frames_done=claim.frames_done + 1,
        heartbeat_at=now,
        seconds=claim.seconds + seconds,
        unposted_seconds=0.0,
    )
    return moved


def empty_claims(connection: Connection, runner_id: str) -> int:
    """Return how many claims a runner has ended as stopped, unasked and without a frame."""
    return connection.execute(
        select(func.count())
        .select_from(claims)
        .where(
            claims.c.runner_id == runner_id,
            claims.c.outcome == ClaimEnd.STOPPED.value,
            claims.c.frames_done == 0,
            claims.c.recalled.is_(False),
        )
    ).scalar_one()


def begun_frames(job_id: str) -> Select[tuple[int | None]]:
    """Return the query for the frames that a job's claims last reported as being rendered."""
    return select(claims.c.current_frame).where(
        claims.c.job_id == job_id, claims.c.current_frame.is_not(None)
    )


def forget_begun(connection: Connection, job_id: str) -> None:
    """Let frames that ended claims were rendering count as never started."""
    connection.execute(
        update(claims)
        .where(claims.c.job_id == job_id, claims.c.ended_at.is_not(None))
        .values(current_frame=None)
    )


def end_claim(
    connection: Connection, claim_id: str, now: datetime, **values: Unpack[EndColumns]
) -> None:
    """Close a claim with its outcome, message, exit code and whatever else it is to hold."""
    _PUT_CLAIM.run(connection, of_claim=claim_id, ended_at=now, **values)


def last_failure(connection: Connection, job_id: str) -> str:
    """Return why the job's latest unsuccessful claim ended; "" when there was none."""
    return (
        connection.execute(
            select(claims.c.message)
            .where(
                claims.c.job_id == job_id,
                claims.c.failed,
                claims.c.outcome != ClaimEnd.NO_LICENCE.value,
            )
            .order_by(claims.c.ended_at.desc())
            .limit(1)
        ).scalar_one_or_none()
        or ""
    )
