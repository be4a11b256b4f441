"""Submissions: check, create, read."""

from farm_protocol.jobs import Submission, SubmissionCheck, SubmissionSpec
from farm_protocol.text import Id
from fastapi import APIRouter
from sqlalchemy import Connection

from farm.api import transfer
from farm.api.context import Account, InContext
from farm.api.parsing import LargeBodyRoute
from farm.db import jobs as job_table
from farm.errors import NotFoundError
from farm.submissions import create

router = APIRouter(prefix="/v1", route_class=LargeBodyRoute)


@router.post("/submissions/check")
def post_check(context: InContext, account: Account, spec: SubmissionSpec) -> SubmissionCheck:
    """Report what is wrong with a submission before its files are sent."""
    with context.database.read() as connection:
        offers = context.offers(connection)
        checked = create.check(connection, offers, context.store, account, spec)
    context.assets.require(account.id, spec)
    context.assets.expect(account.id, spec)
    context.expect_work()
    return checked


@router.post("/submissions", status_code=201)
def post_submission(context: InContext, account: Account, spec: SubmissionSpec) -> Submission:
    """Submit; repeating an id returns the submission as it is now."""

    def take(connection: Connection, size: int) -> None:
        transfer.take_rows(context, connection, account.id, size)

    # Outside of the write turn, for which others wait.
    with context.database.read() as connection:
        offers = context.offers(connection)
        prepared = create.prepare(connection, offers, context.store, account, spec)
    if not prepared.is_stored:
        context.assets.require(account.id, spec)
    with context.database.write(account.id) as connection:
        create.create(connection, account, spec, prepared, take)
    with context.database.read() as connection:
        submission = job_table.submission(connection, spec.id)
    context.notify()
    context.assets.note(account.id, spec, submission)
    return submission


@router.get("/submissions/{submission_id}")
def get_submission(context: InContext, account: Account, submission_id: Id) -> Submission:
    """Return a submission with its jobs."""
    with context.database.read() as connection:
        if job_table.submission_owner(connection, submission_id) != account.id:
            raise NotFoundError(f"There is no submission '{submission_id}'.")
        return job_table.submission(connection, submission_id)
