"""Untouched frames: a row for each range of them, not for each frame.

A frame gets a row of its own, in ``frames``, when it is claimed; from then on it is one of those,
whatever becomes of it. What is left here is always what was asked for last: the frames in front
are taken first, and those that come back from a claim are in front of all these.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select, update

from farm.db.engine.dialects import dialect_of
from farm.db.engine.prepared import Prepared
from farm.db.engine.rows import values_of
from farm.db.tables import frame_runs, frames
from farm.jobs.retries import FrameState

_COLUMNS = (frame_runs.c.lowest, frame_runs.c.highest, frame_runs.c.step)

# Built once: runners ask so often that building these costs more than running them.
_FIRST = Prepared(
    select(frame_runs.c.position, *_COLUMNS, frame_runs.c.count)
    .where(
        frame_runs.c.job_id == bindparam("of_job"),
        frame_runs.c.state == FrameState.WAITING.value,
    )
    .order_by(frame_runs.c.position)
    .limit(bindparam("most"))
)
_TAKEN = Prepared(
    delete(frame_runs).where(
        frame_runs.c.job_id == bindparam("of_job"), frame_runs.c.position <= bindparam("until")
    )
)
_PUT = Prepared(
    update(frame_runs)
    .where(frame_runs.c.job_id == bindparam("of_job"), frame_runs.c.position == bindparam("at"))
    .values(
        position=bindparam("new_position"),
        lowest=bindparam("new_lowest"),
        highest=bindparam("new_highest"),
        count=bindparam("new_count"),
    )
)
_ABOVE = Prepared(
    select(*_COLUMNS)
    .where(frame_runs.c.job_id == bindparam("of_job"), frame_runs.c.lowest > bindparam("of_number"))
    .order_by(frame_runs.c.lowest)
    .limit(bindparam("most"))
)
_BELOW = Prepared(
    select(*_COLUMNS)
    .where(
        frame_runs.c.job_id == bindparam("of_job"), frame_runs.c.highest < bindparam("of_number")
    )
    .order_by(frame_runs.c.highest.desc())
    .limit(bindparam("most"))
)
_ACROSS = Prepared(
    select(*_COLUMNS).where(
        frame_runs.c.job_id == bindparam("of_job"),
        frame_runs.c.lowest < bindparam("of_number"),
        frame_runs.c.highest > bindparam("of_number"),
    )
)


@dataclass(frozen=True, slots=True)
class NewRun:
    """The row of a range of frames of a new job.

    Attributes:
        position: position of its first frame in the requested order of the job's frames.
        step: of the range as it was asked for; below zero when it goes down.
    """

    job_id: str
    position: int
    lowest: int
    highest: int
    step: int
    count: int
    state: str = FrameState.WAITING.value


def rows_of(job_id: str, runs: Iterable[range]) -> list[NewRun]:
    """Return the rows for the frames of a new job, all of which wait; no range is empty."""
    rows, position = [], 0
    for run in runs:
        step = run.step if len(run) > 1 else 1
        ends = min(run[0], run[-1]), max(run[0], run[-1])
        rows.append(NewRun(job_id, position, *ends, step, len(run)))
        position += len(run)
    return rows


def add(connection: Connection, rows: Sequence[NewRun]) -> None:
    """Store the rows of new jobs."""
    _ADD.run_all(connection, [values_of(row) for row in rows])


_ADD = Prepared(insert(frame_runs).inline())


@dataclass(frozen=True, slots=True)
class Front:
    """The first of these frames of a job that wait.

    Attributes:
        numbers: in the order they were asked for.
        position: of the first one.
        until: position of the last row that would be used up; None: of none.
        rest: what would be left of the row behind that, with the position of its first frame.
    """

    numbers: list[int]
    position: int = 0
    until: int | None = None
    rest: tuple[int, int, range] | None = None


def front(connection: Connection, job_id: str, most: int) -> Front:
    """Return up to ``most`` of them, for `take` to give to a claim."""
    numbers: list[int] = []
    begin, until = 0, None
    for position, lowest, highest, step, _ in _FIRST.rows(connection, of_job=job_id, most=most):
        run, left = _run(lowest, highest, step), most - len(numbers)
        begin = begin if numbers else position
        if left < len(run):
            if left:
                rest = (position, position + left, run[left:])
                return Front([*numbers, *run[:left]], begin, until, rest)
            break
        numbers += run
        until = position
    return Front(numbers, begin, until)


def take(connection: Connection, job_id: str, claim_id: str, taken: Front) -> None:
    """Give frames to a claim that is stored: from now on they are rows, and are being rendered."""
    if taken.until is not None:
        _TAKEN.run(connection, of_job=job_id, until=taken.until)
    if taken.rest is not None:
        before, position, run = taken.rest
        _PUT.run(
            connection,
            of_job=job_id,
            at=before,
            new_position=position,
            new_lowest=min(run[0], run[-1]),
            new_highest=max(run[0], run[-1]),
            new_count=len(run),
        )
    if not taken.numbers:
        return
    # The numbers are sent as one value: a row for each would cost ten times as much.
    same: dict[str, Any] = {"job_id": job_id, "claim_id": claim_id}
    same |= {"state": FrameState.RUNNING.value, "failures": 0, "losses": 0, "seconds": 0.0}
    connection.execute(
        insert(frames).from_select(
            ["number", "position", *same],
            dialect_of(connection)
            .numbered(taken.numbers, taken.position)
            .add_columns(*(literal(value, frames.c[name].type) for name, value in same.items())),
        )
    )


def move(connection: Connection, job_id: str, before: FrameState, after: FrameState) -> int:
    """Let those that are ``before`` be ``after``, waiting or failed; return how many these are."""
    these = (frame_runs.c.job_id == job_id) & (frame_runs.c.state == before.value)
    count: int = connection.execute(
        select(func.coalesce(func.sum(frame_runs.c.count), 0)).where(these)
    ).scalar_one()
    if count:
        connection.execute(update(frame_runs).where(these).values(state=after.value))
    return int(count)


def any_wait(connection: Connection, job_id: str) -> bool:
    """Return whether untouched frames of a job wait."""
    return bool(_FIRST.rows(connection, of_job=job_id, most=1))


def failed(connection: Connection, job_id: str, most: int) -> list[range]:
    """Return up to ``most`` ranges of a job's frames that were given up untouched."""
    found = connection.execute(
        select(*_COLUMNS)
        .where(frame_runs.c.job_id == job_id, frame_runs.c.state == FrameState.FAILED.value)
        .order_by(frame_runs.c.lowest)
        .limit(most)
    )
    return [_run(*row) for row in found]


def page(
    connection: Connection, job_id: str, after: int | None, most: int
) -> list[tuple[int, str]]:
    """Return the first of these frames of a job by number, with their states.

    Parameters:
        after: only numbers above this one.
    """
    query = select(*_COLUMNS, frame_runs.c.state).where(frame_runs.c.job_id == job_id)
    begun = []
    if after is not None:
        # Each of the others has its lowest frame above: as many are enough as frames are wanted.
        across = query.where(frame_runs.c.lowest <= after, frame_runs.c.highest > after)
        begun = list(connection.execute(across))
        query = query.where(frame_runs.c.lowest > after)
    rows = [*begun, *connection.execute(query.order_by(frame_runs.c.lowest).limit(most))]
    above = [
        _with(state, _above(_run(lowest, highest, step), after))
        for lowest, highest, step, state in rows
    ]
    return list(islice(merge(*above), most))


def _with(state: str, run: range) -> Iterator[tuple[int, str]]:
    return ((number, state) for number in run)


def beside(connection: Connection, job_id: str, number: int, most: int) -> list[int]:
    """Return up to ``most`` of these frames on each side of a frame, the nearest ones."""
    across = [_run(*row) for row in _ACROSS.rows(connection, of_job=job_id, of_number=number)]
    found = []
    for statement, direction in ((_BELOW, -1), (_ABOVE, 1)):
        rows = statement.rows(connection, of_job=job_id, of_number=number, most=most)
        near: list[int] = []
        for run in (*across, *(_run(*row) for row in rows)):
            side = _above(run, number) if direction > 0 else _below(run, number)
            near += side[:most] if direction > 0 else side[max(0, len(side) - most) :]
        found += sorted(near, key=lambda each: abs(each - number))[:most]
    return found


def _run(lowest: int, highest: int, step: int) -> range:
    """Return a range as it was asked for, from a row's columns."""
    if step > 0:
        return range(lowest, highest + 1, step)
    return range(highest, lowest - 1, step)


def _above(run: range, number: int | None) -> range:
    """Return the frames above a number, ascending."""
    upwards = run if run.step > 0 else run[::-1]
    if number is None or number < upwards[0]:
        return upwards
    return upwards[(number - upwards[0]) // upwards.step + 1 :]


def _below(run: range, number: int) -> range:
    """Return the frames below a number, ascending."""
    upwards = run if run.step > 0 else run[::-1]
    return upwards[: max(0, -((upwards[0] - number) // upwards.step))]
