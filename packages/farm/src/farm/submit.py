"""From a submission as it is sent to jobs with frames: check everything, then store it at once.

`check` and `create` share one path, so that what passes the check is accepted later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from uuid import uuid4

from farm_protocol.jobs import (
    DEFAULT_PRIORITY,
    JobState,
    Submission,
    SubmissionCheck,
    SubmissionSpec,
)
from sqlalchemy import Connection

from farm.accounts.credits import require_positive
from farm.catalog import Catalogue
from farm.db import feed, files, job_rows
from farm.db import jobs as rows
from farm.db.accounts import AccountRow
from farm.errors import ConflictError
from farm.jobs.frames import with_test_frames
from farm.jobs.pricing import to_micros
from farm.scheduler import writer
from farm.stores.disk import DiskStore
from farm.submission_checks import CheckedJob, check_jobs


@dataclass(frozen=True)
class Checked:
    """A submission that was found to be good.

    Attributes:
        stored: the submission as it stands, when it is there already; nothing else is known then.
        jobs: ready to be stored.
    """

    stored: Submission | None
    jobs: Sequence[CheckedJob] = ()


def check(
    connection: Connection,
    catalogue: Catalogue,
    store: DiskStore,
    account: AccountRow,
    spec: SubmissionSpec,
) -> SubmissionCheck:
    """Say whether `create` would accept this once `pending_files` have been sent.

    Raises:
        InsufficientCreditsError: the balance is not positive.
        InvalidRequestError: all that is wrong, by field.
    """
    require_positive(connection, account.id)  # First: checking takes a while.
    checked = check_jobs(connection, catalogue, store, account, spec)
    return SubmissionCheck(warnings=[text for job in checked for text in job.warnings])


def prepare(
    connection: Connection,
    catalogue: Catalogue,
    store: DiskStore,
    account: AccountRow,
    spec: SubmissionSpec,
) -> Checked:
    """Check a submission, to let `create` store it: reading is enough, so that nobody waits.

    Raises:
        InsufficientCreditsError, InvalidRequestError: as `check`.
        ConflictError: the id is another user's.
    """
    if stored := _stored(connection, account, spec):
        return Checked(stored)
    require_positive(connection, account.id)
    return Checked(None, check_jobs(connection, catalogue, store, account, spec))


def create(
    connection: Connection, account: AccountRow, spec: SubmissionSpec, checked: Checked
) -> Submission:
    """Store a submission with its jobs and return it; one that is there already is returned as is.

    Parameters:
        checked: what `prepare` has returned a moment ago. What may have changed since does no harm:
            a file of the project, and the version that a scene was saved by.

    Raises:
        InsufficientCreditsError: the balance is not positive any more.
        ConflictError: the id is another user's.
    """
    if stored := checked.stored or _stored(connection, account, spec):
        return stored
    require_positive(connection, account.id)
    now = datetime.now(UTC)
    job_rows.insert_submission(
        connection,
        {
            "id": spec.id,
            "account_id": account.id,
            "project_id": files.ensure_project(connection, account.id, spec.project, now),
            "project": spec.project,
            "name": spec.name,
            "output_folder": spec.output_folder,
            "submitted_at": now,
        },
    )
    ids = {job.spec.id: uuid4().hex for job in checked.jobs}
    places = {job.spec.id: place for place, job in enumerate(checked.jobs)}
    for job in _needed_first(checked.jobs):
        values = _job_values(job, ids, spec.id, account.id, places[job.spec.id], now)
        needs = [ids[needed] for needed in dict.fromkeys(job.spec.dependencies)]
        frames = job.frames
        if job.spec.test_frames_first:
            frames, values["test_frames"] = with_test_frames(frames)
        job_rows.insert_job(connection, values, frames, needs)
        feed.job_changed(connection, account.id, ids[job.spec.id])
    if any(job.spec.dependencies for job in checked.jobs):
        writer.review_dependencies(connection, spec.id, now)
    return rows.submission(connection, spec.id)


def _stored(connection: Connection, account: AccountRow, spec: SubmissionSpec) -> Submission | None:
    owner = rows.submission_owner(connection, spec.id)
    if owner is not None and owner != account.id:
        raise ConflictError(f"The id '{spec.id}' is taken; choose a random UUID.")
    return rows.submission(connection, spec.id) if owner is not None else None


def _needed_first(checked: Sequence[CheckedJob]) -> list[CheckedJob]:
    # Foreign keys: a job is stored after those that it needs. There is no cycle by now.
    jobs = {job.spec.id: job for job in checked}
    order = TopologicalSorter({job.spec.id: job.spec.dependencies for job in checked})
    return [jobs[each] for each in order.static_order()]


def _job_values(
    job: CheckedJob,
    ids: Mapping[str, str],
    submission_id: str,
    account_id: str,
    position: int,
    now: datetime,
) -> dict[str, object]:
    assert job.machine is not None
    budget = job.spec.budget
    return {
        "id": ids[job.spec.id],
        "submission_id": submission_id,
        "account_id": account_id,
        "position": position,
        "client_id": job.spec.id,
        "name": job.spec.name,
        "app": job.spec.app,
        "app_version": job.version,
        "operation": job.spec.operation,
        "template": job.template,
        "scene": job.scene,
        "parameters": job.parameters,
        "plugins": job.plugins,
        "warnings": job.warnings,
        "instances": job.spec.instances,
        "machine_type": job.machine.id,
        # The price of the day of submission holds for the whole job.
        "credits_per_hour": str(job.machine.price(job.spec.app)),
        "priority": DEFAULT_PRIORITY,
        "state": (JobState.PENDING if job.spec.dependencies else JobState.READY).value,
        "sentence": "",
        "noticed": "",
        "frames_total": len(job.frames),
        "frames_done": 0,
        "frames_failed": 0,
        "frames_running": 0,
        "frames_flagged": 0,
        "log_characters": 0,
        "credits_micros": 0,
        "budget_micros": to_micros(budget.value) if budget else 0,
        "budget_action": budget.action.value if budget else "",
        "budget_acted": False,
        "suspended_for": "",
        "test_frames": 0,
        "licence_failures": 0,
        "submitted_at": now,
    }
