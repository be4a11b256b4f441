"""What runners ask for and report. Every claim is fenced: only its runner, only while it is open.

All functions work in the caller's write transaction and may be repeated: a runner that did not
get the answer sends the same again.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from farm_protocol.jobs import JobState
from farm_protocol.runner import (
    CLAIM_TIMEOUT_SECONDS,
    Claim,
    ClaimRequest,
    Finish,
    FrameDone,
    Outcome,
    OutputFile,
    RunnerCommand,
)
from sqlalchemy import Connection, RowMapping, update

from farm.accounts.credits import charge
from farm.db import accounts, feed, files
from farm.db import claims as rows
from farm.db import jobs as job_rows
from farm.db.claims import ClaimRow, RunnerRow
from farm.db.metering import metered_seconds
from farm.db.tables import jobs, outputs
from farm.errors import ClaimLostError, InvalidRequestError, NotAuthenticatedError
from farm.jobs.chunks import MAX_CLAIM, claim_size
from farm.jobs.pricing import machine_time_micros
from farm.jobs.retries import ClaimEnd, FrameState, judge_unfinished
from farm.jobs.transitions import Event
from farm.scheduler import frame_health, setbacks, writer

_CLAIMABLE = frozenset({JobState.READY, JobState.RUNNING})
_TIMES = {"startup_seconds", "frame_seconds"}


def claim(
    connection: Connection,
    runner: RunnerRow,
    request: ClaimRequest,
    slots: Mapping[str, int],
    now: datetime,
) -> Claim:
    """Give the runner frames, or tell it why there are none and end it.

    Parameters:
        slots: capacity by machine type.

    Raises:
        NotAuthenticatedError: the runner was given up a moment ago.
    """
    alive = rows.live_runner(connection, runner.id)
    if alive is None:
        raise NotAuthenticatedError("This runner was given up; its token is not valid any more.")
    for left_open in rows.open_claims(connection, runner_id=runner.id):
        # It asks for the next one, so it knows nothing of this: the answer never arrived.
        _end(connection, left_open, ClaimEnd.STOPPED, "stopped", "", now)
    _remember_times(connection, runner.job_id, request)
    if request.host and request.host != alive.host:
        rows.set_host(connection, runner.id, request.host)
    row = job_rows.row(connection, runner.job_id)
    account = accounts.by_id(connection, row["account_id"])
    progress = job_rows.progress(row)
    reason = ""
    if not account.active:
        reason = "The account is disabled."
    elif row["state"] not in _CLAIMABLE:
        reason = f"The job is {row['state']}."
    elif alive.yielding:
        reason = "It makes room for another job."
    elif progress.claimable <= 0:
        reason = "No frame waits."
    else:
        host = request.host or alive.host
        reason = setbacks.refusal(connection, row, host, now)
    if reason:
        rows.end_runner(connection, runner.id, now)
        return Claim(claim_id=None, frames=[], reason=reason)
    limit = account.plan.job_throughput_limit
    most_runners = max(1, min(row["instances"], limit, slots.get(row["machine_type"], 1)))
    size = claim_size(
        progress.claimable, most_runners, row["startup_seconds"], row["frame_seconds"]
    )
    numbers = job_rows.frame_numbers(
        connection, runner.job_id, FrameState.WAITING, min(size, MAX_CLAIM)
    )
    claim_id = uuid4().hex
    rows.add_claim(connection, claim_id, runner, numbers, now)
    writer.warn(connection, row, request.warnings)
    writer.happen(connection, runner.job_id, Event.CLAIMED, now)
    # A renderer is given ascending frames, whatever order the user asked for: see `unfinished`.
    return Claim(claim_id=claim_id, frames=sorted(numbers))


def _remember_times(connection: Connection, job_id: str, request: ClaimRequest) -> None:
    values = {
        name: value
        for name, value in request.model_dump(include=_TIMES).items()
        if value is not None and value > 0
    }
    if values:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))


def heartbeat(
    connection: Connection, runner: RunnerRow, claim_id: str, frame: int | None, now: datetime
) -> RunnerCommand:
    """Note that the runner lives, and tell it what to do. Raises ClaimLostError."""
    own = _own(connection, runner, claim_id)
    rows.touch(connection, own.id, now, frame)
    state, let_in = job_rows.state_and_access(connection, runner.job_id)
    if state is JobState.STOPPING or not let_in:
        return RunnerCommand.STOP
    alive = rows.live_runner(connection, runner.id)
    if own.recalled or state is JobState.SUSPENDED or alive is None or alive.yielding:
        return RunnerCommand.YIELD
    return RunnerCommand.CONTINUE


def frame_done(
    connection: Connection, runner: RunnerRow, claim_id: str, report: FrameDone, now: datetime
) -> None:
    """Store a finished frame, its files and its price.

    Raises:
        ClaimLostError: the claim is not this runner's any more; nothing is charged.
        InvalidRequestError: not a frame of the claim, a file outside the job's output folder, or
            one whose blob was not sent.
    """
    own = _own(connection, runner, claim_id)
    state = rows.frame_state(connection, own, report.frame)
    if state is None:
        raise InvalidRequestError({"frame": [f"{report.frame} is not a frame of this claim."]})
    if state is FrameState.DONE:
        return
    row = job_rows.row(connection, runner.job_id)
    _check_outputs(connection, row["account_id"], row["output_folder"], report.outputs)
    for file in report.outputs:
        _store_output(
            connection, row["id"], row["submission_id"], row["account_id"], report, file, now
        )
    seconds = _charge(connection, own, row, f"frame:{own.id}:{report.frame}", now)
    rows.frame_finished(connection, own, report.frame, seconds, now)
    frame_health.note(connection, own, report.flags)
    setbacks.frame_done(connection, row, own)
    feed.job_changed(connection, row["account_id"], row["id"])
    writer.settle(connection, row["id"], now)


def _charge(
    connection: Connection, own: ClaimRow, row: RowMapping, reference: str, now: datetime
) -> float:
    """Charge the claim's time since its last charge, by the farm's clock; return the seconds."""
    seconds = metered_seconds(own.metered_at, now)
    micros = machine_time_micros(seconds, Decimal(row["credits_per_hour"]))
    charge(connection, row["account_id"], reference, micros, now)
    rows.charged(connection, own, seconds, micros, now)
    return seconds


def _check_outputs(
    connection: Connection, account_id: str, folder: str, produced: list[OutputFile]
) -> None:
    known = files.known_blobs(connection, account_id, [file.hash for file in produced])
    for index, file in enumerate(produced):
        if not file.path.startswith(f"{folder}/"):
            raise InvalidRequestError(
                {f"outputs[{index}].path": [f"'{file.path}' is not inside '{folder}'."]}
            )
        if known.get(file.hash) != file.size:
            raise InvalidRequestError(
                {f"outputs[{index}].hash": [f"The bytes of '{file.path}' were not sent."]}
            )


def _store_output(
    connection: Connection,
    job_id: str,
    submission_id: str,
    account_id: str,
    report: FrameDone,
    file: OutputFile,
    now: datetime,
) -> None:
    values = {
        "submission_id": submission_id,
        "account_id": account_id,
        "frame": report.frame,
        "hash": file.hash,
        "size": file.size,
        "created_at": now,
    }
    replaced = connection.execute(
        update(outputs)
        .where(outputs.c.job_id == job_id, outputs.c.path == file.path)
        .values(**values)
    ).rowcount
    if not replaced:
        connection.execute(outputs.insert().values(job_id=job_id, path=file.path, **values))
    feed.output_written(connection, account_id, job_id, file.path)


def add_log(
    connection: Connection, runner: RunnerRow, claim_id: str, offset: int, text: str
) -> None:
    """Keep a piece of the claim's log. Raises ClaimLostError."""
    own = _own(connection, runner, claim_id)
    feed.add_log(connection, own.job_id, own.id, offset, text)


def finish(
    connection: Connection, runner: RunnerRow, claim_id: str, report: Finish, now: datetime
) -> None:
    """The runner ends its claim. Raises ClaimLostError."""
    own = _own(connection, runner, claim_id)
    ends = {Outcome.STOPPED: ClaimEnd.STOPPED, Outcome.NO_LICENCE: ClaimEnd.NO_LICENCE}
    if report.outcome is Outcome.STOPPED and rows.unfinished(connection, own.id):
        # It worked until it was told to stop. Failures and lost runners are the farm's loss.
        row = job_rows.row(connection, own.job_id)
        _charge(connection, own, row, f"rest:{own.id}", now)
    frame_health.note(connection, own, report.flags)
    sentence = report.sentence or "The renderer ended without delivering every frame."
    _end(
        connection,
        own,
        # "completed" with frames missing is a failure whatever the runner believes.
        ends.get(report.outcome, ClaimEnd.FAILED),
        report.outcome.value,
        sentence,
        now,
        exit_code=report.exit_code,
        permanent=report.permanent and report.outcome is not Outcome.NO_LICENCE,
        marker=report.marker,
    )


def expire_silent(connection: Connection, now: datetime) -> int:
    """Take back the claims whose runner has been silent too long; return how many."""
    since = now - timedelta(seconds=CLAIM_TIMEOUT_SECONDS)
    silent = rows.open_claims(connection, silent_since=since)
    for each in silent:
        _end(connection, each, ClaimEnd.LOST, "lost", "Its runner fell silent.", now)
    return len(silent)


def runner_vanished(connection: Connection, runner: RunnerRow, now: datetime) -> None:
    """The engine says that a runner is gone: take back its claim and end it."""
    for each in rows.open_claims(connection, runner_id=runner.id):
        _end(connection, each, ClaimEnd.LOST, "lost", "Its runner ended unexpectedly.", now)
    rows.end_runner(connection, runner.id, now)


def _own(connection: Connection, runner: RunnerRow, claim_id: str) -> ClaimRow:
    own = rows.open_claim(connection, claim_id, runner.id)
    if own is None:
        raise ClaimLostError("This claim has ended or was given to another runner.")
    return own


def _end(
    connection: Connection,
    ended: ClaimRow,
    end: ClaimEnd,
    outcome: str,
    sentence: str,
    now: datetime,
    *,
    exit_code: int | None = None,
    permanent: bool = False,
    marker: str = "",
) -> None:
    left = rows.unfinished(connection, ended.id)
    reached = ended.current_frame is not None or ended.frames_done > 0
    rows.end_claim(
        connection,
        ended.id,
        now,
        outcome=outcome,
        sentence=sentence if left else "",
        exit_code=exit_code,
        marker=marker,
    )
    verdicts = judge_unfinished(left, end, frame_reached=reached, permanent=permanent)
    told = sentence if left and end is not ClaimEnd.STOPPED else ""
    writer.put_back(connection, ended.job_id, verdicts, told and f"Trying again: {told}", now)
    if left and end is ClaimEnd.NO_LICENCE:
        setbacks.no_licence(connection, ended.job_id, sentence, now)
    elif left and end in (ClaimEnd.FAILED, ClaimEnd.LOST) and not permanent:
        setbacks.claim_failed(connection, ended, now)
    if told:
        line = feed.log_line(now, f"{told} ({len(left)} unfinished frames)")
        feed.add_log(connection, ended.job_id, ended.id, -1, line)
    if permanent and left:
        writer.fail_waiting(connection, ended.job_id)
    writer.settle(connection, ended.job_id, now)
