"""Frames as their user sees them, with the remarks about their pictures."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from farm_protocol.frames import Flag, Frame, FrameFlag, FrameList
from sqlalchemy import Connection, Select, delete, func, insert, select

from farm.db import frame_runs
from farm.db.tables import frame_flags, frames


@dataclass(frozen=True, slots=True)
class Summary:
    """The number of a job's flagged frames, and the first flags' messages, certain ones first."""

    flagged: int
    messages: list[str]


def add(connection: Connection, job_id: str, noticed: Iterable[FrameFlag]) -> None:
    """Store flags of a job's frames; the last one of a frame and code replaces others."""
    for flag in {(flag.frame, flag.code): flag for flag in noticed}.values():
        same = (frame_flags.c.job_id == job_id) & (frame_flags.c.frame == flag.frame)
        connection.execute(delete(frame_flags).where(same, frame_flags.c.code == flag.code.value))
        connection.execute(
            insert(frame_flags).values(
                job_id=job_id,
                frame=flag.frame,
                code=flag.code.value,
                certainty=flag.certainty.value,
                message=flag.message,
            )
        )


def forget(connection: Connection, job_id: str, numbers: Select[tuple[int]] | None = None) -> None:
    """Drop the flags of a job: its frames are rendered again. Only those of ``numbers``, if any."""
    query = delete(frame_flags).where(frame_flags.c.job_id == job_id)
    connection.execute(query if numbers is None else query.where(frame_flags.c.frame.in_(numbers)))


def summary(connection: Connection, job_id: str, most: int) -> Summary:
    """Return a summary of a job's flags, with up to ``most`` messages."""
    of_job = frame_flags.c.job_id == job_id
    flagged = connection.execute(
        select(func.count(frame_flags.c.frame.distinct())).where(of_job)
    ).scalar_one()
    if not flagged:
        return Summary(0, [])
    messages = connection.execute(
        select(frame_flags.c.message)
        .where(of_job)
        # "certain" comes before "hint".
        .order_by(frame_flags.c.certainty, frame_flags.c.frame, frame_flags.c.code)
        .limit(most)
    )
    return Summary(flagged, list(messages.scalars()))


def page(
    connection: Connection, job_id: str, after: int | None, limit: int, *, flagged: bool
) -> FrameList:
    """Return frames of a job by number.

    Parameters:
        after: number of the last frame of the previous page; None: from the start.
        limit: maximum number of frames.
        flagged: only those with flags.
    """
    query = (
        select(frames.c.number, frames.c.state, frames.c.seconds, frames.c.failures)
        .where(frames.c.job_id == job_id)
        .order_by(frames.c.number)
        .limit(limit)
    )
    if after is not None:
        query = query.where(frames.c.number > after)
    if flagged:
        flags_of_job = select(frame_flags.c.frame).where(frame_flags.c.job_id == job_id)
        query = query.where(frames.c.number.in_(flags_of_job))
    touched = [tuple(row) for row in connection.execute(query)]
    # Untouched frames have no flags.
    rest = [] if flagged else frame_runs.page(connection, job_id, after, limit)
    untouched = [(number, state, 0.0, 0) for number, state in rest]
    found = list(islice(merge(touched, untouched), limit))
    flags: dict[int, list[Flag]] = {}
    if found:
        rows = connection.execute(
            select(frame_flags)
            .where(
                frame_flags.c.job_id == job_id,
                frame_flags.c.frame.between(found[0][0], found[-1][0]),
            )
            .order_by(frame_flags.c.certainty, frame_flags.c.code)
        )
        for row in rows:
            flag = Flag(code=row.code, certainty=row.certainty, message=row.message)
            flags.setdefault(row.frame, []).append(flag)
    return FrameList(
        frames=[
            Frame(
                number=number,
                state=state,
                seconds=seconds,
                failures=failures,
                flags=flags.get(number, []),
            )
            for number, state, seconds, failures in found
        ],
        more=len(found) == limit,
    )
