"""State changes of a job's frames: the only writer of the states of frames that have a row.

Untouched frames are ranges, which `farm.db.frame_runs` writes.

Moving frames from one state to another returns how the counts of their job change; pass that to
`farm.db.job_rows.put` in the same transaction.
"""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, bindparam, or_, select, update

from farm.db import frame_runs
from farm.db.engine.prepared import Prepared
from farm.db.engine.rows import reader
from farm.db.tables import frames
from farm.jobs.progress import NOTHING_MOVED, Moved
from farm.jobs.retries import Attempted, FrameState, Verdict

# Built once: runners call so often that building these costs more than running them.
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
_FRAMES = Prepared(
    select(frames.c.number, frames.c.position)
    .where(frames.c.job_id == bindparam("of_job"), frames.c.state == bindparam("of_state"))
    .order_by(frames.c.position)
    .limit(bindparam("most"))
)
_GIVE = Prepared(
    update(frames)
    .where(
        frames.c.job_id == bindparam("of_job"),
        frames.c.state == FrameState.WAITING.value,
        frames.c.position <= bindparam("until"),
    )
    .values(state=FrameState.RUNNING.value, claim_id=bindparam("for_claim"))
)
_FINISH = Prepared(
    update(frames)
    .where(frames.c.job_id == bindparam("of_job"), frames.c.number == bindparam("of_number"))
    .values(state=FrameState.DONE.value, seconds=bindparam("took"))
)
_JUDGE = Prepared(
    update(frames)
    .where(frames.c.job_id == bindparam("of_job"), frames.c.number == bindparam("of_number"))
    .values(
        state=bindparam("new_state"),
        failures=bindparam("new_failures"),
        losses=bindparam("new_losses"),
        claim_id=None,
    )
)
# Frames judged before no longer belong to the claim.
_LET_WAIT = Prepared(
    update(frames)
    .where(frames.c.claim_id == bindparam("of_claim"), frames.c.state == FrameState.RUNNING.value)
    .values(state=FrameState.WAITING.value, claim_id=None)
)


def positions(
    connection: Connection, job_id: str, state: FrameState, limit: int
) -> list[tuple[int, int]]:
    """Return up to ``limit`` frames of a job that have a row, in the requested order.

    Each as (number, position).
    """
    found = _FRAMES.rows(connection, of_job=job_id, of_state=state.value, most=limit)
    return [(number, position) for number, position in found]


def of_claim(
    connection: Connection, job_id: str, claim_id: str, number: int
) -> tuple[FrameState, bool] | None:
    """Return the state of a frame of a claim, and whether it has failed before.

    None when the frame is not the claim's.
    """
    found = _FRAME.one(connection, of_job=job_id, of_number=number, of_claim=claim_id)
    return None if found is None else (FrameState(found[0]), found[1] + found[2] > 0)


def unfinished(connection: Connection, claim_id: str) -> list[Attempted]:
    """Return the claim's frames that are not done, in the order it renders them."""
    found = _UNFINISHED.rows(connection, of_claim=claim_id)
    return list(map(reader(Attempted, _UNFINISHED.names), found))


class Waiting:
    """The first of a job's waiting frames, for a claim.

    Attributes:
        numbers: in the requested order.
    """

    def __init__(self, connection: Connection, job_id: str, most: int) -> None:
        """Find up to ``most`` of them; nothing is changed yet."""
        # Frames returned by other claims come before untouched ones.
        self._back = positions(connection, job_id, FrameState.WAITING, most)
        self._new = frame_runs.Front([])
        if len(self._back) < most:
            self._new = frame_runs.front(connection, job_id, most - len(self._back))
        self._job_id = job_id
        self.numbers = [number for number, _ in self._back] + self._new.numbers

    def give(self, connection: Connection, claim_id: str) -> Moved:
        """Give them to a stored claim: they are being rendered."""
        if self._back:
            until = self._back[-1][1]
            _GIVE.run(connection, of_job=self._job_id, until=until, for_claim=claim_id)
        frame_runs.take(connection, self._job_id, claim_id, self._new)
        return Moved.of(FrameState.WAITING, FrameState.RUNNING, len(self.numbers))


def finish(connection: Connection, job_id: str, number: int, seconds: float) -> Moved:
    """A frame that was being rendered is done, and has cost ``seconds`` of machine time."""
    _FINISH.run(connection, of_job=job_id, of_number=number, took=seconds)
    return Moved.of(FrameState.RUNNING, FrameState.DONE, 1)


def take_back(
    connection: Connection, job_id: str, claim_id: str, verdicts: Sequence[Verdict]
) -> Moved:
    """A claim has ended: its unfinished frames get the states of their verdicts."""
    blamed = [each for each in verdicts if each.blamed or each.state is not FrameState.WAITING]
    if blamed:
        _JUDGE.run_all(
            connection,
            [
                {
                    "of_job": job_id,
                    "of_number": verdict.number,
                    "new_state": verdict.state.value,
                    "new_failures": verdict.failures,
                    "new_losses": verdict.losses,
                }
                for verdict in blamed
            ],
        )
    if len(blamed) < len(verdicts):
        _LET_WAIT.run(connection, of_claim=claim_id)
    # Counted first: a claim may have two thousand frames.
    moved = NOTHING_MOVED
    for state, count in Counter(verdict.state for verdict in verdicts).items():
        moved += Moved.of(FrameState.RUNNING, state, count)
    return moved


def move(
    connection: Connection,
    job_id: str,
    before: FrameState,
    after: FrameState,
    *which: ColumnElement[bool],
    **also: int,
) -> Moved:
    """Move started frames between waiting and failed that no runner is rendering now.

    Parameters:
        which: conditions on the columns of ``frames``; without any, all frames in the state
            ``before``.
        also: other columns to set.
    """
    count: int = connection.execute(
        update(frames)
        .where(frames.c.job_id == job_id, frames.c.state == before.value, *which)
        .values(state=after.value, claim_id=None, **also)
    ).rowcount
    return Moved.of(before, after, count)


def move_untouched(
    connection: Connection, job_id: str, before: FrameState, after: FrameState
) -> Moved:
    """Move all untouched frames: from waiting to failed, or back."""
    return Moved.of(before, after, frame_runs.move(connection, job_id, before, after))


def reset_failures(connection: Connection, job_id: str) -> Moved:
    """Reset the failure counts of a job's frames; those that were given up wait again."""
    again = move(connection, job_id, FrameState.FAILED, FrameState.WAITING)
    connection.execute(
        update(frames)
        .where(frames.c.job_id == job_id, or_(frames.c.failures > 0, frames.c.losses > 0))
        .values(failures=0, losses=0)
    )
    return again + move_untouched(connection, job_id, FrameState.FAILED, FrameState.WAITING)
