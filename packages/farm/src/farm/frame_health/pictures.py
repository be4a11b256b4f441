"""Statistics of frames' pictures while a job is rendered: to compare neighbours."""

import struct
from typing import Any

from farm_protocol.frames import SIGNATURE_CELLS, Emptiness, Picture
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    insert,
    select,
    union_all,
)

from farm.db import frame_runs
from farm.db.engine.prepared import Prepared
from farm.db.tables import frame_pictures, frames
from farm.frame_health.neighbours import AROUND, Seen

_FORMAT = struct.Struct(f"<{SIGNATURE_CELLS}H")


def _beside(before: bool) -> Select[Any]:
    """Return a query for the nearest frames on one side; the frame itself is on the other."""
    number = frames.c.number
    given: ColumnElement[int] = bindparam("of_number")
    query = select(number).where(frames.c.job_id == bindparam("of_job"))
    if before:
        query = query.where(number < given).order_by(number.desc()).limit(AROUND)
    else:
        query = query.where(number >= given).order_by(number).limit(AROUND + 1)
    # SQLite allows a sorted part of a union only as a subquery.
    return select(query.subquery())


_numbers = union_all(_beside(before=True), _beside(before=False)).subquery()
_AROUND = Prepared(
    select(_numbers.c.number, frame_pictures.c.signature, frame_pictures.c.emptiness)
    .select_from(
        _numbers.outerjoin(
            frame_pictures,
            (frame_pictures.c.job_id == bindparam("of_job"))
            & (frame_pictures.c.frame == _numbers.c.number),
        )
    )
    .order_by(_numbers.c.number)
)
_ADD = Prepared(insert(frame_pictures).inline())
_FORGET = Prepared(delete(frame_pictures).where(frame_pictures.c.job_id == bindparam("of_job")))


def add(connection: Connection, job_id: str, frame: int, picture: Picture) -> None:
    """Store the picture of a frame that has just been done."""
    _ADD.run(
        connection,
        job_id=job_id,
        frame=frame,
        signature=_FORMAT.pack(*picture.signature),
        emptiness=picture.emptiness.value,
    )


def around(connection: Connection, job_id: str, frame: int) -> list[Seen | None]:
    """Return a frame and the ``AROUND`` frames of the job before and after it, by number.

    None stands for each one without a picture.
    """
    known = {
        number: None
        if signature is None
        else Seen(number, _FORMAT.unpack(signature), Emptiness(emptiness))
        for number, signature, emptiness in _AROUND.rows(connection, of_job=job_id, of_number=frame)
    }
    # Untouched frames have no row, but may be between two that have one.
    known |= dict.fromkeys(frame_runs.beside(connection, job_id, frame, AROUND))
    numbers = sorted(known)
    place = numbers.index(frame)
    return [known[each] for each in numbers[max(0, place - AROUND) : place + AROUND + 1]]


def forget(connection: Connection, job_id: str, numbers: Select[tuple[int]] | None = None) -> None:
    """Drop a job's pictures: all its frames are done, or rendered again. Only of ``numbers``, if
    any.
    """
    if numbers is None:
        _FORGET.run(connection, of_job=job_id)
        return
    these = (frame_pictures.c.job_id == job_id) & frame_pictures.c.frame.in_(numbers)
    connection.execute(delete(frame_pictures).where(these))
