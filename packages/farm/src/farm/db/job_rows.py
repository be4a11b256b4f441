"""Jobs as the scheduler needs them: rows to decide on and to write."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypedDict, Unpack, cast

from farm_protocol.jobs import JobReason, JobState
from sqlalchemy import (
    Connection,
    bindparam,
    select,
    update,
)

from farm.db.engine.prepared import Prepared
from farm.db.engine.rows import columns_of, reader, rows_as
from farm.db.tables import (
    accounts,
    host_failures,
    job_dependencies,
    jobs,
    machine_slots,
    plans,
    submissions,
)
from farm.jobs.dependencies import Node
from farm.jobs.progress import NOTHING_MOVED, Moved, Progress
from farm.jobs.status_messages import StatusMessage

SUBMISSION_COLUMNS = (
    submissions.c.project,
    submissions.c.name.label("submission_name"),
    submissions.c.output_folder,
)


class JobColumns(TypedDict, total=False):
    """Columns of a job that change after its submission, except the counts of its frames."""

    instances: int
    priority: int
    state: str
    message: str
    reason: str
    noticed: str
    frames_flagged: int
    credits_micros: int
    budget_acted: bool
    suspended_for: str
    startup_seconds: float
    frame_seconds: float
    log_characters: int
    test_frames: int
    licence_failures: int
    not_before: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(slots=True)
class JobRow:
    """What deciding on a job takes; in a write transaction `put` keeps it true.

    Attributes:
        project, submission_name, output_folder: of its submission.
        active: its user is not disabled.
        job_throughput_limit: of its user's plan.
        hosts_failed: a host has failed it.
        slots: of its machine type; None when they are as configured.

    The others are columns of ``jobs``, all but those that hold JSON.
    """

    id: str
    submission_id: str
    account_id: str
    position: int
    client_id: str
    name: str
    app: str
    app_version: str
    operation: str
    template: str
    scene: str
    instances: int
    machine_type: str
    credits_per_hour: str
    priority: int
    state: str
    message: str
    reason: str
    noticed: str
    frames_total: int
    frames_done: int
    frames_failed: int
    frames_running: int
    frames_flagged: int
    credits_micros: int
    budget_micros: int
    budget_action: str
    budget_acted: bool
    suspended_for: str
    startup_seconds: float | None
    frame_seconds: float | None
    log_characters: int
    test_frames: int
    licence_failures: int
    not_before: datetime | None
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    project: str
    submission_name: str
    output_folder: str
    active: bool
    job_throughput_limit: int
    hosts_failed: bool
    slots: int | None

    def note(self, **values: Unpack[JobColumns]) -> None:
        """Remember columns that are still to be written."""
        for name, value in values.items():
            setattr(self, name, value)

    def news(self, values: JobColumns) -> JobColumns:
        """Return those of the values that the job does not have yet."""
        changed = {name: each for name, each in values.items() if getattr(self, name) != each}
        return cast(JobColumns, changed)

    def update_from(self, other: "JobRow") -> None:
        """Take over the values of another row of the same job."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))


def row(connection: Connection, job_id: str) -> JobRow:
    """Return the row of a job that exists."""
    (found,) = _ROW.rows(connection, of_job=job_id)
    return reader(JobRow, _ROW.names)(found)


def fetch_many(connection: Connection, job_ids: Sequence[str]) -> dict[str, JobRow]:
    """Return the rows of those of the jobs that exist, by id, in the order of ``job_ids``."""
    found: dict[str, JobRow] = {}
    for part in parts(job_ids):
        query = select(*ROW_COLUMNS).select_from(ROW_TABLES).where(jobs.c.id.in_(part))
        found.update((each.id, each) for each in rows_as(JobRow, connection.execute(query)))
    return {job_id: found[job_id] for job_id in job_ids if job_id in found}


def parts(job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split ids into parts that are short enough for one statement."""
    for begin in range(0, len(job_ids), _MOST_IDS):
        yield job_ids[begin : begin + _MOST_IDS]


_MOST_IDS = 1000


def plugins(connection: Connection, job_id: str) -> list[str]:
    """Return a job's plug-ins, which its `row` has not."""
    query = select(jobs.c.plugins).where(jobs.c.id == job_id)
    found: list[str] = connection.execute(query).scalar_one()
    return found


def put(
    connection: Connection,
    job: JobRow,
    moved: Moved = NOTHING_MOVED,
    /,
    **values: Unpack[JobColumns],
) -> None:
    """Write columns of a job, and remember them in its row.

    Parameters:
        moved: state changes of its frames. Nothing else changes their counts.
    """
    counts: dict[str, int] = {}
    if moved.done:
        job.frames_done = counts["frames_done"] = job.frames_done + moved.done
    if moved.failed:
        job.frames_failed = counts["frames_failed"] = job.frames_failed + moved.failed
    if moved.running:
        job.frames_running = counts["frames_running"] = job.frames_running + moved.running
    if counts or values:
        _PUT.run(connection, of_job=job.id, **counts, **values)
        job.note(**values)


@dataclass(frozen=True, slots=True)
class Work:
    """What a job's runner needs in addition to its row: the JSON, which is read once."""

    parameters: dict[str, Any]
    plugins: list[str]
    project_id: str
    snapshot: int


def work(connection: Connection, job_id: str) -> Work:
    """Return the `Work` of a job that exists."""
    (found,) = rows_as(Work, connection.execute(_WORK, {"of_job": job_id}))
    return found


# Built once: runners ask so often that building these costs more than running them.
ROW_COLUMNS = columns_of(
    JobRow,
    (
        *jobs.c,
        *SUBMISSION_COLUMNS,
        accounts.c.active,
        plans.c.job_throughput_limit,
        select(host_failures.c.job_id)
        .where(host_failures.c.job_id == jobs.c.id)
        .exists()
        .label("hosts_failed"),
        select(machine_slots.c.slots)
        .where(machine_slots.c.machine_type == jobs.c.machine_type)
        .scalar_subquery()
        .label("slots"),
    ),
)
"""The columns of a `JobRow`."""
ROW_TABLES = (
    jobs.join(submissions, submissions.c.id == jobs.c.submission_id)
    .join(accounts, accounts.c.id == jobs.c.account_id)
    .join(plans, plans.c.name == accounts.c.plan)
)
"""Where they stand."""
_ROW = Prepared(
    select(*ROW_COLUMNS).select_from(ROW_TABLES).where(jobs.c.id == bindparam("of_job"))
)
_WORK = (
    select(*columns_of(Work, (*jobs.c, submissions.c.project_id, submissions.c.snapshot)))
    .join_from(jobs, submissions)
    .where(jobs.c.id == bindparam("of_job"))
)
# The given values determine which columns it sets.
_PUT = Prepared(update(jobs).where(jobs.c.id == bindparam("of_job")))


def state(connection: Connection, job_id: str) -> JobState:
    """Return the state of a job that exists."""
    found = connection.execute(select(jobs.c.state).where(jobs.c.id == job_id))
    return JobState(found.scalar_one())


def progress(row: JobRow) -> Progress:
    """Return how far a job is, from its row."""
    return Progress(
        total=row.frames_total,
        done=row.frames_done,
        failed=row.frames_failed,
        running=row.frames_running,
        test_frames=row.test_frames,
    )


def needed_by(connection: Connection, job_id: str) -> list[str]:
    """Return the ids of the jobs that ``job_id`` waits for."""
    rows = connection.execute(
        select(job_dependencies.c.needs_job_id).where(job_dependencies.c.job_id == job_id)
    )
    return list(rows.scalars())


def has_dependents(connection: Connection, job_id: str) -> bool:
    """Return whether a job waits for this one."""
    found = select(job_dependencies.c.job_id).where(job_dependencies.c.needs_job_id == job_id)
    return connection.execute(found.limit(1)).first() is not None


def graph(connection: Connection, submission_id: str) -> list[Node]:
    """Return the jobs of a submission with what each of them needs, in their order."""
    edges = connection.execute(
        select(job_dependencies.c.job_id, job_dependencies.c.needs_job_id)
        .join(jobs, jobs.c.id == job_dependencies.c.job_id)
        .where(jobs.c.submission_id == submission_id)
    )
    needs: dict[str, list[str]] = {}
    for job_id, needed in edges:
        needs.setdefault(job_id, []).append(needed)
    found = connection.execute(
        select(
            jobs.c.id,
            jobs.c.name,
            jobs.c.state,
            jobs.c.message,
            jobs.c.reason,
            _BEGUN.label("begun"),
        )
        .where(jobs.c.submission_id == submission_id)
        .order_by(jobs.c.position)
    ).all()
    place = {each.id: index for index, each in enumerate(found)}
    return [
        Node(
            id=each.id,
            name=each.name,
            state=JobState(each.state),
            needs=sorted(needs.get(each.id, ()), key=place.__getitem__),
            status=StatusMessage(each.message, JobReason(each.reason)),
            begun=each.begun > 0,
        )
        for each in found
    ]


_BEGUN = jobs.c.frames_done + jobs.c.frames_failed + jobs.c.frames_running
