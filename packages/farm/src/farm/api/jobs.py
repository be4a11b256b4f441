"""Jobs: read them, read their log, act on them."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from farm_protocol.changes import OutputList
from farm_protocol.jobs import Job, JobList, JobLog
from fastapi import APIRouter, Query

from farm.api.context import Account, InContext
from farm.db import feed
from farm.db import jobs as rows
from farm.errors import NotFoundError
from farm.jobs.transitions import Event
from farm.scheduler import actions

router = APIRouter()

OUTPUTS_PAGE = 1000


class Action(StrEnum):
    """What a user may do to a job: the last part of the address."""

    STOP = "stop"
    SUSPEND = "suspend"
    RESUME = "resume"
    RETRY = "retry"


@router.get("/jobs")
def get_jobs(context: InContext, account: Account, submission: str | None = None) -> JobList:
    """Return the user's jobs, newest submission first."""
    with context.database.read() as connection:
        return JobList(jobs=rows.of_account(connection, account.id, submission))


@router.get("/jobs/{job_id}")
def get_job(context: InContext, account: Account, job_id: str) -> Job:
    """Return a job."""
    with context.database.read() as connection:
        job = rows.owned(connection, account.id, job_id)
    if job is None:
        raise NotFoundError(f"There is no job '{job_id}'.")
    return job


@router.get("/jobs/{job_id}/log")
def get_log(
    context: InContext,
    account: Account,
    job_id: str,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
) -> JobLog:
    """Return what the job's runners have logged."""
    get_job(context, account, job_id)
    with context.database.read() as connection:
        return feed.read_log(connection, job_id, after)


@router.get("/jobs/{job_id}/outputs")
def get_outputs(context: InContext, account: Account, job_id: str, after: str = "") -> OutputList:
    """Return the job's result files, a page at a time."""
    get_job(context, account, job_id)
    with context.database.read() as connection:
        found = rows.outputs_of(connection, job_id, after, OUTPUTS_PAGE)
    return OutputList(outputs=found, more=len(found) == OUTPUTS_PAGE)


@router.post("/jobs/{job_id}/{action}")
def post_action(context: InContext, account: Account, job_id: str, action: Action) -> Job:
    """Stop, suspend, resume or retry a job."""
    with context.database.write() as connection:
        actions.act(connection, account.id, job_id, Event(action.value), datetime.now(UTC))
    context.notify()
    return get_job(context, account, job_id)
