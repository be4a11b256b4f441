"""Runners' requests and reports. Every claim is fenced: only its runner, only while it is open.

All functions run in a write transaction in which the caller has been read: it is alive, and its job
and claim are as given. They may be repeated: a runner without an answer sends the same again.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from uuid import uuid4

from farm_protocol.jobs import JobReason, JobState
from farm_protocol.runner import (
    MAX_OUTPUTS,
    Claim,
    ClaimRequest,
    Finish,
    FrameDone,
    Heartbeat,
    Outcome,
    OutputFile,
    RunnerCommand,
)
from sqlalchemy import Connection

from farm.catalogue.definitions import Definitions
from farm.db import claims as claim_rows
from farm.db import earlier_results, feed, files, frame_states, job_rows, outputs
from farm.db import runners as runner_rows
from farm.db.claims import ClaimRow
from farm.db.job_rows import JobColumns, JobRow
from farm.db.runners import Caller, RunnerRow
from farm.errors import ClaimLostError, ConflictError, InvalidRequestError, QuotaExceededError
from farm.jobs.chunks import MAX_CLAIM, claim_size
from farm.jobs.instances import most_runners
from farm.jobs.licences import FREE_SECONDS_OF_A_DAY
from farm.jobs.pricing import FREE_ENDING_SECONDS
from farm.jobs.retries import ClaimEnd, FrameState
from farm.jobs.status_messages import NO_MESSAGE, WAITS
from farm.jobs.transitions import Event
from farm.scheduler import claim_ends, frame_health, machine_time, setbacks, trust, writer

TOKEN_LIFE = timedelta(days=7)
"""How long a runner's token stays valid after its last sign of life."""

FILES_AT_A_TIME = 1_000
"""Files of a frame that are stored in one transaction."""

MOST_NAMES_OF_A_FRAME = 2 * MAX_OUTPUTS
"""Limit on a frame's files, over all attempts and names."""

Take = Callable[[Connection, str, int], None]
"""Called before an account's reports let the database grow by so many bytes, which count as stored.
Raises StorageFullError, QuotaExceededError.
"""

_RENEWED = timedelta(hours=1)
"""How often a token's expiry is extended: not with every heartbeat."""


def claim(
    connection: Connection,
    caller: Caller,
    request: ClaimRequest,
    slots: Mapping[str, int],
    definitions: Definitions,
    known: Collection[str],
    now: datetime,
    free_a_day: float = FREE_SECONDS_OF_A_DAY,
) -> tuple[Claim, bool]:
    """Give the runner frames, or end it and say why there are none.

    Returns the answer, and whether the scheduler has something to do.

    Parameters:
        slots: capacity by machine type, as configured.
        definitions: define which plug-ins work with which products.
        known: the products whose programs runners look for.
        free_a_day: see `finish`.
    """
    runner, row = caller.runner, caller.job
    _keep_token(connection, runner, now)
    host, is_first = trust.record_caller(connection, caller, request, known, now)
    waited = job_rows.progress(row).claimable
    something_to_do = _end_last(connection, caller, request, now, free_a_day)
    times = _measured_times(request)
    row.note(**times)
    progress = job_rows.progress(row)
    reason = _why_none(connection, caller, definitions, host, now, is_first=is_first)
    if reason:
        if times:
            job_rows.put(connection, row, **times)
        runner_rows.end_runner(connection, runner.id, now)
        return Claim(claim_id=None, frames=[], reason=reason), True  # Its slot is free.
    allowed = most_runners(row.instances, row.job_throughput_limit)
    room = slots.get(row.machine_type, 1) if row.slots is None else row.slots
    sharing = max(1, min(allowed, room))
    size = claim_size(progress.claimable, sharing, row.startup_seconds, row.frame_seconds)
    claim_id = uuid4().hex
    given, moved = claim_rows.add_claim(
        connection, claim_id, runner.id, runner.job_id, min(size, MAX_CLAIM), now
    )
    writer.warn(connection, row, request.warnings)
    # What it waited for is available.
    over = row.reason in WAITS and not setbacks.waits_for_licence(row, now)
    status = NO_MESSAGE if over else None
    writer.apply(connection, row, Event.CLAIMED, now, status, moved, **times)
    # A renderer gets ascending frames, in whatever order the user requested them: see `unfinished`.
    # A runner that returns frames and gets as many again leaves none for others.
    more_wait = job_rows.progress(row).claimable > waited
    return Claim(claim_id=claim_id, frames=sorted(given)), something_to_do and more_wait


def _end_last(
    connection: Connection, caller: Caller, request: ClaimRequest, now: datetime, free_a_day: float
) -> bool:
    """End the claim that a runner still has when it requests the next one.

    Returns whether that leaves frames for other runners, or work for the scheduler.
    """
    if caller.claim is None:
        return False
    ended, row = request.ended, caller.job
    something_to_do = False
    if ended is not None and ended.claim_id == caller.claim.id:
        something_to_do = finish(connection, caller, ended.claim_id, ended.finish, now, free_a_day)
    else:
        # It requests the next one, so it does not know about this: the answer never arrived.
        claim_ends.end(connection, row, caller.claim, ClaimEnd.STOPPED, "stopped", "", now)
    # Warnings from its rendering: there may be no frame left with which to report them.
    writer.warn(connection, row, request.warnings)
    return something_to_do


def _why_none(
    connection: Connection,
    caller: Caller,
    definitions: Definitions,
    host: str,
    now: datetime,
    *,
    is_first: bool,
) -> str:
    """Return why a runner gets no frames; "" if it gets some."""
    runner, row = caller.runner, caller.job
    if not row.active:
        return "The account is disabled."
    if row.state not in writer.AT_WORK:
        return f"The job is {row.state}."
    if runner.yielding:
        return "The runner makes way for another job."
    if job_rows.progress(row).claimable <= 0:
        return "No frame is waiting."
    if not is_first and trust.wastes_claims(connection, caller):
        return "The runner has handed back too many claims."
    reason = setbacks.refusal(connection, definitions, row, runner, host, now)
    if not reason and is_first:
        return setbacks.unfit(connection, definitions, row, host, now)
    return reason


def _measured_times(request: ClaimRequest) -> JobColumns:
    times: JobColumns = {}
    if request.startup_seconds:
        times["startup_seconds"] = request.startup_seconds
    if request.frame_seconds:
        times["frame_seconds"] = request.frame_seconds
    return times


def heartbeat(
    connection: Connection,
    caller: Caller,
    claim_id: str,
    beat: Heartbeat,
    now: datetime,
    *,
    no_room: bool = False,
) -> RunnerCommand:
    """Record a sign of life, and return the farm's command.

    Parameters:
        no_room: the farm's disk is full.

    Raises ClaimLostError, and InvalidRequestError for a frame that is not the claim's.
    """
    own = _own(caller, claim_id)
    trust.check_frame(connection, caller.job, own, beat.frame)
    unposted = machine_time.unposted(own, now, beat.waiting_seconds, no_room=no_room)
    claim_rows.touch(connection, own.id, now, beat.frame, unposted)
    command = _command(connection, caller, now)
    # A renderer that has delivered everything has had time to end: nothing is lost with it.
    overdue = own.delivered and unposted > FREE_ENDING_SECONDS
    return RunnerCommand.STOP if overdue else command


def ready_soon(connection: Connection, caller: Caller, now: datetime) -> RunnerCommand:
    """Record a runner's progress towards its first claim, and return the farm's command.

    With any command but to continue, the runner is ended: it has nothing to return.
    """
    # Between two claims there is nothing to prepare.
    if not runner_rows.has_claimed(connection, caller.runner.id):
        runner_rows.set_heard(connection, caller.runner.id, now)
    command = _command(connection, caller, now)
    if caller.job.state not in writer.AT_WORK and command is RunnerCommand.CONTINUE:
        command = RunnerCommand.YIELD  # It would get nothing.
    if command is not RunnerCommand.CONTINUE:
        runner_rows.end_runner(connection, caller.runner.id, now)
    return command


def _command(connection: Connection, caller: Caller, now: datetime) -> RunnerCommand:
    _keep_token(connection, caller.runner, now)
    state = caller.job.state
    if state == JobState.STOPPING or not caller.job.active:
        return RunnerCommand.STOP
    recalled = caller.claim is not None and caller.claim.recalled
    if recalled or state == JobState.SUSPENDED or caller.runner.yielding:
        return RunnerCommand.YIELD
    return RunnerCommand.CONTINUE


def _keep_token(connection: Connection, runner: RunnerRow, now: datetime) -> None:
    """Extend a token: a frame may take longer than a token lives."""
    if runner.expires_at < now + TOKEN_LIFE - _RENEWED:
        runner_rows.set_expiry(connection, runner.id, now + TOKEN_LIFE)


def portions(report: FrameDone) -> list[range]:
    """Return a frame's files for each transaction: all in one, unless they are many.

    A scene that writes very many would otherwise block all others. The last portion is for
    `frame_done`, the earlier ones for `frame_files`.
    """
    every = range(len(report.outputs))
    return [every[begin : begin + FILES_AT_A_TIME] for begin in every[::FILES_AT_A_TIME]]


def check_report(connection: Connection, caller: Caller, claim_id: str, report: FrameDone) -> None:
    """Check whether all files of a frame may be stored, before the first of several portions is.

    It only reads. Portions of a report that is refused later would stay.

    Raises as `frame_done`, and InvalidRequestError for too many names.
    """
    own, row = _own(caller, claim_id), caller.job
    if _frame(connection, row, own, report)[0] is FrameState.DONE:
        return
    names = outputs.count_of_frame(connection, row.id, report.frame)
    for portion in portions(report):
        produced = report.outputs[portion.start : portion.stop]
        _check_outputs(connection, row.account_id, row.output_folder, produced, portion.start)
        _check_others(connection, row, produced)
        paths = {file.path for file in produced}
        names += len(paths - outputs.known(connection, row.id, paths))
    if names > MOST_NAMES_OF_A_FRAME:
        raise InvalidRequestError(
            {
                "outputs": [
                    f"A frame may have at most {MOST_NAMES_OF_A_FRAME} files,"
                    " including those already reported."
                ]
            }
        )


def frame_files(
    connection: Connection,
    caller: Caller,
    now: datetime,
    *,
    claim_id: str,
    report: FrameDone,
    portion: range,
    take: Take,
    no_room: bool = False,
) -> None:
    """Store a portion of the files of an unfinished frame. Raises as `frame_done`.

    This is also a sign of life: storing all of them may take longer than a runner may be silent.
    """
    own = _own(caller, claim_id)
    state, _ = _frame(connection, caller.job, own, report)
    if state is not FrameState.DONE:
        unposted = machine_time.unposted(own, now, report.waiting_seconds, no_room=no_room)
        claim_rows.touch(connection, own.id, now, report.frame, unposted)
        _store(connection, caller.job, report, portion, now, take)


def frame_done(
    connection: Connection,
    caller: Caller,
    claim_id: str,
    report: FrameDone,
    now: datetime,
    *,
    portion: range,
    take: Take,
    no_room: bool = False,
) -> None:
    """Store a finished frame, its files and its price.

    Parameters:
        portion: the last of `portions`, once the earlier ones are stored.
        no_room: the farm's disk is full.

    Raises:
        ClaimLostError: the claim no longer belongs to this runner; nothing is charged.
        InvalidRequestError: not a frame of the claim, a file outside the job's output folder, or
            one whose blob was not sent.
        ConflictError: another job of the submission has written one of the files.
        StorageFullError, QuotaExceededError: by ``take``.
    """
    own, row = _own(caller, claim_id), caller.job
    state, tried_before = _frame(connection, row, own, report)
    if state is FrameState.DONE:
        return
    _store(connection, row, report, portion, now, take)
    seconds = machine_time.unposted(own, now, report.waiting_seconds, no_room=no_room)
    micros = machine_time.charge(connection, row, f"frame:{own.id}:{report.frame}", seconds, now)
    moved = claim_rows.frame_finished(connection, own, report.frame, seconds, now)
    frame_health.note(connection, row, report)
    job_rows.put(connection, row, moved, credits_micros=row.credits_micros + micros)
    if tried_before and row.reason == JobReason.TRYING_AGAIN:
        writer.set_message_at_work(connection, row, NO_MESSAGE)
    setbacks.frame_done(connection, row, caller.runner, own, now)
    writer.warn(connection, row, report.warnings)
    writer.settle(connection, row, now)


def _frame(
    connection: Connection, row: JobRow, own: ClaimRow, report: FrameDone
) -> tuple[FrameState, bool]:
    """Return a frame's data. Raises InvalidRequestError: it does not belong to the claim."""
    found = frame_states.of_claim(connection, row.id, own.id, report.frame)
    if found is None:
        raise InvalidRequestError({"frame": [f"{report.frame} is not a frame of this claim."]})
    return found


def _store(
    connection: Connection,
    row: JobRow,
    report: FrameDone,
    portion: range,
    now: datetime,
    take: Take,
) -> None:
    """Store a portion of a frame's files, and report them to the feed."""
    produced = report.outputs[portion.start : portion.stop]
    _check_outputs(connection, row.account_id, row.output_folder, produced, portion.start)
    _check_others(connection, row, produced)
    paths = {file.path for file in produced}
    known = outputs.known(connection, row.id, paths)
    kept = earlier_results.keep(connection, row.id, known, now)
    if grows := outputs.size_of((paths - known).union(kept)):
        # Endless names fill the disk as well as bytes do.
        take(connection, row.account_id, grows)
    outputs.store(
        connection,
        job_id=row.id,
        submission_id=row.submission_id,
        account_id=row.account_id,
        frame=report.frame,
        files=produced,
        now=now,
    )
    feed.outputs_changed(connection, row.account_id, row.id, [file.path for file in produced])


def _check_outputs(
    connection: Connection, account_id: str, folder: str, produced: list[OutputFile], first: int
) -> None:
    known = files.known_blobs(connection, account_id, [file.hash for file in produced])
    for index, file in enumerate(produced, first):
        if not file.path.startswith(f"{folder}/"):
            raise InvalidRequestError(
                {f"outputs[{index}].path": [f"'{file.path}' is not inside '{folder}'."]}
            )
        if known.get(file.hash) != file.size:
            raise InvalidRequestError(
                {f"outputs[{index}].hash": [f"The result '{file.path}' was not uploaded."]}
            )


def _check_others(connection: Connection, row: JobRow, produced: list[OutputFile]) -> None:
    """Refuse to replace another job's file: both are in one folder, and one would be lost.

    Most conflicts are found at submission; but some file names only the scenes know.
    """
    taken = outputs.taken(connection, row.submission_id, row.id, produced)
    if taken is not None:
        path, other = taken
        name = path.removeprefix(f"{row.output_folder}/")
        raise ConflictError(
            f"Another job of this submission, '{other}', has already written '{name}'. Use"
            " different file names in the scenes, or submit the jobs one at a time."
        )


def add_log(
    connection: Connection, caller: Caller, claim_id: str, offset: int, text: str, take: Take
) -> None:
    """Store a piece of the claim's log.

    Raises ClaimLostError, StorageFullError, and InvalidRequestError when the log is full: without a
    further line of it the frames go on.
    """
    own = _own(caller, claim_id)
    if trust.accepts_log(connection, caller.job, own, offset, text):
        try:
            take(connection, caller.job.account_id, len(text.encode()))
        except QuotaExceededError as error:
            raise InvalidRequestError({"text": [str(error)]}) from None
        feed.add_log(connection, own.job_id, own.id, offset, text)
        length = caller.job.log_characters + len(text)
        job_rows.put(connection, caller.job, log_characters=length)


def finish(
    connection: Connection,
    caller: Caller,
    claim_id: str,
    report: Finish,
    now: datetime,
    free_a_day: float = FREE_SECONDS_OF_A_DAY,
) -> bool:
    """The runner ends its claim; return whether the scheduler has something to do.

    Parameters:
        free_a_day: most free seconds of an account without a licence.

    Raises ClaimLostError.
    """
    own, row = _own(caller, claim_id), caller.job
    # An end is never refused, but what it says takes room as all else does.
    size = len(f"{report.message}{report.marker}".encode())
    files.add_stored(connection, row.account_id, size)
    ends = {Outcome.STOPPED: ClaimEnd.STOPPED, Outcome.NO_LICENCE: ClaimEnd.NO_LICENCE}
    message = report.message or "The renderer ended without delivering every frame."
    frames_wait = claim_ends.end(
        connection,
        row,
        own,
        # "completed" with frames missing is a failure whatever the runner believes.
        ends.get(report.outcome, ClaimEnd.FAILED),
        report.outcome.value,
        message,
        now,
        frame=report.frame,
        exit_code=report.exit_code,
        permanent=report.permanent and report.outcome is not Outcome.NO_LICENCE,
        marker=report.marker,
        processor_seconds=report.processor_seconds or 0.0,
        free_a_day=free_a_day,
        heard=True,
    )
    # The runners of a job that is over or must stop will end, and others may start. The last test
    # frame releases the others.
    return frames_wait or row.state not in writer.AT_WORK or row.test_frames > 0


def _own(caller: Caller, claim_id: str) -> ClaimRow:
    if caller.claim is None or caller.claim.id != claim_id:
        raise ClaimLostError("This claim has ended or was given to another runner.")
    return caller.claim
