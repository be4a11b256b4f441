"""What a job does about machines that fail it, and about licences that it does not get."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, update

from farm.db import claims as claim_rows
from farm.db import jobs as job_rows
from farm.db import tasks
from farm.db.claims import ClaimRow
from farm.db.tables import jobs
from farm.jobs.hosts import KNOWN_SECONDS, MAX_HOST_FAILURES, REFUSED_PAUSE_SECONDS, avoided
from farm.jobs.licences import licence_pause
from farm.scheduler import writer


def refusal(connection: Connection, job: RowMapping, host: str, now: datetime) -> str:
    """Return why a runner on ``host`` gets nothing of a job now; "" when it may work.

    Parameters:
        job: its whole row.
    """
    if _waits_for_licence(job, now):
        return "The job waits for a licence."
    failures = tasks.failures_by_host(connection, job["id"])
    if failures.get(host, 0) < MAX_HOST_FAILURES:
        return ""
    since = now - timedelta(seconds=KNOWN_SECONDS)
    known = tasks.known_hosts(connection, job["machine_type"], since)
    if host not in avoided(failures, known):
        return ""
    reason = f"'{host}' failed {failures[host]} times in a row"
    until = now + timedelta(seconds=REFUSED_PAUSE_SECONDS)
    connection.execute(update(jobs).where(jobs.c.id == job["id"]).values(not_before=until))
    writer.say(connection, job["id"], f"Waits for another machine: {reason}.")
    return f"{reason}: another machine shall do this job."


def _waits_for_licence(job: RowMapping, now: datetime) -> bool:
    return bool(job["licence_failures"] and job["not_before"] and job["not_before"] > now)


def no_licence(connection: Connection, job_id: str, sentence: str, now: datetime) -> None:
    """A renderer got no licence: let the job wait, longer each time."""
    job = job_rows.row(connection, job_id)
    if _waits_for_licence(job, now):
        return  # Another runner found it out a moment ago.
    failures = job["licence_failures"] + 1
    until = now + timedelta(seconds=licence_pause(failures))
    connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(licence_failures=failures, not_before=until)
    )
    again = f"Next try at {until:%H:%M:%S} UTC."
    writer.say(connection, job_id, f"Waits for a licence. {sentence.rstrip('.')}. {again}")


def frame_done(connection: Connection, job: RowMapping, claim: ClaimRow) -> None:
    """A frame came out: the machine is good, and the licence is there."""
    host = tasks.host_of(connection, claim.runner_id)
    if host:
        tasks.forget_host_failures(connection, job["id"], host)
    # A renderer that had its licence before says nothing about the next one.
    if job["not_before"] is not None and claim.created_at >= job["not_before"]:
        forget_pause(connection, job["id"])
        writer.say(connection, job["id"], "")


def forget_pause(connection: Connection, job_id: str) -> None:
    """Let the job start runners at once."""
    connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(licence_failures=0, not_before=None)
    )


def claim_failed(connection: Connection, claim: ClaimRow, now: datetime) -> None:
    """A claim failed or was lost: once its machine is found to be bad, forgive the frames."""
    host = tasks.host_of(connection, claim.runner_id)
    if not host:
        return
    count = tasks.add_host_failure(connection, claim.job_id, host)
    if count != MAX_HOST_FAILURES:
        return
    machine_type = job_rows.row(connection, claim.job_id)["machine_type"]
    since = now - timedelta(seconds=KNOWN_SECONDS)
    known = tasks.known_hosts(connection, machine_type, since)
    if host in avoided(tasks.failures_by_host(connection, claim.job_id), known):
        claim_rows.forgive(connection, claim.job_id)
