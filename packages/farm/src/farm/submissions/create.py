"""Turns a submission into jobs with frames: check everything, then store it at once.

`check` and `create` share their code, so that what passes the check is accepted later.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from uuid import uuid4

from farm_protocol.jobs import (
    DEFAULT_PRIORITY,
    JobState,
    SubmissionCheck,
    SubmissionSpec,
)
from sqlalchemy import Connection

from farm.accounts.credits import require_positive
from farm.catalogue import Catalogue
from farm.db import feed, new_jobs, projects
from farm.db import jobs as job_table
from farm.db.accounts import AccountRow
from farm.db.engine.rows import values_of
from farm.db.new_jobs import NewJob, NewJobs, NewSubmission
from farm.errors import ConflictError, ProjectChangedError
from farm.jobs.dependencies import Node, review
from farm.jobs.frames import with_test_frames
from farm.jobs.pricing import to_micros
from farm.jobs.status_messages import NO_MESSAGE, StatusMessage
from farm.stores.port import Store
from farm.submissions.checks import CheckedJob, check_jobs


@dataclass(frozen=True)
class Prepared:
    """A valid submission, ready to be stored.

    Attributes:
        is_stored: it exists already; nothing else is known then.
        jobs: their rows.
        size: approximate growth of the database.
    """

    is_stored: bool
    jobs: NewJobs = field(default_factory=NewJobs)
    size: int = 0


def check(
    connection: Connection,
    catalogue: Catalogue,
    store: Store,
    account: AccountRow,
    spec: SubmissionSpec,
) -> SubmissionCheck:
    """Check whether `create` would accept this once `pending_files` have been sent.

    Raises:
        InsufficientCreditsError: the balance is not positive.
        InvalidRequestError: all mistakes, by field.
    """
    require_positive(connection, account.id)  # First: checking takes a while.
    checked = check_jobs(connection, catalogue, store, account, spec)
    return SubmissionCheck(warnings=[text for job in checked for text in job.warnings])


def prepare(
    connection: Connection,
    catalogue: Catalogue,
    store: Store,
    account: AccountRow,
    spec: SubmissionSpec,
) -> Prepared:
    """Check a submission for `create` to store it: this only reads, so that nobody waits.

    Raises:
        InsufficientCreditsError, InvalidRequestError: as `check`.
        ConflictError: the id is another user's.
    """
    if _is_stored(connection, account, spec):
        return Prepared(True)
    require_positive(connection, account.id)
    checked = check_jobs(connection, catalogue, store, account, spec)
    ready = _rows(checked, account.id, spec.id)
    return Prepared(False, ready, _size(ready, (spec.name, spec.project, spec.output_folder)))


def create(
    connection: Connection,
    account: AccountRow,
    spec: SubmissionSpec,
    prepared: Prepared,
    take: Callable[[Connection, int], None],
) -> None:
    """Store a submission with its jobs; an existing one stays unchanged.

    Parameters:
        prepared: the recent result of `prepare`. Changes since then are harmless: a file of the
            project, and the version that saved a scene.
        take: called with the growth of the database; raises an error when the account has no room.

    Raises:
        InsufficientCreditsError: the balance is not positive any more.
        ConflictError: the id is another user's.
        ProjectChangedError: the project no longer has the revision that it must have.
    """
    if prepared.is_stored or _is_stored(connection, account, spec):
        return
    require_positive(connection, account.id)
    take(connection, prepared.size)
    now = datetime.now(UTC)
    project = projects.ensure(connection, account.id, spec.project, now)
    if spec.revision is not None and spec.revision != project.revision:
        raise ProjectChangedError(
            f"The files of the project '{spec.project}' have changed since they were sent for this"
            " submission. Send them again, then submit."
        )
    new_jobs.insert_submission(
        connection,
        NewSubmission(
            id=spec.id,
            account_id=account.id,
            project_id=project.id,
            snapshot=projects.take_snapshot(connection, project),
            project=spec.project,
            name=spec.name,
            output_folder=spec.output_folder,
            submitted_at=now,
        ),
    )
    prepared.jobs.store(connection, now)
    feed.jobs_changed(connection, account.id, (job.id for job in prepared.jobs.jobs))


def _is_stored(connection: Connection, account: AccountRow, spec: SubmissionSpec) -> bool:
    owner = job_table.submission_owner(connection, spec.id)
    if owner is not None and owner != account.id:
        raise ConflictError(f"The id '{spec.id}' is already taken. Choose a random UUID.")
    return owner is not None


def _rows(checked: Sequence[CheckedJob], account_id: str, submission_id: str) -> NewJobs:
    ids = {job.spec.id: uuid4().hex for job in checked}
    places = {job.spec.id: place for place, job in enumerate(checked)}
    messages = _waits_for(checked)
    ready = NewJobs()
    for job in _needed_first(checked):
        new = _new_job(job, ids[job.spec.id], submission_id, account_id, places[job.spec.id])
        status = messages.get(job.spec.id, NO_MESSAGE)
        new.message, new.reason = status.message, status.reason.value
        frames = job.frames
        if job.spec.test_frames_first:
            frames, new.test_frames = with_test_frames(frames)
        needs = [ids[needed] for needed in dict.fromkeys(job.spec.dependencies)]
        ready.add(new, frames, needs, job.uses)
    return ready


def _waits_for(checked: Sequence[CheckedJob]) -> dict[str, StatusMessage]:
    """Return the messages of jobs that wait for others, by their client ids."""
    places = {job.spec.id: place for place, job in enumerate(checked)}
    nodes = (
        Node(
            id=job.spec.id,
            name=job.spec.name,
            state=_first_state(job),
            needs=sorted(set(job.spec.dependencies), key=places.__getitem__),
        )
        for job in checked
    )
    return {each.job_id: each.status for each in review(nodes)}


def _first_state(job: CheckedJob) -> JobState:
    return JobState.PENDING if job.spec.dependencies else JobState.READY


_JOB_BYTES = 2000
"""What a job and its lines in the indexes and the feed take in the database, beside the texts."""
_ROW_BYTES = 250
"""What a range of frames takes, a dependency, and results of an earlier job."""


def _size(ready: NewJobs, submission: Sequence[str]) -> int:
    """Return the growth of the database.

    Parameters:
        submission: its own texts.
    """
    texts = sum(len(json.dumps([job.parameters, job.plugins, job.warnings])) for job in ready.jobs)
    texts += sum(
        len(value.encode())
        for job in ready.jobs
        for value in values_of(job).values()
        if isinstance(value, str)
    )
    texts += sum(len(text.encode()) for text in submission)
    many = len(ready.runs) + len(ready.needs) + len(ready.uses)
    texts += sum(2 * len(use.begins.encode()) for use in ready.uses)
    return texts + _JOB_BYTES * (1 + len(ready.jobs)) + _ROW_BYTES * many


def _needed_first(checked: Sequence[CheckedJob]) -> list[CheckedJob]:
    # Foreign keys: a job is stored after those that it needs. There is no cycle by now.
    jobs = {job.spec.id: job for job in checked}
    order = TopologicalSorter({job.spec.id: job.spec.dependencies for job in checked})
    return [jobs[each] for each in order.static_order()]


def _new_job(
    job: CheckedJob, job_id: str, submission_id: str, account_id: str, position: int
) -> NewJob:
    assert job.machine is not None
    budget = job.spec.budget
    return NewJob(
        id=job_id,
        submission_id=submission_id,
        account_id=account_id,
        position=position,
        client_id=job.spec.id,
        name=job.spec.name,
        app=job.spec.app,
        app_version=job.version,
        operation=job.spec.operation,
        template=job.template.name if job.template else "",
        scene=job.scene,
        parameters=job.parameters,
        plugins=job.plugins,
        warnings=job.warnings,
        instances=job.spec.instances,
        machine_type=job.machine.id,
        credits_per_hour=str(job.machine.price(job.spec.app)),
        priority=DEFAULT_PRIORITY,
        state=_first_state(job).value,
        frames_total=len(job.frames),
        budget_micros=to_micros(budget.value) if budget else 0,
        budget_action=budget.action.value if budget else "",
    )
