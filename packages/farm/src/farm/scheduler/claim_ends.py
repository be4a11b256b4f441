"""How claims end, and what happens to their frames, their time and their job."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from farm.db import claims as claim_rows
from farm.db import feed, frame_states, job_rows, metering
from farm.db import runners as runner_rows
from farm.db.claims import ClaimRow, TimeColumns
from farm.db.job_rows import JobColumns, JobRow
from farm.db.runners import RunnerRow
from farm.jobs.licences import FREE_SECONDS_OF_A_DAY, free_seconds
from farm.jobs.pricing import charged_seconds
from farm.jobs.retries import Attempted, ClaimEnd, judge_unfinished
from farm.jobs.status_messages import trying_again
from farm.scheduler import machine_time, setbacks, trust, writer

_A_DAY = timedelta(days=1)


def expire_silent(connection: Connection, now: datetime) -> None:
    """Take back the claims whose runner has been silent too long."""
    for each in claim_rows.silent_claims(connection, now):
        row = job_rows.row(connection, each.job_id)
        end(connection, row, each, ClaimEnd.LOST, "lost", "Its runner stopped responding.", now)


def runner_vanished(connection: Connection, runner: RunnerRow, now: datetime) -> None:
    """The engine reports that a runner is gone: take back its claim and end it."""
    for each in claim_rows.open_claims(connection, runner_id=runner.id):
        row = job_rows.row(connection, each.job_id)
        end(connection, row, each, ClaimEnd.LOST, "lost", "Its runner ended unexpectedly.", now)
    runner_rows.end_runner(connection, runner.id, now)


def end(
    connection: Connection,
    row: JobRow,
    ended: ClaimRow,
    how: ClaimEnd,
    outcome: str,
    message: str,
    now: datetime,
    *,
    frame: int | None = None,
    exit_code: int | None = None,
    permanent: bool = False,
    marker: str = "",
    processor_seconds: float = 0.0,
    free_a_day: float = FREE_SECONDS_OF_A_DAY,
    heard: bool = False,
) -> bool:
    """End a claim; return whether it had unfinished frames.

    The time since its last frame is charged, whatever the result: free are only the seconds that
    `free_seconds` returns for a missing licence, and a short time for ending once all is delivered.

    Parameters:
        frame: the frame that its renderer was at, if its runner knows.
        processor_seconds: processor time that its renderer has used.
        free_a_day: most free seconds of an account without a licence.
        heard: its runner reported the end, and has worked until now; otherwise its time ends with
            its last sign of life.
    """
    left = frame_states.unfinished(connection, ended.id)
    frame = _frame_it_was_at(connection, row, ended, left, frame)
    # "completed" with frames left is a failure, too.
    failed = bool(left) and how is not ClaimEnd.STOPPED
    unposted = machine_time.unposted(ended, now) if heard else ended.unposted_seconds
    seconds = charged_seconds(unposted, ended.delivered, ended.seconds)
    free = 0.0
    if how is ClaimEnd.NO_LICENCE:
        before = metering.never_posted(connection, row.account_id, now - _A_DAY)
        free = free_seconds(seconds, processor_seconds, ended.frames_done, before, free_a_day)
    of_claim, of_job = _charge_rest(connection, row, ended, seconds, free, now)
    claim_rows.end_claim(
        connection,
        ended.id,
        now,
        outcome=outcome,
        failed=failed,
        message=message if left else "",
        exit_code=exit_code,
        marker=marker,
        current_frame=frame,
        **of_claim,
    )
    verdicts = judge_unfinished(
        left, how, frame=frame, frame_reached=ended.frames_done > 0, permanent=permanent
    )
    # For a licence, `setbacks` decides when to retry.
    again = trying_again(message) if failed and how is not ClaimEnd.NO_LICENCE else None
    writer.requeue(connection, row, ended.id, verdicts, again, **of_job)
    if left and how is ClaimEnd.NO_LICENCE:
        setbacks.no_licence(connection, row, message, now)
    elif left and how in (ClaimEnd.FAILED, ClaimEnd.LOST) and not permanent:
        setbacks.claim_failed(connection, row, ended, now)
    if failed:
        line = feed.log_line(now, f"{message} ({len(left)} unfinished frames)")
        feed.add_log(connection, ended.job_id, ended.id, -1, line)
    if permanent and left:
        writer.fail_waiting(connection, row)
    writer.settle(connection, row, now)
    return bool(left)


def _frame_it_was_at(
    connection: Connection,
    row: JobRow,
    ended: ClaimRow,
    left: Sequence[Attempted],
    reported: int | None,
) -> int | None:
    """Return the unfinished frame that its renderer was at; None when unknown.

    Parameters:
        reported: by its runner, if at all.
    """
    # Heartbeats come every two seconds: they know nothing about a renderer that ends sooner.
    frame = ended.current_frame if reported is None else reported
    if frame is None and ended.frames_done and left:
        frame = left[0].number  # In the middle of its claim it was at the next frame.
    if frame is not None and not trust.was_given(connection, row, ended, frame):
        frame = left[0].number if left else None  # Not a frame of this claim.
    return frame


def _charge_rest(
    connection: Connection,
    row: JobRow,
    ended: ClaimRow,
    seconds: float,
    free: float,
    now: datetime,
) -> tuple[TimeColumns, JobColumns]:
    """Charge the time since the claim's last frame; return what to record for it and its job.

    Parameters:
        free: free seconds among these.
    """
    of_claim: TimeColumns = {}
    of_job: JobColumns = {}
    if seconds:
        of_claim = {"seconds": ended.seconds + seconds - free, "unposted_seconds": free}
    if seconds > free:
        micros = machine_time.charge(connection, row, f"rest:{ended.id}", seconds - free, now)
        of_job = {"credits_micros": row.credits_micros + micros}
    return of_claim, of_job
