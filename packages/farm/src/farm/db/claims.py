"""Claims: which frames a runner was given, and what became of them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from farm_protocol.runner import CLAIM_TIMEOUT_SECONDS
from sqlalchemy import Connection, Select, bindparam, func, insert, or_, select, update

from farm.db import frame_runs, job_rows
from farm.db.engine.prepared import Prepared
from farm.db.tables import claims, frames, jobs
from farm.jobs.frames import format_frames
from farm.jobs.retries import Attempted, ClaimEnd, FrameState


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
        """All of its frames are done: a renderer that is about to end costs nothing more."""
        return self.frames_done >= self.frames_total


CLAIM = (
    claims.c.id,
    claims.c.runner_id,
    claims.c.job_id,
    claims.c.created_at,
    claims.c.heartbeat_at,
    claims.c.current_frame,
    claims.c.frames_total,
    claims.c.frames_done,
    claims.c.recalled,
    claims.c.seconds,
    claims.c.unposted_seconds,
)
"""The columns of a `ClaimRow`."""

# Built once: runners ask so often that building these costs more than running them.
_UNFINISHED = Prepared(
    select(frames.c.number, frames.c.failures, frames.c.losses)
    .where(frames.c.claim_id == bindparam("of_claim"), frames.c.state == FrameState.RUNNING.value)
    .order_by(frames.c.number)
)
_FRAME = Prepared(
    select(frames.c.state, frames.c.failures, frames.c.losses).where(
        frames.c.job_id == bindparam("of_job"),
        frames.c.number == bindparam("of_number"),
        frames.c.claim_id == bindparam("of_claim"),
    )
)
_ADD_CLAIM = Prepared(insert(claims).inline())
_GIVE_FRAMES = Prepared(
    update(frames)
    .where(
        frames.c.job_id == bindparam("of_job"),
        frames.c.state == FrameState.WAITING.value,
        frames.c.position <= bindparam("until"),
    )
    .values(state=FrameState.RUNNING.value, claim_id=bindparam("for_claim"))
)
_FINISH_FRAME = Prepared(
    update(frames)
    .where(frames.c.job_id == bindparam("of_job"), frames.c.number == bindparam("of_number"))
    .values(state=FrameState.DONE.value, seconds=bindparam("took"))
)
# Which columns it sets follows from the values it is given.
_PUT_CLAIM = Prepared(update(claims).where(claims.c.id == bindparam("of_claim")))


def recall(connection: Connection, job_id: str) -> None:
    """Want back what the job's open claims have not begun: it is to be shared anew."""
    connection.execute(
        update(claims)
        .where(claims.c.job_id == job_id, claims.c.ended_at.is_(None))
        .values(recalled=True)
    )


def recall_all(connection: Connection, account_id: str) -> None:
    """Do the same for all jobs of an account."""
    _recall(connection, select(jobs.c.id).where(jobs.c.account_id == account_id))


def recall_machine(connection: Connection, machine_type: str) -> None:
    """Do the same for all jobs of a machine type."""
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
    return [ClaimRow(*row) for row in connection.execute(query)]


def silent_claims(connection: Connection, now: datetime) -> list[ClaimRow]:
    """Return the open claims of which nothing was heard for `CLAIM_TIMEOUT_SECONDS`.

    Also those that were heard of in the future: the clock was set back, and a runner that lives
    has told of itself since.
    """
    patience = timedelta(seconds=CLAIM_TIMEOUT_SECONDS)
    query = select(*CLAIM).where(
        claims.c.ended_at.is_(None),
        or_(claims.c.heartbeat_at < now - patience, claims.c.heartbeat_at > now + patience),
    )
    return [ClaimRow(*row) for row in connection.execute(query)]


def add_claim(
    connection: Connection,
    claim_id: str,
    runner_id: str,
    job_id: str,
    most: int,
    now: datetime,
) -> list[int]:
    """Store a claim and give it the first of a job's waiting frames; return these.

    Parameters:
        most: of these, at least 1; the job has some.
    """
    # What comes back from other claims is in front of what nobody has touched.
    back = job_rows.positions(connection, job_id, FrameState.WAITING, most)
    new = frame_runs.Front([])
    if len(back) < most:
        new = frame_runs.front(connection, job_id, most - len(back))
    numbers = [number for number, _ in back] + new.numbers
    _ADD_CLAIM.run(
        connection,
        id=claim_id,
        runner_id=runner_id,
        job_id=job_id,
        created_at=now,
        heartbeat_at=now,
        frames=format_frames(numbers),
        frames_total=len(numbers),
        frames_done=0,
        recalled=False,
        seconds=0.0,
        unposted_seconds=0.0,
        failed=False,
        sentence="",
        marker="",
    )
    if back:
        _GIVE_FRAMES.run(connection, of_job=job_id, until=back[-1][1], for_claim=claim_id)
    frame_runs.take(connection, job_id, claim_id, new)
    return numbers


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


def frame(connection: Connection, claim: ClaimRow, number: int) -> tuple[FrameState, bool] | None:
    """Return the state of a frame of this claim, and whether it was tried in vain before.

    None when the frame is not the claim's.
    """
    found = _FRAME.one(connection, of_job=claim.job_id, of_number=number, of_claim=claim.id)
    return None if found is None else (FrameState(found[0]), found[1] + found[2] > 0)


def frame_finished(
    connection: Connection, claim: ClaimRow, number: int, seconds: float, now: datetime
) -> None:
    """A running frame of the claim is done, and its time up to now, ``seconds``, was charged."""
    _FINISH_FRAME.run(connection, of_job=claim.job_id, of_number=number, took=seconds)
    _PUT_CLAIM.run(
        connection,
        of_claim=claim.id,
        frames_done=claim.frames_done + 1,
        heartbeat_at=now,
        seconds=claim.seconds + seconds,
        unposted_seconds=0.0,
    )


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


def unfinished(connection: Connection, claim_id: str) -> list[Attempted]:
    """Return the claim's frames that are not done, in the order it renders them."""
    return [Attempted(*row) for row in _UNFINISHED.rows(connection, of_claim=claim_id)]


def begun_frames(job_id: str) -> Select[tuple[int | None]]:
    """Return the query for the frames at which claims of a job were when last heard of."""
    return select(claims.c.current_frame).where(
        claims.c.job_id == job_id, claims.c.current_frame.is_not(None)
    )


def forget_begun(connection: Connection, job_id: str) -> None:
    """Let the frames count as never begun at which claims were that have ended."""
    connection.execute(
        update(claims)
        .where(claims.c.job_id == job_id, claims.c.ended_at.is_not(None))
        .values(current_frame=None)
    )


def forgive(connection: Connection, job_id: str) -> int:
    """Begin to count the failures of a job's frames anew; those that were given up wait again.

    Returns how many those are.
    """
    again: int = connection.execute(
        update(frames)
        .where(frames.c.job_id == job_id, frames.c.state == FrameState.FAILED.value)
        .values(state=FrameState.WAITING.value, claim_id=None)
    ).rowcount
    connection.execute(
        update(frames)
        .where(frames.c.job_id == job_id, or_(frames.c.failures > 0, frames.c.losses > 0))
        .values(failures=0, losses=0)
    )
    return again + frame_runs.let_wait(connection, job_id)


def end_claim(connection: Connection, claim_id: str, now: datetime, **values: Any) -> None:
    """Close a claim with its outcome, sentence, exit code and whatever else it is to hold."""
    _PUT_CLAIM.run(connection, of_claim=claim_id, ended_at=now, **values)


def last_failure(connection: Connection, job_id: str) -> str:
    """Return why the job's latest unsuccessful claim ended; "" when there was none."""
    return (
        connection.execute(
            select(claims.c.sentence)
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
