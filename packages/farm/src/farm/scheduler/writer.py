"""The one writer of job and frame states.

Everything that happens to a job comes through here as an event of `farm.jobs.transitions`, in the
caller's transaction, together with its line in the change feed and what it means for dependents.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from farm_protocol.jobs import JobState
from sqlalchemy import Connection, RowMapping, bindparam, update

from farm.db import claims as claim_rows
from farm.db import feed, frame_flags, notices
from farm.db import jobs as rows
from farm.db.tables import frames, jobs
from farm.jobs import frame_health
from farm.jobs.dependencies import review
from farm.jobs.frames import format_frames
from farm.jobs.retries import FrameState, Verdict
from farm.jobs.transitions import ASKED_FOR, Event, IllegalTransitionError, next_state


def happen(
    connection: Connection, job_id: str, event: Event, now: datetime, sentence: str | None = None
) -> JobState:
    """Apply ``event`` to a job and to those that wait for it; return the job's new state.

    Parameters:
        sentence: what the job says from now on; None keeps the sentence that it has.

    Raises:
        IllegalTransitionError: the event makes no sense now.
    """
    row = rows.row(connection, job_id)
    before = JobState(row["state"])
    state = _change(connection, row, event, now, sentence)
    if state is not before and (
        state is JobState.PENDING
        or ((state.is_final or before.is_final) and rows.has_dependents(connection, job_id))
    ):
        review_dependencies(connection, row["submission_id"], now)
        state = JobState(rows.row(connection, job_id)["state"])
    return state


def happen_to_many(
    connection: Connection,
    job_ids: Sequence[str],
    event: Event,
    now: datetime,
    sentence: str | None = None,
) -> list[str]:
    """Apply ``event`` to those of the jobs to which it can happen; return these.

    What it means for dependents is looked at once a submission, afterwards.
    """
    happened, submissions = [], set()
    for job_id in job_ids:
        row = rows.row(connection, job_id)
        try:
            _change(connection, row, event, now, sentence)
        except IllegalTransitionError:
            continue
        happened.append(job_id)
        submissions.add(row["submission_id"])
    for submission_id in sorted(submissions):
        review_dependencies(connection, submission_id, now)
    return happened


def _change(
    connection: Connection, row: RowMapping, event: Event, now: datetime, sentence: str | None
) -> JobState:
    before = JobState(row["state"])
    state = next_state(before, event)
    if state is before and event in ASKED_FOR:
        return state  # It is so already, and says why.
    values: dict[str, Any] = {"state": state.value}
    if sentence is not None:
        values["sentence"] = sentence
    if before is JobState.SUSPENDED and state is not before:
        values["suspended_for"] = ""
    if event is Event.CLAIMED and row["started_at"] is None:
        values["started_at"] = now
    if state.is_final != before.is_final:
        values["finished_at"] = now if state.is_final else None
    if any(row[name] != value for name, value in values.items()):
        connection.execute(update(jobs).where(jobs.c.id == row["id"]).values(**values))
        feed.job_changed(connection, row["account_id"], row["id"])
    if state.is_final and not before.is_final and event is not Event.RUNNERS_GONE:
        _tell_when_over(connection, row["submission_id"], now)
    return state


def _tell_when_over(connection: Connection, submission_id: str, now: datetime) -> None:
    """Tell the user when the last job of a submission has ended; who stops one knows it."""
    submission = rows.submission(connection, submission_id)
    if not all(job.state.is_final for job in submission.jobs):
        return
    done = sum(job.state is JobState.COMPLETED for job in submission.jobs)
    outcome = "is done" if done == len(submission.jobs) else "has ended, but not all of it is done"
    lines = [
        f"{job.name}: {job.state.value}, {job.frames_done} of {job.frames_total} frames,"
        f" {job.credits:.2f} credits. {job.sentence}".rstrip()
        for job in submission.jobs
    ]
    notices.add(
        connection,
        rows.submission_owner(connection, submission_id) or "",
        f"'{submission.project}' {outcome}",
        "\n".join([f"{submission.project}, {submission.name}:", *lines, ""]),
        now,
    )


def say(connection: Connection, job_id: str, sentence: str) -> None:
    """Change what a job says of itself, when that is news."""
    row = rows.row(connection, job_id)
    if row["sentence"] != sentence:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(sentence=sentence))
        feed.job_changed(connection, row["account_id"], job_id)


def warn(connection: Connection, row: RowMapping, sentences: Sequence[str]) -> None:
    """Add warnings to a job, each once, when they are news.

    Parameters:
        row: the job's whole row.
    """
    known: list[str] = row["warnings"]
    news = [sentence for sentence in dict.fromkeys(sentences) if sentence not in known]
    if news:
        values = {"warnings": known + news}
        connection.execute(update(jobs).where(jobs.c.id == row["id"]).values(values))
        feed.job_changed(connection, row["account_id"], row["id"])


def review_dependencies(connection: Connection, submission_id: str, now: datetime) -> None:
    """Let the waiting jobs of a submission go on, or block them, as what they need stands."""
    ended = True
    while ended:
        ended = False
        for each in review(rows.graph(connection, submission_id)):
            row = rows.row(connection, each.job_id)
            _change(connection, row, each.event, now, each.sentence)
            if each.event is Event.DEPENDENCIES_MET and rows.progress(row).over:
                # Its last frame was done before it had to wait again.
                _change(connection, rows.row(connection, each.job_id), *_end(connection, row, now))
                ended = True


def put_back(
    connection: Connection, job_id: str, verdicts: Sequence[Verdict], sentence: str, now: datetime
) -> None:
    """Write down what becomes of the unfinished frames of a claim that ended."""
    if not verdicts:
        return
    connection.execute(
        update(frames)
        .where(frames.c.job_id == job_id, frames.c.number == bindparam("of_number"))
        .values(
            state=bindparam("new_state"),
            failures=bindparam("new_failures"),
            losses=bindparam("new_losses"),
            claim_id=None,
        ),
        [
            {
                "of_number": verdict.number,
                "new_state": verdict.state.value,
                "new_failures": verdict.failures,
                "new_losses": verdict.losses,
            }
            for verdict in verdicts
        ],
    )
    failed = sum(verdict.state is FrameState.FAILED for verdict in verdicts)
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            frames_running=jobs.c.frames_running - len(verdicts),
            frames_failed=jobs.c.frames_failed + failed,
        )
    )
    row = rows.row(connection, job_id)
    feed.job_changed(connection, row["account_id"], job_id)
    if sentence and not JobState(row["state"]).is_final:
        say(connection, job_id, sentence)


def fail_waiting(connection: Connection, job_id: str) -> None:
    """Give up the frames that nobody has begun: the job cannot succeed."""
    given_up = connection.execute(
        update(frames)
        .where(frames.c.job_id == job_id, frames.c.state == FrameState.WAITING.value)
        .values(state=FrameState.FAILED.value)
    ).rowcount
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(frames_failed=jobs.c.frames_failed + given_up)
    )


def settle(connection: Connection, job_id: str, now: datetime) -> None:
    """End the job if nothing of it is left to do."""
    row = rows.row(connection, job_id)
    state = JobState(row["state"])
    if state.is_final or state in (JobState.PENDING, JobState.STOPPING):
        return
    if not rows.progress(row).over:
        return
    happen(connection, job_id, *_end(connection, row, now))


def _end(connection: Connection, row: RowMapping, now: datetime) -> tuple[Event, datetime, str]:
    if not row["frames_failed"]:
        return Event.ALL_FRAMES_DONE, now, completed_sentence(connection, row)
    sentence = _failure(connection, row)
    if rows.progress(row).left:
        fail_waiting(connection, row["id"])
    return Event.FRAMES_GAVE_UP, now, sentence


def completed_sentence(connection: Connection, row: RowMapping) -> str:
    """Return what a job says that has all its frames: which of them look wrong; mostly ""."""
    noticed = frame_flags.summary(connection, row["id"], frame_health.MOST_SENTENCES)
    return frame_health.completed(row["frames_total"], noticed.flagged, noticed.sentences)


def _failure(connection: Connection, row: RowMapping) -> str:
    why = claim_rows.last_failure(connection, row["id"])
    if row["frames_failed"] == row["frames_total"]:
        return why or "No frame could be rendered."
    numbers = rows.frame_numbers(connection, row["id"], FrameState.FAILED, row["frames_failed"])
    which = f"frame {numbers[0]}" if len(numbers) == 1 else f"frames {format_frames(numbers)}"
    if left := rows.progress(row).left:
        return f"Failed: test {which}; the other {left} were not started. {why}".rstrip()
    return f"Failed: {which}. {why}".rstrip()
