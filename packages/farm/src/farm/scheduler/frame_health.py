"""Remarks about frames: stored, and summarised by the job. Never a reason to fail."""

from farm_protocol.runner import FrameDone
from sqlalchemy import Connection

from farm.db.job_rows import JobRow
from farm.frame_health import flags, neighbours, pictures
from farm.scheduler import writer

_FEWEST = 3
"""With fewer frames, a job has none between two others."""


def note(connection: Connection, job: JobRow, report: FrameDone) -> None:
    """Store the remarks about a finished frame, and what it shows about its neighbours."""
    # Its own first: what the comparison is certain of replaces the hint.
    noticed = [flag for flag in report.flags if flag.frame == report.frame]
    if report.picture is not None and job.frames_total >= _FEWEST:
        pictures.add(connection, job.id, report.frame, report.picture)
        beside = pictures.around(connection, job.id, report.frame)
        noticed += neighbours.compare(beside)
    if noticed:
        flags.add(connection, job.id, noticed)
        found = flags.summary(connection, job.id, neighbours.MOST_MESSAGES)
        text = neighbours.summary(job.frames_total, found.flagged, found.messages)
        writer.notice(connection, job, text, found.flagged)
