"""Runners and their claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from farm.db.tables import claims, frames, jobs, runners
from farm.jobs.retries import Attempted, FrameState


@dataclass(frozen=True, slots=True)
class RunnerRow:
    """One runner. ``reference``: the engine's, None until it was launched."""

    id: str
    job_id: str
    reference: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One open claim."""

    id: str
    runner_id: str
    job_id: str
    created_at: datetime
    heartbeat_at: datetime
    current_frame: int | None
    seconds: float


_RUNNER = (
    runners.c.id,
    runners.c.job_id,
    runners.c.reference,
    runners.c.created_at,
    runners.c.expires_at,
)
_CLAIM = (
    claims.c.id,
    claims.c.runner_id,
    claims.c.job_id,
    claims.c.created_at,
    claims.c.heartbeat_at,
    claims.c.current_frame,
    claims.c.seconds,
)


def add_runner(
    connection: Connection,
    *,
    runner_id: str,
    job_id: str,
    token_hash: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Store a runner that is about to be launched."""
    connection.execute(
        insert(runners).values(
            id=runner_id,
            job_id=job_id,
            token_hash=token_hash,
            created_at=now,
            expires_at=expires_at,
        )
    )


def set_reference(connection: Connection, runner_id: str, reference: str) -> None:
    """Remember what the engine calls the runner."""
    connection.execute(update(runners).where(runners.c.id == runner_id).values(reference=reference))


def end_runner(connection: Connection, runner_id: str, now: datetime) -> None:
    """The runner is no more; its token is worth nothing."""
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
    return [RunnerRow(*row) for row in connection.execute(query)]


def has_claimed(connection: Connection, runner_id: str) -> bool:
    """Return whether the runner has ever been given frames."""
    return (
        connection.execute(
            select(claims.c.id).where(claims.c.runner_id == runner_id).limit(1)
        ).first()
        is not None
    )


def runner_by_token(connection: Connection, token_hash: str, now: datetime) -> RunnerRow | None:
    """Return the living runner that a token belongs to."""
    row = connection.execute(
        select(*_RUNNER).where(
            runners.c.token_hash == token_hash,
            runners.c.ended_at.is_(None),
            runners.c.expires_at > now,
        )
    ).one_or_none()
    return None if row is None else RunnerRow(*row)


def open_claims(
    connection: Connection, *, runner_id: str | None = None, silent_since: datetime | None = None
) -> list[ClaimRow]:
    """Return open claims: of a runner, or those without a heartbeat since a moment."""
    query = select(*_CLAIM).where(claims.c.ended_at.is_(None))
    if runner_id is not None:
        query = query.where(claims.c.runner_id == runner_id)
    if silent_since is not None:
        query = query.where(claims.c.heartbeat_at < silent_since)
    return [ClaimRow(*row) for row in connection.execute(query)]


def open_claim(connection: Connection, claim_id: str, runner_id: str) -> ClaimRow | None:
    """Return the claim if it is open and this runner's."""
    row = connection.execute(
        select(*_CLAIM).where(
            claims.c.id == claim_id,
            claims.c.runner_id == runner_id,
            claims.c.ended_at.is_(None),
        )
    ).one_or_none()
    return None if row is None else ClaimRow(*row)


def add_claim(
    connection: Connection,
    claim_id: str,
    runner: RunnerRow,
    numbers: Sequence[int],
    now: datetime,
) -> None:
    """Store a claim and give it its frames, which must be waiting."""
    connection.execute(
        insert(claims).values(
            id=claim_id,
            runner_id=runner.id,
            job_id=runner.job_id,
            created_at=now,
            heartbeat_at=now,
            seconds=0.0,
            sentence="",
        )
    )
    connection.execute(
        update(frames)
        .where(frames.c.job_id == runner.job_id, frames.c.number.in_(numbers))
        .values(state=FrameState.RUNNING.value, claim_id=claim_id)
    )
    connection.execute(
        update(jobs)
        .where(jobs.c.id == runner.job_id)
        .values(frames_running=jobs.c.frames_running + len(numbers))
    )


def touch(connection: Connection, claim_id: str, now: datetime, frame: int | None) -> None:
    """A heartbeat arrived."""
    connection.execute(
        update(claims).where(claims.c.id == claim_id).values(heartbeat_at=now, current_frame=frame)
    )


def frame_state(connection: Connection, claim: ClaimRow, number: int) -> FrameState | None:
    """Return the state of a frame of this claim; None when the frame is not the claim's."""
    state = connection.execute(
        select(frames.c.state).where(
            frames.c.job_id == claim.job_id,
            frames.c.number == number,
            frames.c.claim_id == claim.id,
        )
    ).scalar_one_or_none()
    return None if state is None else FrameState(state)


def frame_finished(
    connection: Connection, claim: ClaimRow, number: int, seconds: float, micros: int, now: datetime
) -> None:
    """A running frame of the claim is done, and cost ``seconds`` and ``micros``."""
    connection.execute(
        update(frames)
        .where(frames.c.job_id == claim.job_id, frames.c.number == number)
        .values(state=FrameState.DONE.value, seconds=seconds)
    )
    connection.execute(
        update(claims)
        .where(claims.c.id == claim.id)
        .values(seconds=claims.c.seconds + seconds, heartbeat_at=now)
    )
    connection.execute(
        update(jobs)
        .where(jobs.c.id == claim.job_id)
        .values(
            frames_done=jobs.c.frames_done + 1,
            frames_running=jobs.c.frames_running - 1,
            credits_micros=jobs.c.credits_micros + micros,
        )
    )


def unfinished(connection: Connection, claim_id: str) -> list[Attempted]:
    """Return the claim's frames that are not done, in the order it renders them."""
    rows = connection.execute(
        select(frames.c.number, frames.c.failures, frames.c.losses)
        .where(frames.c.claim_id == claim_id, frames.c.state == FrameState.RUNNING.value)
        .order_by(frames.c.number)
    )
    return [Attempted(row.number, row.failures, row.losses) for row in rows]


def done_count(connection: Connection, claim_id: str) -> int:
    """Return how many frames the claim has finished."""
    return connection.execute(
        select(func.count())
        .select_from(frames)
        .where(frames.c.claim_id == claim_id, frames.c.state == FrameState.DONE.value)
    ).scalar_one()


def end_claim(connection: Connection, claim_id: str, now: datetime, **values: Any) -> None:
    """Close a claim with its outcome, sentence and exit code."""
    connection.execute(update(claims).where(claims.c.id == claim_id).values(ended_at=now, **values))


def last_failure(connection: Connection, job_id: str) -> str:
    """Return why the job's latest unsuccessful claim ended; "" when there was none."""
    return (
        connection.execute(
            select(claims.c.sentence)
            .where(
                claims.c.job_id == job_id,
                claims.c.sentence != "",
                claims.c.outcome.in_(["failed", "completed", "lost"]),
            )
            .order_by(claims.c.ended_at.desc())
            .limit(1)
        ).scalar_one_or_none()
        or ""
    )
