"""How a job reacts to machines that fail it, and to missing licences."""

from datetime import datetime, timedelta

from farm_protocol.jobs import JobReason
from sqlalchemy import Connection

from farm.accounts.credits import refund
from farm.catalogue.definitions import Definitions
from farm.db import frame_states, job_rows, tasks
from farm.db.claims import ClaimRow
from farm.db.job_rows import JobRow
from farm.db.runners import RunnerRow
from farm.jobs import status_messages
from farm.jobs.hosts import KNOWN_SECONDS, MAX_HOST_FAILURES, REFUSED_PAUSE_SECONDS, avoided
from farm.jobs.licences import LICENCE_PAUSES
from farm.jobs.status_messages import NO_MESSAGE, WAITS, another_machine
from farm.scheduler import programs, writer


def refusal(
    connection: Connection,
    definitions: Definitions,
    job: JobRow,
    runner: RunnerRow,
    host: str,
    now: datetime,
) -> str:
    """Return why a runner on ``host`` gets no frames of a job now; "" when it may work."""
    if waits_for_licence(job, now) and not tasks.has_delivered(connection, runner.id):
        return "The job is waiting for a licence."
    if not job.hosts_failed:
        return ""
    failures = tasks.failures_by_host(connection, job.id)
    if failures.get(host, 0) < MAX_HOST_FAILURES:
        return ""
    able = {
        each
        for each in _known_hosts(connection, job, now)
        if not programs.lacking(connection, definitions, job, each, now)
    }
    if host not in avoided(failures, able):
        return ""
    return _wait_for_another(connection, job, _has_failed(host, failures[host]), now)


def unfit(
    connection: Connection, definitions: Definitions, job: JobRow, host: str, now: datetime
) -> str:
    """Return why a host cannot do a job at all; "" when it can, or nothing is known."""
    lacks = programs.lacking(connection, definitions, job, host, now)
    return lacks and _wait_for_another(connection, job, f"'{host}' has no {lacks}", now)


def _wait_for_another(connection: Connection, job: JobRow, reason: str, now: datetime) -> str:
    """Start no runner of a job for a while, so that another host may get the next one.

    Returns the message for the runner.
    """
    until = now + timedelta(seconds=REFUSED_PAUSE_SECONDS)
    # It may have to wait for a licence, and longer.
    job_rows.put(connection, job, not_before=max(until, job.not_before or until))
    writer.set_message(connection, job, another_machine(reason))
    return f"{reason}, so another machine continues the job."


def _has_failed(host: str, count: int) -> str:
    return f"'{host}' failed {count} times in a row"


def _known_hosts(connection: Connection, job: JobRow, now: datetime) -> set[str]:
    since = now - timedelta(seconds=KNOWN_SECONDS)
    return tasks.known_hosts(connection, job.machine_type, since)


def waits_for_licence(job: JobRow, now: datetime) -> bool:
    """Return whether a job starts no runner now because its last one got no licence."""
    return bool(job.licence_failures and job.not_before and job.not_before > now)


def no_licence(connection: Connection, job: JobRow, message: str, now: datetime) -> None:
    """A renderer got no licence: make the job wait, longer each time.

    But not longer while other runners of it deliver: their licences may become free at any time.
    """
    if waits_for_licence(job, now):
        return  # Another runner found out a moment ago.
    delivering = tasks.is_delivering(connection, job.id)
    failures = max(1, job.licence_failures + (not delivering))
    until = now + timedelta(seconds=LICENCE_PAUSES.after(failures))
    job_rows.put(connection, job, licence_failures=failures, not_before=until)
    what = status_messages.no_licence(message, until, others=job.frames_running > 0)
    writer.set_message_at_work(connection, job, what)


def frame_done(
    connection: Connection, job: JobRow, runner: RunnerRow, claim: ClaimRow, now: datetime
) -> None:
    """A frame is done: the machine is good, and the licence is available."""
    if job.hosts_failed and runner.host:
        tasks.forget_host_failures(connection, job.id, runner.host)
        if not claim.frames_done:
            for host, count in tasks.failures_by_host(connection, job.id).items():
                _give_back(connection, job, host, count, now)
    if job.reason == JobReason.OTHER_MACHINE:
        writer.set_message_at_work(connection, job, NO_MESSAGE)  # That other machine is available.
    # A renderer that got its licence earlier says nothing about the next one.
    if job.not_before is not None and claim.created_at >= job.not_before:
        forget_pause(connection, job)


def forget_pause(connection: Connection, job: JobRow) -> None:
    """Let the job start runners at once."""
    if job.licence_failures or job.not_before is not None:
        job_rows.put(connection, job, licence_failures=0, not_before=None)
    if job.reason in WAITS:
        writer.set_message_at_work(connection, job, NO_MESSAGE)


def claim_failed(connection: Connection, job: JobRow, claim: ClaimRow, now: datetime) -> None:
    """A claim failed or was lost: once its machine is found to be bad, reset the failures."""
    host = tasks.host_of(connection, claim.runner_id)
    if not host:
        return
    count = tasks.add_host_failure(connection, claim.job_id, host)
    if count < MAX_HOST_FAILURES:
        return
    failures = tasks.failures_by_host(connection, claim.job_id)
    if host not in avoided(failures, _known_hosts(connection, job, now)):
        return
    if tasks.delivered_elsewhere(connection, claim.job_id, host):
        _give_back(connection, job, host, count, now)
    if count == MAX_HOST_FAILURES:
        job_rows.put(connection, job, frame_states.reset_failures(connection, claim.job_id))
        writer.set_message_at_work(connection, job, another_machine(_has_failed(host, count)))


def _give_back(connection: Connection, job: JobRow, host: str, count: int, now: datetime) -> None:
    """Refund the cost of a bad machine's consecutive failures, once another one has delivered.

    Until then it is unknown whether the machine or the job is at fault.

    Parameters:
        count: number of consecutive failed claims there.
    """
    if count < MAX_HOST_FAILURES:
        return
    of_host = tasks.newest_failed(connection, job.id, host, count)
    back = refund(connection, job.account_id, of_host, now)
    if back:
        job_rows.put(connection, job, credits_micros=job.credits_micros - back)
