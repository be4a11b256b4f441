"""The one writer of jobs' states; `farm.db.frame_states` and `frame_runs` write those of frames.

Everything that happens to a job passes through here as an event of `farm.jobs.transitions`, in the
caller's transaction, together with its line in the change feed and its effect on dependents.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Unpack

from farm_protocol.jobs import JobReason, JobState
from sqlalchemy import Connection

from farm.db import claims as claim_rows
from farm.db import feed, frame_runs, frame_states, job_rows, job_warnings, notices
from farm.db import jobs as job_table
from farm.db.job_rows import JobColumns, JobRow
from farm.frame_health import pictures
from farm.jobs.dependencies import review
from farm.jobs.frames import format_ranges
from farm.jobs.progress import NOTHING_MOVED, Moved
from farm.jobs.retries import FrameState, Verdict
from farm.jobs.status_messages import NO_MESSAGE, StatusMessage
from farm.jobs.transitions import ASKED_FOR, Event, IllegalTransitionError, next_state

AT_WORK = frozenset({JobState.READY, JobState.RUNNING})
"""States of jobs that runners may work on."""

_MOST_LOOKED_AT = 1000
"""Limit on failed frames, and ranges of them, that are read to name a few."""

_BY_THEMSELVES = frozenset({JobState.COMPLETED, JobState.FAILED})
"""How jobs end unless somebody stops them, or one of their dependencies."""


def apply(
    connection: Connection,
    row: JobRow,
    event: Event,
    now: datetime,
    status: StatusMessage | None = None,
    moved: Moved = NOTHING_MOVED,
    **also: Unpack[JobColumns],
) -> JobState:
    """Apply ``event`` to a job and to those that wait for it; return the job's new state.

    Parameters:
        status: the job's new message; None keeps the current one.
        moved: state changes of its frames.
        also: other columns to write at the same time.
    """
    before = JobState(row.state)
    state = _change(connection, row, event, now, status, moved, **also)
    if state.is_final and not before.is_final:
        _tell_when_over(connection, row.submission_id, now)
    if state is not before and (
        state is JobState.PENDING
        or ((state.is_final or before.is_final) and job_rows.has_dependents(connection, row.id))
    ):
        review_dependencies(connection, row.submission_id, now)
        row.update_from(job_rows.row(connection, row.id))
    return JobState(row.state)


def apply_to_many(
    connection: Connection,
    job_ids: Sequence[str],
    event: Event,
    now: datetime,
    status: StatusMessage | None = None,
) -> list[str]:
    """Apply ``event`` to those of the jobs that allow it; return these.

    Its effect on dependents is determined afterwards, once per submission.
    """
    happened: list[str] = []
    submissions: set[str] = set()
    ended: set[str] = set()
    for row in job_rows.fetch_many(connection, job_ids).values():
        before = JobState(row.state)
        try:
            state = _change(connection, row, event, now, status)
        except IllegalTransitionError:
            continue
        happened.append(row.id)
        submissions.add(row.submission_id)
        if state.is_final and not before.is_final:
            ended.add(row.submission_id)
    for submission_id in sorted(ended):
        _tell_when_over(connection, submission_id, now)
    for submission_id in sorted(submissions):
        review_dependencies(connection, submission_id, now)
    return happened


def _change(
    connection: Connection,
    row: JobRow,
    event: Event,
    now: datetime,
    status: StatusMessage | None,
    moved: Moved = NOTHING_MOVED,
    **also: Unpack[JobColumns],
) -> JobState:
    before = JobState(row.state)
    state = next_state(before, event, at_work=row.frames_running > 0)
    if state is before and event in ASKED_FOR:
        return state  # Already in that state, with its message.
    values: JobColumns = {"state": state.value}
    if status is not None:
        values |= _columns(status)
    if before is JobState.SUSPENDED and state is not before:
        values["suspended_for"] = ""
    if state is JobState.READY and state is not before:
        values |= {"licence_failures": 0, "not_before": None}  # The job it waited for is retried.
    if event is Event.CLAIMED and row.started_at is None:
        values["started_at"] = now
    if state.is_final != before.is_final:
        values["finished_at"] = now if state.is_final else None
    news = row.news(values)
    also.update(news)
    job_rows.put(connection, row, moved, **also)
    if news:
        feed.job_changed(connection, row.account_id, row.id)
    return state


def _columns(status: StatusMessage) -> JobColumns:
    return {"message": status.message, "reason": status.reason.value}


def _tell_when_over(connection: Connection, submission_id: str, now: datetime) -> None:
    """Notify the user when the last job of a submission has ended.

    A user who has stopped all of it knows.
    """
    if job_table.any_unfinished(connection, submission_id):
        return
    submission = job_table.submission(connection, submission_id)
    states = {job.state for job in submission.jobs}
    if states.isdisjoint(_BY_THEMSELVES):
        return
    done = sum(job.state is JobState.COMPLETED for job in submission.jobs)
    outcome = "is complete" if done == len(submission.jobs) else "has ended, but is not complete"
    lines = [
        f"{job.name}: {job.state.value}, {job.frames_done} of {job.frames_total} frames,"
        f" {job.credits:.2f} credits. {job.message}".rstrip()
        for job in submission.jobs
    ]
    notices.add(
        connection,
        job_table.submission_owner(connection, submission_id) or "",
        f"'{submission.project}' {outcome}",
        "\n".join([f"{submission.project}, {submission.name}:", *lines, ""]),
        now,
    )


def set_message(connection: Connection, row: JobRow, status: StatusMessage) -> None:
    """Change a job's message, if it is new."""
    if StatusMessage(row.message, JobReason(row.reason)) != status:
        job_rows.put(connection, row, **_columns(status))
        feed.job_changed(connection, row.account_id, row.id)


def hold(connection: Connection, row: JobRow, status: StatusMessage) -> None:
    """Keep a suspended job suspended for another reason: no top-up resumes it any more."""
    if row.suspended_for:
        job_rows.put(connection, row, suspended_for="")
        set_message(connection, row, status)


def set_message_at_work(connection: Connection, row: JobRow, status: StatusMessage) -> None:
    """Change a job's message, unless it is suspended: then its message says why."""
    if JobState(row.state) in AT_WORK:
        set_message(connection, row, status)


def notice(connection: Connection, row: JobRow, text: str, flagged: int) -> None:
    """Change a job's remark on its ``flagged`` frames, beside its message."""
    if row.noticed != text:
        job_rows.put(connection, row, noticed=text, frames_flagged=flagged)
        feed.job_changed(connection, row.account_id, row.id)


def warn(connection: Connection, row: JobRow, messages: Sequence[str]) -> None:
    """Add warnings to a job, each once, if they are new."""
    if messages:
        job_warnings.add(connection, row.id, messages)


def review_dependencies(connection: Connection, submission_id: str, now: datetime) -> None:
    """Release the waiting jobs of a submission, or block them, according to their dependencies."""
    again, over = True, False
    while again:
        again = False
        found = review(job_rows.graph(connection, submission_id))
        its = job_rows.fetch_many(connection, [each.job_id for each in found])
        for each in found:
            row = its[each.job_id]
            before = JobState(row.state)
            state = _change(connection, row, each.event, now, each.status)
            if each.event is Event.DEPENDENCIES_MET and job_rows.progress(row).over:
                # Its last frame was done before it had to wait again.
                state = _change(connection, row, *_end(connection, row, now))
                again = True
            over |= state.is_final and not before.is_final
    if over:
        _tell_when_over(connection, submission_id, now)


def requeue(
    connection: Connection,
    row: JobRow,
    claim_id: str,
    verdicts: Sequence[Verdict],
    status: StatusMessage | None,
    **also: Unpack[JobColumns],
) -> None:
    """Store what happens to the unfinished frames of a claim that ended.

    Parameters:
        verdicts: one for each of its unfinished frames.
        status: the new message of a running job; None keeps the current one.
        also: other columns of the job to write at the same time.
    """
    moved = frame_states.take_back(connection, row.id, claim_id, verdicts)
    if verdicts and status is not None and JobState(row.state) in AT_WORK:
        also |= _columns(status)
    job_rows.put(connection, row, moved, **also)
    if verdicts:
        feed.job_changed(connection, row.account_id, row.id)


def fail_waiting(connection: Connection, row: JobRow) -> None:
    """Give up the untouched frames: the job cannot succeed."""
    begun = frame_states.move(connection, row.id, FrameState.WAITING, FrameState.FAILED)
    job_rows.put(
        connection,
        row,
        begun
        + frame_states.move_untouched(connection, row.id, FrameState.WAITING, FrameState.FAILED),
    )


def settle(connection: Connection, row: JobRow, now: datetime) -> None:
    """End the job if no work is left."""
    state = JobState(row.state)
    if state.is_final or state in (JobState.PENDING, JobState.STOPPING):
        return
    if job_rows.progress(row).over:
        apply(connection, row, *_end(connection, row, now))


def _end(
    connection: Connection, row: JobRow, now: datetime
) -> tuple[Event, datetime, StatusMessage]:
    if not row.frames_failed:
        pictures.forget(connection, row.id)
        return Event.ALL_FRAMES_DONE, now, NO_MESSAGE
    status = _failure(connection, row)
    if job_rows.progress(row).left:
        fail_waiting(connection, row)
    return Event.FRAMES_GAVE_UP, now, status


def _failure(connection: Connection, row: JobRow) -> StatusMessage:
    why = claim_rows.last_failure(connection, row.id)
    if row.frames_failed == row.frames_total:
        return StatusMessage(why or "No frame could be rendered.", JobReason.FRAMES)
    found = frame_states.positions(connection, row.id, FrameState.FAILED, _MOST_LOOKED_AT)
    runs = [range(number, number + 1) for number, _ in found]
    runs += frame_runs.failed(connection, row.id, _MOST_LOOKED_AT)
    shown = format_ranges(runs)
    if len(found) == _MOST_LOOKED_AT and not shown.endswith("..."):
        shown += ", ..."
    which = f"frame {shown}" if row.frames_failed == 1 else f"frames {shown}"
    if left := job_rows.progress(row).left:
        message = f"Failed: test {which}. The other {left} frames were not started. {why}".rstrip()
        return StatusMessage(message, JobReason.TEST_FRAMES)
    return StatusMessage(f"Failed: {which}. {why}".rstrip(), JobReason.FRAMES)
