"""What a user may do to a job. Each may be repeated; each works in the caller's transaction."""

from datetime import datetime

from farm_protocol.jobs import JobState
from sqlalchemy import Connection, update

from farm.db import jobs as rows
from farm.db.tables import frames, jobs
from farm.errors import ConflictError, NotFoundError
from farm.jobs.retries import FrameState
from farm.jobs.transitions import Event, IllegalTransitionError
from farm.scheduler import writer


def act(connection: Connection, account_id: str, job_id: str, event: Event, now: datetime) -> None:
    """Apply STOP, SUSPEND, RESUME or RETRY.

    STOP kills what runs. SUSPEND lets running frames finish and starts no new ones. RETRY puts
    failed frames back, and lets the jobs that were blocked by this one wait again.

    Raises:
        NotFoundError: no such job of this account.
        ConflictError: it makes no sense in the job's present state.
    """
    job = rows.owned(connection, account_id, job_id)
    if job is None:
        raise NotFoundError(f"There is no job '{job_id}'.")
    try:
        writer.happen(connection, job_id, event, now, _SENTENCES[event])
    except IllegalTransitionError:
        raise ConflictError(f"'{job.name}' is {job.state}; it cannot {event}.") from None
    if event is Event.RETRY:
        _retry(connection, job_id, now)


_SENTENCES = {
    Event.STOP: "Stopped by its user.",
    Event.SUSPEND: "Suspended by its user.",
    Event.RESUME: "",
    Event.RETRY: "",
}


def _retry(connection: Connection, job_id: str, now: datetime) -> None:
    connection.execute(
        update(frames)
        .where(frames.c.job_id == job_id, frames.c.state == FrameState.FAILED.value)
        .values(state=FrameState.WAITING.value, failures=0, losses=0, claim_id=None)
    )
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(frames_failed=0))
    writer.review_dependencies(connection, job_id, now)
    for dependent in rows.dependents_of(connection, job_id):
        if rows.row(connection, dependent)["state"] == JobState.BLOCKED:
            writer.happen(connection, dependent, Event.RETRY, now, "")
            _retry(connection, dependent, now)
