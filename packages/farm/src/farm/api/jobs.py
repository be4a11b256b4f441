"""Jobs: read them, read their log, act on them."""

from datetime import UTC, datetime
from typing import Annotated

from farm_protocol.changes import OutputList
from farm_protocol.frames import FrameList
from farm_protocol.jobs import (
    DEFAULT_PRIORITY,
    Job,
    JobChange,
    JobList,
    JobLog,
    Submission,
    TaskList,
)
from farm_protocol.text import Id, Line
from farm_protocol.users import Role
from fastapi import APIRouter, Depends, Query
from pydantic import Field
from sqlalchemy import Connection

from farm.api.context import Account, InContext
from farm.db import feed, outputs, tasks
from farm.db import jobs as job_table
from farm.db.accounts import AccountRow
from farm.errors import ForbiddenError, NotFoundError
from farm.frame_health import flags
from farm.scheduler import actions, portions
from farm.scheduler.actions import Action

router = APIRouter(prefix="/v1")

OUTPUTS_PAGE = 1000

Cursor = Annotated[Line, Field(max_length=4096)]
"""A remote path, or ""."""


@router.get("/jobs")
def get_jobs(
    context: InContext,
    account: Account,
    submission: Id | None = None,
    before: Id | None = None,
    limit: Annotated[int, Query(ge=1, le=job_table.PAGE)] = job_table.PAGE,
) -> JobList:
    """Return the user's jobs, newest submission first, a page at a time."""
    with context.database.read() as connection:
        return job_table.page(
            connection, account.id, submission_id=submission, before=before, limit=limit
        )


@router.get("/jobs/{job_id}")
def get_job(context: InContext, account: Account, job_id: Id) -> Job:
    """Return a job."""
    with context.database.read() as connection:
        job = job_table.owned(connection, account.id, job_id)
    if job is None:
        raise NotFoundError(f"There is no job '{job_id}'.")
    return job


@router.get("/jobs/{job_id}/log")
def get_log(
    context: InContext,
    account: Account,
    job_id: Id,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    task: Id | None = None,
) -> JobLog:
    """Return the log of the job's runners, or of one of its tasks."""
    get_job(context, account, job_id)
    with context.database.read() as connection:
        return feed.read_log(connection, job_id, after, task)


@router.get("/jobs/{job_id}/tasks")
def get_tasks(
    context: InContext,
    account: Account,
    job_id: Id,
    failed: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> TaskList:
    """Return the job's tasks, newest first; on request only the failed ones."""
    get_job(context, account, job_id)
    with context.database.read() as connection:
        return TaskList(tasks=tasks.tasks(connection, job_id, limit, failed=failed))


@router.get("/jobs/{job_id}/frames")
def get_frames(
    context: InContext,
    account: Account,
    job_id: Id,
    after: Annotated[int | None, Query(ge=-(2**31), lt=2**31)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    flagged: bool = False,
) -> FrameList:
    """Return the job's frames by number, a page at a time; on request only flagged ones."""
    get_job(context, account, job_id)
    with context.database.read() as connection:
        return flags.page(connection, job_id, after, limit, flagged=flagged)


@router.get("/jobs/{job_id}/outputs")
def get_outputs(context: InContext, account: Account, job_id: Id, after: Cursor = "") -> OutputList:
    """Return the job's result files, a page at a time."""
    get_job(context, account, job_id)
    with context.database.read() as connection:
        found = outputs.of_job(connection, job_id, after, OUTPUTS_PAGE)
    return OutputList(outputs=found, more=len(found) == OUTPUTS_PAGE)


@router.post("/jobs/{job_id}/{action}")
def post_action(context: InContext, account: Account, job_id: Id, action: Action) -> Job:
    """Act on a job."""
    get_job(context, account, job_id)
    portions.make_way(context.database, [job_id], action, account.id)
    with context.database.write(account.id) as connection:
        actions.act(connection, job_id, action, datetime.now(UTC))
    context.notify()
    return get_job(context, account, job_id)


async def _allowed(account: Account, change: JobChange) -> JobChange:
    """Keep artists from passing everybody else. Raises ForbiddenError."""
    raises = change.priority is not None and change.priority > DEFAULT_PRIORITY
    if raises and account.role is not Role.ADMIN:
        raise ForbiddenError(
            f"Only an administrator of the farm may set a priority above {DEFAULT_PRIORITY},"
            " because such a job goes before the jobs of all other users."
        )
    return change


Change = Annotated[JobChange, Depends(_allowed)]


@router.patch("/jobs/{job_id}")
def patch_job(context: InContext, account: Account, job_id: Id, change: Change) -> Job:
    """Change a job's priority or instances."""
    get_job(context, account, job_id)
    with context.database.write(account.id) as connection:
        actions.change(connection, [job_id], change)
    context.notify()
    return get_job(context, account, job_id)


@router.patch("/submissions/{submission_id}")
def patch_submission(
    context: InContext, account: Account, submission_id: Id, change: Change
) -> Submission:
    """Change the priority or instances of all jobs of a submission."""
    with context.database.read() as connection:
        job_ids = _job_ids(connection, account, submission_id)
    portions.change(context.database, job_ids, change, account.id)
    context.notify()
    with context.database.read() as connection:
        return job_table.submission(connection, submission_id)


@router.patch("/jobs")
def patch_all(context: InContext, account: Account, change: Change) -> JobList:
    """Change the priority or instances of all of the user's unfinished jobs."""
    with context.database.read() as connection:
        job_ids = job_table.ids(connection, account_id=account.id, states=actions.candidates())
    portions.change(context.database, job_ids, change, account.id)
    context.notify()
    with context.database.read() as connection:
        return job_table.page(connection, account.id)


@router.post("/submissions/{submission_id}/{action}")
def post_submission_action(
    context: InContext, account: Account, submission_id: Id, action: Action
) -> Submission:
    """Act on those jobs of a submission that allow it."""
    with context.database.read() as connection:
        job_ids = _job_ids(connection, account, submission_id)
    portions.act(context.database, job_ids, action, account_id=account.id)
    context.notify()
    with context.database.read() as connection:
        return job_table.submission(connection, submission_id)


@router.post("/jobs/{action}")
def post_action_on_all(context: InContext, account: Account, action: Action) -> JobList:
    """Act on those of the user's jobs that allow it."""
    states = actions.candidates(action)
    with context.database.read() as connection:
        job_ids = job_table.ids(connection, account_id=account.id, states=states)
    portions.act(context.database, job_ids, action, states=states, account_id=account.id)
    context.notify()
    with context.database.read() as connection:
        return job_table.page(connection, account.id)


def _job_ids(connection: Connection, account: AccountRow, submission_id: str) -> list[str]:
    if job_table.submission_owner(connection, submission_id) != account.id:
        raise NotFoundError(f"There is no submission '{submission_id}'.")
    return job_table.ids(connection, submission_id=submission_id)
