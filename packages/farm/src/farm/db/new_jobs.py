"""A new submission and its jobs, as stored: prepared before the write turn, in few steps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from farm.db import earlier_results, frame_runs
from farm.db.earlier_results import NewUse, Use
from farm.db.engine.prepared import Prepared
from farm.db.engine.rows import values_of
from farm.db.frame_runs import NewRun
from farm.db.tables import job_dependencies, jobs, submissions
from farm.jobs.frames import Frames


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """Columns of a submission; it gets its number when it is stored.

    Attributes:
        project: its name at the time.
        snapshot: number of the snapshot of the project's files.
    """

    id: str
    account_id: str
    project_id: str
    snapshot: int
    project: str
    name: str
    output_folder: str
    submitted_at: datetime


@dataclass(slots=True, kw_only=True)
class NewJob:
    """Columns of a job, except the time of its submission and those that are NULL at first.

    Attributes:
        client_id: the id chosen by its sender.
        credits_per_hour: the price at the time of submission, which applies to the whole job.
        reason, message: what it waits for, if anything.
        budget_action: "" without a budget.
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
    parameters: dict[str, object]
    plugins: list[str]
    warnings: list[str]
    instances: int
    machine_type: str
    credits_per_hour: str
    priority: int
    state: str
    message: str = ""
    reason: str = ""
    noticed: str = ""
    frames_total: int
    frames_done: int = 0
    frames_failed: int = 0
    frames_running: int = 0
    frames_flagged: int = 0
    log_characters: int = 0
    credits_micros: int = 0
    budget_micros: int = 0
    budget_action: str = ""
    budget_acted: bool = False
    suspended_for: str = ""
    test_frames: int = 0
    licence_failures: int = 0


@dataclass(frozen=True, slots=True)
class NewNeed:
    """One job waits for another one."""

    job_id: str
    needs_job_id: str


@dataclass(slots=True)
class NewJobs:
    """Rows of jobs to be stored."""

    jobs: list[NewJob] = field(default_factory=list)
    runs: list[NewRun] = field(default_factory=list)
    needs: list[NewNeed] = field(default_factory=list)
    uses: list[NewUse] = field(default_factory=list)

    def add(
        self, job: NewJob, asked: Frames, needs: Sequence[str], uses: Sequence[Use] = ()
    ) -> None:
        """Add a job.

        Parameters:
            asked: its frames.
            needs: the ids of its dependencies, which come before it.
            uses: the results of earlier submissions that it uses.
        """
        self.jobs.append(job)
        self.runs += frame_runs.rows_of(job.id, asked.runs)
        self.needs += [NewNeed(job.id, needed) for needed in needs]
        self.uses += earlier_results.rows_of(job.id, uses)

    def store(self, connection: Connection, now: datetime) -> None:
        """Store the jobs, their frames, their dependencies and the results that they use."""
        _ADD_JOB.run_all(connection, [{**values_of(job), "submitted_at": now} for job in self.jobs])
        if self.runs:
            frame_runs.add(connection, self.runs)
        if self.needs:
            _ADD_NEED.run_all(connection, [values_of(need) for need in self.needs])
        if self.uses:
            earlier_results.add(connection, self.uses)


def insert_submission(connection: Connection, submission: NewSubmission) -> None:
    """Store a submission; its number follows the newest one's."""
    number = connection.execute(select(func.coalesce(func.max(submissions.c.number), 0))).scalar()
    values = {**values_of(submission), "number": (number or 0) + 1}
    connection.execute(insert(submissions).values(**values))


_ADD_JOB = Prepared(insert(jobs).inline())
_ADD_NEED = Prepared(insert(job_dependencies).inline())
