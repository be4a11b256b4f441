"""From a submission as it is sent to jobs with frames: check everything, then store it at once.

`check` and `create` share one path, so that what passes the check is accepted later.
"""

import json
from collections.abc import Callable, Mapping, Sequence
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
from farm.db import feed, files, job_rows
from farm.db import jobs as job_table
from farm.db.accounts import AccountRow
from farm.db.job_rows import NewJobs
from farm.errors import ConflictError
from farm.jobs.dependencies import Node, review
from farm.jobs.frames import with_test_frames
from farm.jobs.pricing import to_micros
from farm.jobs.said import NOTHING, Said
from farm.stores.port import Store
from farm.submissions.checks import CheckedJob, check_jobs


@dataclass(frozen=True)
class Prepared:
    """A submission that was found to be good, and is ready to be stored.

    Attributes:
        is_stored: it is there already; nothing else is known then.
        jobs: their rows.
        size: what the database grows by, about.
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
    store: Store,
    account: AccountRow,
    spec: SubmissionSpec,
) -> Prepared:
    """Check a submission, to let `create` store it: reading is enough, so that nobody waits.

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
    """Store a submission with its jobs; one that is there already stays as it is.

    Parameters:
        prepared: what `prepare` has returned a moment ago. What may have changed since does no
            harm: a file of the project, and the version that a scene was saved by.
        take: is told what the database grows by; raises an error when the account has no room.

    Raises:
        InsufficientCreditsError: the balance is not positive any more.
        ConflictError: the id is another user's.
    """
    if prepared.is_stored or _is_stored(connection, account, spec):
        return
    require_positive(connection, account.id)
    take(connection, prepared.size)
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
    for row in prepared.jobs.jobs:
        row["submitted_at"] = now
    prepared.jobs.store(connection)
    feed.jobs_changed(connection, account.id, (row["id"] for row in prepared.jobs.jobs))


def _is_stored(connection: Connection, account: AccountRow, spec: SubmissionSpec) -> bool:
    owner = job_table.submission_owner(connection, spec.id)
    if owner is not None and owner != account.id:
        raise ConflictError(f"The id '{spec.id}' is taken; choose a random UUID.")
    return owner is not None


def _rows(checked: Sequence[CheckedJob], account_id: str, submission_id: str) -> NewJobs:
    ids = {job.spec.id: uuid4().hex for job in checked}
    places = {job.spec.id: place for place, job in enumerate(checked)}
    says = _waits_for(checked)
    ready = NewJobs()
    for job in _needed_first(checked):
        values = _job_values(job, ids, submission_id, account_id, places[job.spec.id])
        said = says.get(job.spec.id, NOTHING)
        values |= {"message": said.message, "reason": said.reason.value}
        frames = job.frames
        if job.spec.test_frames_first:
            frames, values["test_frames"] = with_test_frames(frames)
        needs = [ids[needed] for needed in dict.fromkeys(job.spec.dependencies)]
        ready.add(values, frames, needs)
    return ready


def _waits_for(checked: Sequence[CheckedJob]) -> dict[str, Said]:
    """Return what the jobs say that wait for others, by the ids that their sender gave them."""
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
    return {each.job_id: each.said for each in review(nodes)}


def _first_state(job: CheckedJob) -> JobState:
    return JobState.PENDING if job.spec.dependencies else JobState.READY


_JOB_BYTES = 2000
"""What a job and its lines in the indexes and the feed take in the database, beside the texts."""
_ROW_BYTES = 250
"""What a range of frames takes, and a dependency."""


def _size(ready: NewJobs, submission: Sequence[str]) -> int:
    """Return what the database grows by.

    Parameters:
        submission: its own texts.
    """
    names = ("parameters", "plugins", "warnings")
    texts = sum(len(json.dumps([row[name] for name in names])) for row in ready.jobs)
    texts += sum(
        len(value.encode())
        for row in ready.jobs
        for value in row.values()
        if isinstance(value, str)
    )
    texts += sum(len(text.encode()) for text in submission)
    many = len(ready.runs) + len(ready.needs)
    return texts + _JOB_BYTES * (1 + len(ready.jobs)) + _ROW_BYTES * many


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
        "template": job.template.name if job.template else "",
        "scene": job.scene,
        "parameters": job.parameters,
        "plugins": job.plugins,
        "warnings": job.warnings,
        "instances": job.spec.instances,
        "machine_type": job.machine.id,
        # The price of the day of submission holds for the whole job.
        "credits_per_hour": str(job.machine.price(job.spec.app)),
        "priority": DEFAULT_PRIORITY,
        "state": _first_state(job).value,
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
    }
