"""What a job does about machines that fail it, and about licences that it does not get."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from farm.accounts.credits import refund
from farm.db import claims as claim_rows
from farm.db import job_rows, tasks
from farm.db.claims import ClaimRow
from farm.db.job_rows import JobRow
from farm.db.runners import RunnerRow
from farm.jobs.hosts import KNOWN_SECONDS, MAX_HOST_FAILURES, REFUSED_PAUSE_SECONDS, avoided
from farm.jobs.licences import licence_pause
from farm.scheduler import writer

_ELSEWHERE = "Waits for another machine: "


def refusal(connection: Connection, job: JobRow, host: str, now: datetime) -> str:
    """Return why a runner on ``host`` gets nothing of a job now; "" when it may work."""
    if _waits_for_licence(job, now):
        return "The job waits for a licence."
    if not job["hosts_failed"]:
        return ""
    failures = tasks.failures_by_host(connection, job["id"])
    if failures.get(host, 0) < MAX_HOST_FAILURES:
        return ""
    since = now - timedelta(seconds=KNOWN_SECONDS)
    known = tasks.known_hosts(connection, job["machine_type"], since)
    if host not in avoided(failures, known):
        return ""
    reason = f"'{host}' failed {failures[host]} times in a row"
    until = now + timedelta(seconds=REFUSED_PAUSE_SECONDS)
    job_rows.put(connection, job, not_before=until)
    writer.say(connection, job, f"{_ELSEWHERE}{reason}.")
    return f"{reason}: another machine shall do this job."


def _waits_for_licence(job: JobRow, now: datetime) -> bool:
    return bool(job["licence_failures"] and job["not_before"] and job["not_before"] > now)


def no_licence(connection: Connection, job: JobRow, sentence: str, now: datetime) -> None:
    """A renderer got no licence: let the job wait, longer each time."""
    if _waits_for_licence(job, now):
        return  # Another runner found it out a moment ago.
    failures = job["licence_failures"] + 1
    until = now + timedelta(seconds=licence_pause(failures))
    job_rows.put(connection, job, licence_failures=failures, not_before=until)
    again = f"Next try at {until:%H:%M:%S} UTC."
    writer.say_at_work(connection, job, f"Waits for a licence. {sentence.rstrip('.')}. {again}")


def frame_done(
    connection: Connection, job: JobRow, runner: RunnerRow, claim: ClaimRow, now: datetime
) -> None:
    """A frame came out: the machine is good, and the licence is there."""
    if job["hosts_failed"] and runner.host:
        tasks.forget_host_failures(connection, job["id"], runner.host)
        if not claim.frames_done:
            for host, count in tasks.failures_by_host(connection, job["id"]).items():
                _give_back(connection, job, host, count, now)
    if job["sentence"].startswith(_ELSEWHERE):
        writer.say_at_work(connection, job, "")  # That other machine is there.
    # A renderer that had its licence before says nothing about the next one.
    if job["not_before"] is not None and claim.created_at >= job["not_before"]:
        forget_pause(connection, job)
        writer.say_at_work(connection, job, "")


def forget_pause(connection: Connection, job: JobRow) -> None:
    """Let the job start runners at once."""
    job_rows.put(connection, job, licence_failures=0, not_before=None)


def claim_failed(connection: Connection, job: JobRow, claim: ClaimRow, now: datetime) -> None:
    """A claim failed or was lost: once its machine is found to be bad, forgive the frames."""
    host = tasks.host_of(connection, claim.runner_id)
    if not host:
        return
    count = tasks.add_host_failure(connection, claim.job_id, host)
    if count < MAX_HOST_FAILURES:
        return
    since = now - timedelta(seconds=KNOWN_SECONDS)
    known = tasks.known_hosts(connection, job["machine_type"], since)
    if host not in avoided(tasks.failures_by_host(connection, claim.job_id), known):
        return
    if tasks.delivered_elsewhere(connection, claim.job_id, host):
        _give_back(connection, job, host, count, now)
    if count == MAX_HOST_FAILURES:
        again = claim_rows.forgive(connection, claim.job_id)
        job_rows.put(connection, job, frames_failed=job["frames_failed"] - again)


def _give_back(connection: Connection, job: JobRow, host: str, count: int, now: datetime) -> None:
    """Return what a bad machine's failures in a row have cost, once another one has delivered.

    Before that nobody knows whether the machine is bad or the job.

    Parameters:
        count: how many claims failed there in a row.
    """
    if count < MAX_HOST_FAILURES:
        return
    of_host = tasks.newest_failed(connection, job["id"], host, count)
    back = refund(connection, job["account_id"], of_host, now)
    if back:
        job_rows.put(connection, job, credits_micros=job["credits_micros"] - back)
