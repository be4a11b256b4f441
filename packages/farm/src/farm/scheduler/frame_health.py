"""What runners notice about frames: kept, and said by the job. Never a reason to fail."""

from collections.abc import Sequence

from farm_protocol.frames import FrameFlag
from farm_protocol.jobs import JobState
from sqlalchemy import Connection

from farm.db import frame_flags
from farm.db import jobs as rows
from farm.db.claims import ClaimRow
from farm.scheduler import writer


def note(connection: Connection, claim: ClaimRow, noticed: Sequence[FrameFlag]) -> None:
    """Keep what was noticed about frames of a claim; a job that is completed says it at once."""
    if not frame_flags.add(connection, claim.id, claim.job_id, noticed):
        return
    row = rows.row(connection, claim.job_id)
    if row["state"] == JobState.COMPLETED.value:
        writer.say(connection, row, writer.completed_sentence(connection, row))
