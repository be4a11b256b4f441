"""Submissions, jobs and frames as the scheduler needs them: rows to decide on and to write."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from farm_protocol.jobs import JobReason, JobState
from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    func,
    insert,
    select,
    update,
)

from farm.db import frame_runs
from farm.db.engine.prepared import Prepared
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
from farm.jobs.frames import Frames
from farm.jobs.progress import NOTHING_MOVED, Moved, Progress
from farm.jobs.said import Said

SUBMISSION_COLUMNS = (
    submissions.c.project,
    submissions.c.name.label("submission_name"),
    submissions.c.output_folder,
)


def insert_submission(connection: Connection, values: dict[str, Any]) -> None:
    """Store a submission; its number follows the newest one's."""
    number = connection.execute(select(func.coalesce(func.max(submissions.c.number), 0))).scalar()
    connection.execute(insert(submissions).values(**values, number=(number or 0) + 1))


@dataclass(slots=True)
class NewJobs:
    """Rows of jobs that are to be stored: made before the write turn, and stored in few steps."""

    jobs: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    needs: list[dict[str, Any]] = field(default_factory=list)

    def add(self, values: dict[str, Any], asked: Frames, needs: Sequence[str]) -> None:
        """Add a job with its frames and the ids of the jobs it needs, which come before it."""
        self.jobs.append(values)
        self.runs += frame_runs.rows_of(values["id"], asked.runs)
        self.needs += [{"job_id": values["id"], "needs_job_id": needed} for needed in needs]

    def store(self, connection: Connection) -> None:
        """Store them all."""
        _ADD_JOB.run_all(connection, self.jobs)
        if self.runs:
            frame_runs.add(connection, self.runs)
        if self.needs:
            _ADD_NEED.run_all(connection, self.needs)


_ADD_JOB = Prepared(insert(jobs).inline())
_ADD_NEED = Prepared(insert(job_dependencies).inline())


JobRow = dict[str, Any]
"""A job's row as `row` reads it; in a write transaction `put` keeps it true."""


def row(connection: Connection, job_id: str) -> JobRow:
    """Return what deciding on a job takes: its row, its submission's names and its user's limits.

    The columns are those of ``jobs`` without the JSON ones, and ``project``, ``submission_name``,
    ``output_folder``, ``active`` (whether its user is let in), ``job_throughput_limit``,
    ``hosts_failed`` (whether a host has failed it) and ``slots`` of its machine type, None when
    they are as configured.
    """
    (found,) = _ROW.rows(connection, of_job=job_id)
    return as_row(found)


def many(connection: Connection, job_ids: Sequence[str]) -> dict[str, JobRow]:
    """Return the rows of those of the jobs that exist, by id, in the order of ``job_ids``."""
    found: dict[str, JobRow] = {}
    for part in parts(job_ids):
        query = select(*ROW_COLUMNS).select_from(ROW_TABLES).where(jobs.c.id.in_(part))
        found.update((each["id"], each) for each in map(as_row, connection.execute(query)))
    return {job_id: found[job_id] for job_id in job_ids if job_id in found}


def parts(job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield ids, so many at a time that one statement takes them."""
    for begin in range(0, len(job_ids), _MOST_IDS):
        yield job_ids[begin : begin + _MOST_IDS]


_MOST_IDS = 1000


def as_row(values: Sequence[Any]) -> JobRow:
    """Return a `JobRow` of the values of `ROW_COLUMNS`."""
    return dict(zip(_NAMES, values, strict=True))


def plugins(connection: Connection, job_id: str) -> list[str]:
    """Return a job's plug-ins, which its `row` has not."""
    query = select(jobs.c.plugins).where(jobs.c.id == job_id)
    found: list[str] = connection.execute(query).scalar_one()
    return found


def put(
    connection: Connection, job: JobRow, moved: Moved = NOTHING_MOVED, /, **values: Any
) -> None:
    """Write columns of a job, and remember them in its row.

    Parameters:
        moved: what its frames have become. Nothing else changes their counts.
    """
    if moved.done:
        values["frames_done"] = job["frames_done"] + moved.done
    if moved.failed:
        values["frames_failed"] = job["frames_failed"] + moved.failed
    if moved.running:
        values["frames_running"] = job["frames_running"] + moved.running
    if not values:
        return
    _PUT.run(connection, of_job=job["id"], **values)
    job.update(values)


def whole_row(connection: Connection, job_id: str) -> JobRow:
    """Return every column of a job that exists, and its submission's output folder and project."""
    return dict(connection.execute(_WHOLE_ROW, {"of_job": job_id}).mappings().one())


# Built once: runners ask so often that building these costs more than running them.
_JSON = {"parameters", "plugins", "warnings"}
ROW_COLUMNS: tuple[ColumnElement[Any], ...] = (
    *(column for column in jobs.c if column.name not in _JSON),
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
)
"""The columns of a `JobRow`."""
ROW_TABLES = (
    jobs.join(submissions, submissions.c.id == jobs.c.submission_id)
    .join(accounts, accounts.c.id == jobs.c.account_id)
    .join(plans, plans.c.name == accounts.c.plan)
)
"""Where they stand."""
_NAMES = tuple(column.name for column in ROW_COLUMNS)
_ROW = Prepared(
    select(*ROW_COLUMNS).select_from(ROW_TABLES).where(jobs.c.id == bindparam("of_job"))
)
_WHOLE_ROW = (
    select(jobs, *SUBMISSION_COLUMNS, submissions.c.project_id)
    .join(submissions)
    .where(jobs.c.id == bindparam("of_job"))
)
# Which columns it sets follows from the values it is given.
_PUT = Prepared(update(jobs).where(jobs.c.id == bindparam("of_job")))


def state(connection: Connection, job_id: str) -> JobState:
    """Return the state of a job that exists."""
    found = connection.execute(select(jobs.c.state).where(jobs.c.id == job_id))
    return JobState(found.scalar_one())


def progress(row: JobRow) -> Progress:
    """Return how far a job is, from its row."""
    return Progress(
        total=row["frames_total"],
        done=row["frames_done"],
        failed=row["frames_failed"],
        running=row["frames_running"],
        test_frames=row["test_frames"],
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
            jobs.c.sentence,
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
            said=Said(each.sentence, JobReason(each.reason)),
            begun=each.begun > 0,
        )
        for each in found
    ]


_BEGUN = jobs.c.frames_done + jobs.c.frames_failed + jobs.c.frames_running
