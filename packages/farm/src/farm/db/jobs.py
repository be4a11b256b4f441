"""Submissions and jobs as the API shows them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter
from typing import Any

from farm_protocol.jobs import Job, JobList, JobReason, JobState, Submission
from sqlalchemy import (
    Connection,
    Select,
    case,
    func,
    or_,
    select,
)

from farm.db import metering
from farm.db.engine.rows import columns_of, rows_as
from farm.db.job_rows import ROW_TABLES, SUBMISSION_COLUMNS, parts
from farm.db.tables import (
    job_dependencies,
    jobs,
    plans,
    submissions,
)
from farm.errors import InvalidRequestError
from farm.jobs.instances import BY_PLAN
from farm.jobs.pricing import to_credits

INSTANCES = case(
    (jobs.c.instances == BY_PLAN, plans.c.job_throughput_limit), else_=jobs.c.instances
).label("instances")
"""A job's instances, those of the plan when it leaves them to it."""

SAYS = func.trim(jobs.c.message + " " + jobs.c.noticed).label("message")
"""A job's message: its reason, and what looks wrong about its frames."""


@dataclass(frozen=True, slots=True)
class ShownJob:
    """What `Job` shows. The parameters are left out: reading them costs more than all the rest.

    Attributes:
        project, submission_name, output_folder: of its submission.
        message: see `SAYS`.
        instances: see `INSTANCES`.
    """

    id: str
    client_id: str
    submission_id: str
    project: str
    submission_name: str
    name: str
    app: str
    app_version: str
    operation: str
    state: str
    message: str
    reason: str
    warnings: list[str]
    frames_total: int
    frames_done: int
    frames_failed: int
    frames_running: int
    frames_flagged: int
    priority: int
    instances: int
    machine_type: str
    credits_micros: int
    output_folder: str
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def may_cost(self) -> bool:
        """Machine time may not be posted yet.

        Of a job whose other frames wait, a renderer that has delivered its own may have to end.
        """
        return self.frames_running > 0 or (self.frames_done > 0 and self.finished_at is None)


_SHOWN = columns_of(ShownJob, (*jobs.c, *SUBMISSION_COLUMNS, SAYS, INSTANCES))


def submission_owner(connection: Connection, submission_id: str) -> str | None:
    """Return the account that a submission belongs to, None when there is no such submission."""
    return connection.execute(
        select(submissions.c.account_id).where(submissions.c.id == submission_id)
    ).scalar_one_or_none()


def submission(connection: Connection, submission_id: str) -> Submission:
    """Return a submission that exists, with its jobs."""
    row = connection.execute(select(submissions).where(submissions.c.id == submission_id)).one()
    return Submission(
        id=row.id,
        project=row.project,
        name=row.name,
        output_folder=row.output_folder,
        submitted_at=row.submitted_at,
        jobs=_read(connection, _job_query().where(jobs.c.submission_id == submission_id)),
    )


PAGE = 1000
"""Most jobs of a `page`."""


def page(
    connection: Connection,
    account_id: str,
    *,
    submission_id: str | None = None,
    before: str | None = None,
    limit: int = PAGE,
) -> JobList:
    """Return an account's jobs, newest submission first, those of one in their order.

    Parameters:
        submission_id: only its jobs.
        before: only what comes after this job in the list.

    Raises:
        InvalidRequestError: the account has no such job.
    """
    # By the submission's account: its index gives them in this order, and stops at the limit.
    query = _job_query().where(submissions.c.account_id == account_id).limit(limit + 1)
    if submission_id is not None:
        query = query.where(jobs.c.submission_id == submission_id)
    if before is not None:
        place = select(submissions.c.number, jobs.c.position).join(submissions)
        last = connection.execute(
            place.where(jobs.c.id == before, jobs.c.account_id == account_id)
        ).first()
        if last is None:
            raise InvalidRequestError(
                {"before": [f"The job '{before}' to list from does not exist."]}
            )
        rest = (submissions.c.number == last.number) & (jobs.c.position > last.position)
        query = query.where(submissions.c.number <= last.number).where(
            or_(submissions.c.number < last.number, rest)
        )
    found = _read(connection, query)
    return JobList(jobs=found[:limit], more=len(found) > limit)


def ids(
    connection: Connection,
    *,
    account_id: str | None = None,
    submission_id: str | None = None,
    states: Collection[JobState] | None = None,
) -> list[str]:
    """Return the ids of an account's jobs, or of a submission's, in their order.

    Parameters:
        states: only jobs in one of these.
    """
    query = select(jobs.c.id).join(submissions).order_by(submissions.c.number, jobs.c.position)
    if states is not None:
        query = query.where(jobs.c.state.in_([state.value for state in states]))
    if account_id is not None:
        query = query.where(jobs.c.account_id == account_id)
    if submission_id is not None:
        query = query.where(jobs.c.submission_id == submission_id)
    return list(connection.execute(query).scalars())


def any_unfinished(connection: Connection, submission_id: str) -> bool:
    """Return whether something may still happen to a job of a submission by itself."""
    unfinished = [state.value for state in JobState if not state.is_final]
    query = select(jobs.c.id).where(
        jobs.c.submission_id == submission_id, jobs.c.state.in_(unfinished)
    )
    return connection.execute(query.limit(1)).first() is not None


def needed_first(connection: Connection, job_ids: Sequence[str]) -> list[str]:
    """Return those of the jobs that exist, by submission, each after its dependencies."""
    of: dict[str, list[str]] = {}
    for part in parts(job_ids):
        query = select(jobs.c.id, jobs.c.submission_id).where(jobs.c.id.in_(part))
        places = {row.id: row.submission_id for row in connection.execute(query)}
        for job_id in part:
            if job_id in places:
                of.setdefault(places[job_id], []).append(job_id)
    needs: dict[str, list[str]] = {}
    for part in parts(job_ids):
        edges = select(job_dependencies.c.job_id, job_dependencies.c.needs_job_id)
        for row in connection.execute(edges.where(job_dependencies.c.job_id.in_(part))):
            needs.setdefault(row.job_id, []).append(row.needs_job_id)
    return [job_id for its in of.values() for job_id in _sorted(its, needs)]


def _sorted(job_ids: Sequence[str], needs: Mapping[str, Sequence[str]]) -> Iterable[str]:
    if needs.keys().isdisjoint(job_ids):
        return job_ids
    meant = set(job_ids)
    order = TopologicalSorter({job_id: needs.get(job_id, ()) for job_id in job_ids})
    return (job_id for job_id in order.static_order() if job_id in meant)


def still(
    connection: Connection, job_ids: Sequence[str], states: Collection[JobState]
) -> list[str]:
    """Return those of the jobs that are in one of the states."""
    wanted = [state.value for state in states]
    found: set[str] = set()
    for part in parts(job_ids):
        query = select(jobs.c.id).where(jobs.c.id.in_(part), jobs.c.state.in_(wanted))
        found.update(connection.execute(query).scalars())
    return [job_id for job_id in job_ids if job_id in found]


def by_ids(connection: Connection, job_ids: Iterable[str]) -> list[Job]:
    """Return these jobs; of each thousand the newest submission first."""
    found = []
    for part in parts(list(job_ids)):
        found += _read(connection, _job_query().where(jobs.c.id.in_(part)))
    return found


def owned(connection: Connection, account_id: str, job_id: str) -> Job | None:
    """Return the job if it is the account's."""
    found = _read(
        connection, _job_query().where(jobs.c.id == job_id, jobs.c.account_id == account_id)
    )
    return found[0] if found else None


def _job_query() -> Select[Any]:
    return (
        select(*_SHOWN)
        .select_from(ROW_TABLES)
        .order_by(submissions.c.number.desc(), jobs.c.position)
    )


def _read(connection: Connection, query: Select[Any]) -> list[Job]:
    found = rows_as(ShownJob, connection.execute(query))
    costing = [each.id for each in found if each.may_cost]
    metered = metering.by_job(connection, job_ids=costing) if costing else {}
    return [
        Job(
            id=each.id,
            client_id=each.client_id,
            submission_id=each.submission_id,
            project=each.project,
            submission_name=each.submission_name,
            name=each.name,
            app=each.app,
            app_version=each.app_version,
            operation=each.operation,
            state=JobState(each.state),
            message=each.message,
            reason=JobReason(each.reason),
            warnings=each.warnings,
            frames_total=each.frames_total,
            frames_done=each.frames_done,
            frames_failed=each.frames_failed,
            frames_running=each.frames_running,
            frames_flagged=each.frames_flagged,
            priority=each.priority,
            instances=each.instances,
            machine_type=each.machine_type,
            credits=float(to_credits(each.credits_micros + metered.get(each.id, 0))),
            output_folder=each.output_folder,
            submitted_at=each.submitted_at,
            started_at=each.started_at,
            finished_at=each.finished_at,
        )
        for each in found
    ]
