"""Which of a runner's reports are trusted.

A runner's token may be stolen: by its own scene, where that runs without a sandbox. Facts that only
the runner's program can know are therefore accepted only before any scene has run, that is, with
its first claim. Later its reports count only for its current claim.
"""

from collections.abc import Collection
from datetime import datetime

from farm_protocol.runner import MAX_CLAIM_LOG, MAX_JOB_LOG, ClaimRequest
from sqlalchemy import Connection

from farm.db import claims as claim_rows
from farm.db import feed, frame_states, hosts, runners
from farm.db.claims import ClaimRow
from farm.db.job_rows import JobRow
from farm.db.runners import Caller
from farm.errors import InvalidRequestError

MOST_EMPTY_CLAIMS = 20
"""How many claims a runner may end as stopped, without a frame and unasked."""


def record_caller(
    connection: Connection,
    caller: Caller,
    request: ClaimRequest,
    known: Collection[str],
    now: datetime,
) -> tuple[str, bool]:
    """Record the caller, if this is its first claim.

    Returns the runner's host, "" when unknown, and whether it is the first claim.

    Parameters:
        known: the products whose programs runners look for. Reports about others are ignored: the
            runner may be newer.
    """
    runner = caller.runner
    first = (
        request.ended is None
        and caller.claim is None
        and not runners.has_claimed(connection, runner.id)
    )
    if not first:
        return runner.host, False
    host = runner.host or request.host
    if host != runner.host:
        runners.set_host(connection, runner.id, host)
    programs = [each for each in request.programs if each.app in known]
    if host and programs:
        hosts.report(connection, host, programs, now)
    if host and request.limits is not None:
        hosts.report_limits(connection, host, request.limits)
    return host, True


def wastes_claims(connection: Connection, caller: Caller) -> bool:
    """Return whether a runner keeps claiming and giving back: it would hold its slot and pay
    nothing.
    """
    if caller.claim is not None and caller.claim.frames_done:
        return False  # If all do that work, the others need not be counted.
    return claim_rows.empty_claims(connection, caller.runner.id) >= MOST_EMPTY_CLAIMS


def was_given(connection: Connection, job: JobRow, claim: ClaimRow, number: int) -> bool:
    """Return whether a frame may belong to a claim.

    For a job that is done as a whole, the farm knows one frame, and its renderer all of them.
    """
    return (
        job.frames_total == 1
        or frame_states.of_claim(connection, job.id, claim.id, number) is not None
    )


def check_frame(connection: Connection, job: JobRow, claim: ClaimRow, number: int | None) -> None:
    """Raise InvalidRequestError if a runner is at a frame that it does not have."""
    if number is not None and not was_given(connection, job, claim, number):
        raise InvalidRequestError({"frame": [f"{number} is not a frame of this claim."]})


def accepts_log(
    connection: Connection, job: JobRow, claim: ClaimRow, start: int, text: str
) -> bool:
    """Return whether a piece of a claim's log is to be stored.

    Parameters:
        start: characters of the claim's log before it. A piece that begins before the end of the
            stored log was sent before, and is ignored.

    Raises:
        InvalidRequestError: the log would become too long.
    """
    if start + len(text) > MAX_CLAIM_LOG:
        raise InvalidRequestError({"text": ["The log of this claim is full."]})
    if job.log_characters + len(text) > MAX_JOB_LOG:
        raise InvalidRequestError({"text": ["The log of this job is full."]})
    return bool(text) and start >= feed.log_end(connection, claim.id)
