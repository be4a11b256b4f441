"""What runners notice about frames: kept, and said by the job. Never a reason to fail."""

from collections.abc import Sequence

from farm_protocol.frames import FrameFlag
from farm_protocol.jobs import JobState
from sqlalchemy import Connection

from farm.db import frame_flags
from farm.db.claims import ClaimRow
from farm.db.jobs import JobRow
from farm.scheduler import writer


def note(
    connection: Connection, claim: ClaimRow, job: JobRow, noticed: Sequence[FrameFlag]
) -> None:
    """Keep what was noticed about frames of a claim; a job that is completed says it at once."""
    if not frame_flags.add(connection, claim.id, claim.job_id, noticed):
        return
    if job["state"] == JobState.COMPLETED.value:
        writer.say(connection, job, writer.completed_sentence(connection, job))
