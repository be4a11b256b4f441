"""Submissions and jobs: what is requested, and its state."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, JsonValue

from farm_protocol._values import storable
from farm_protocol.faults import JOB_ID
from farm_protocol.files import RemotePath
from farm_protocol.models import Amount, Answer, Count, FirstFault, Int64, Request
from farm_protocol.text import Id, Line

MAX_PENDING = 1_000_000
"""Most files of a project that may be announced as pending."""


class JobState(StrEnum):
    """States of a job. `farm.jobs.transitions` holds the table of allowed changes."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    STOPPED = "stopped"
    BLOCKED = "blocked"

    @property
    def is_final(self) -> bool:
        """Whether the state is final."""
        return self in _FINAL


_FINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.STOPPED, JobState.BLOCKED})


class JobReason(StrEnum):
    """What a job's message is about, for programs; the wording of the message itself may change.

    RUNNER, OTHER_MACHINE, LICENCE and OTHER_LICENCE: the running job waits, because no runner could
    be started, because a machine is unsuitable for it, because its renderer got no licence, or
    because only some of its renderers got one. TRYING_AGAIN: a renderer failed or was lost, and its
    frames wait again. JOBS: it waits for jobs that it needs, or is blocked by one. CREDITS,
    DISABLED, STORAGE, DISK: it is suspended until its account has credits, is enabled again or has
    space, or until the farm's disk has space. BUDGET: its budget is used up. USER: somebody stopped
    or suspended it. FRAMES: frames were given up. TEST_FRAMES: a test frame was given up, and the
    others were not started.
    """

    NONE = ""
    RUNNER = "runner"
    OTHER_MACHINE = "other_machine"
    LICENCE = "licence"
    OTHER_LICENCE = "other_licence"
    TRYING_AGAIN = "trying_again"
    JOBS = "jobs"
    CREDITS = "credits"
    DISABLED = "disabled"
    STORAGE = "storage"
    DISK = "disk"
    BUDGET = "budget"
    USER = "user"
    FRAMES = "frames"
    TEST_FRAMES = "test_frames"


def _known(reason: object) -> object:
    """Return no reason for one that only a newer farm knows: the message still explains it."""
    return "" if isinstance(reason, str) and reason not in tuple(JobReason) else reason


MOST_JOBS = 1_000
"""Most jobs of one submission."""
_MOST_PARAMETERS = 200
_MOST_PLUGINS = 100
_ShortText = Annotated[Line, Field(max_length=200)]


class BudgetAction(StrEnum):
    """What happens when a job has used up its budget.

    STOP kills running tasks. SUSPEND lets frames that are being rendered finish and starts no
    others. ALERT only notifies the user.
    """

    STOP = "STOP"
    SUSPEND = "SUSPEND"
    ALERT = "ALERT"


class Budget(Request):
    """The most that a job may cost, in credits."""

    value: Amount = Field(ge=Decimal("0.000001"), le=10**9)
    action: BudgetAction


class JobSpec(Request):
    """One job of a submission, as the published client describes it.

    Attributes:
        id: chosen by the sender; unique within the submission; `dependencies` refer to it.
        app, app_version, operation: product short code, its version, and the operation.
        path: remote path of the scene.
        instances: most runners at a time; 0 means the plan's default.
        machine_type: an id of the catalogue, "", "default_machine_cpu" or "default_machine_gpu".
        test_frames_first: render the first, the middle and the last frame, and the others only when
            these have succeeded.
        budget: None: no limit.
        params: the product's own parameters. Unknown ones are kept and shown as warnings.
    """

    id: Line = Field(min_length=1, max_length=200)
    name: Line = Field(min_length=1, max_length=200)
    app: Line = Field(max_length=100)
    app_version: Line = Field(default="", max_length=100)
    operation: Line = Field(max_length=100)
    path: Line = Field(max_length=4096)
    instances: int = Field(default=0, ge=0, le=100_000)
    machine_type: Line = Field(default="", max_length=200)
    plugins: Annotated[list[_ShortText], FirstFault] = Field(default=[], max_length=_MOST_PLUGINS)
    budget: Budget | None = None
    params: Annotated[
        dict[str, JsonValue], Field(max_length=_MOST_PARAMETERS), BeforeValidator(storable)
    ] = {}
    dependencies: Annotated[list[_ShortText], FirstFault] = Field(default=[], max_length=MOST_JOBS)
    test_frames_first: bool = False


class SubmissionSpec(Request):
    """``POST /v1/submissions`` and, to validate only, ``POST /v1/submissions/check``.

    Attributes:
        id: chosen by the sender (a UUID); repeating it is harmless and returns the submission as it
            is now, so that a lost answer can be requested again.
        project: the project's name: first segment of every remote path.
        output_folder: remote folder of the results, inside the project.
        pending_files: only for `check`: remote paths that will be uploaded before the submission is
            sent, so that they count as present.
        revision: `farm_protocol.files.ProjectRevision` that the project must still have, so that
            the submission gets the very files that its sender has put there; else the farm refuses
            with ``project_changed``. None: whatever the project has at that moment.
    """

    id: str = Field(pattern=JOB_ID)
    project: Line = Field(max_length=255)
    name: Line = Field(min_length=1, max_length=300)
    output_folder: RemotePath
    jobs: Annotated[list[JobSpec], FirstFault] = Field(min_length=1, max_length=MOST_JOBS)
    pending_files: Annotated[list[Annotated[Line, Field(max_length=4097)]], FirstFault] = Field(
        default=[], max_length=MAX_PENDING
    )
    revision: Count | None = None


DEFAULT_PRIORITY = 50


class JobChange(Request):
    """Properties of a job that can change at any time; None leaves one as it is.

    Attributes:
        priority: higher comes first, also before other users' jobs; a submission starts with
            `DEFAULT_PRIORITY`, and only an administrator may ask for more.
        instances: most runners at a time; 0 means the plan's limit. When it shrinks, surplus
            runners end after the frame they are at.
    """

    priority: int | None = Field(default=None, ge=0, le=100)
    instances: int | None = Field(default=None, ge=0, le=100_000)


class Job(Answer):
    """A job as it is now.

    Attributes:
        id: the farm's id of the job; unique everywhere.
        client_id: the id chosen by its sender (`JobSpec.id`).
        message: what it waits for, or why it failed, and how many of its frames look wrong; ""
            when there is nothing to say.
        reason: what the message is about; "" for something that `JobReason` does not have, or when
            the farm is older than reasons.
        warnings: what was accepted but looks wrong, such as unknown parameters.
        frames_*: counts; total = done + failed + running + waiting. Flagged ones are done, but look
            wrong.
        priority: higher comes first.
        instances: most runners at a time; the plan's limit unless the job sets its own.
        credits: what its machine time has cost up to the last sign of life of its runners, also
            that of frames that failed or are being rendered. It falls only with a refund, or when a
            renderer gets no licence.
        started_at, finished_at: UTC; None when that has not happened yet.
    """

    id: Id
    client_id: str = ""
    submission_id: Id
    project: str
    submission_name: str
    name: str
    app: str
    app_version: str
    operation: str = ""
    state: JobState
    message: str
    reason: Annotated[JobReason, BeforeValidator(_known)] = JobReason.NONE
    warnings: Annotated[list[str], FirstFault]
    frames_total: Count
    frames_done: Count
    frames_failed: Count
    frames_running: Count
    frames_flagged: Count = 0
    priority: Int64 = DEFAULT_PRIORITY
    instances: Int64 = 0
    machine_type: str = ""
    credits: float
    output_folder: str
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Submission(Answer):
    """One `submit_project` of a project, with its jobs in the given order."""

    id: Id
    project: str
    name: str
    output_folder: str
    submitted_at: datetime
    jobs: Annotated[list[Job], FirstFault]


class SubmissionCheck(Answer):
    """The answer of `check` when it finds no mistakes."""

    warnings: Annotated[list[str], FirstFault] = []


class JobList(Answer):
    """``GET /v1/jobs``: newest submission first.

    Attributes:
        more: there are more: give the last one's id as ``before``.
    """

    jobs: Annotated[list[Job], FirstFault]
    more: bool = False


class Task(Answer):
    """One claim of frames by one runner: what it did, and how it ended.

    Attributes:
        id: also the parameter ``task`` of `GET /v1/jobs/{job_id}/log`.
        host: the machine; "" when not known.
        frames: as text ("1-24, 30"); long lists are cut.
        outcome: "running", or how its runner ended it: "completed", "failed", "lost", "stopped" or
            "no_licence".
        failed: it ended without all its frames, unasked; also when its runner reported it as
            completed. Farms older than this field never set it.
        message: why it ended without all its frames; "" when there is nothing to say.
        exit_code: of the renderer; -N when signal N ended it, None while it runs and when it
            never ran.
        marker: the line of the renderer's output that made it fail; "" if it failed for another
            reason.
        ended_at: UTC; None while it runs.
    """

    id: str
    runner_id: str
    host: str
    frames: str
    frames_total: Count
    frames_done: Count
    outcome: str
    failed: bool = False
    message: str
    exit_code: Int64 | None
    marker: str
    started_at: datetime
    ended_at: datetime | None


class TaskList(Answer):
    """``GET /v1/jobs/{job_id}/tasks``: newest first."""

    tasks: Annotated[list[Task], FirstFault]


class JobLog(Answer):
    """``GET /v1/jobs/{id}/log``: the runners' log, oldest line first.

    Attributes:
        text: from `after` on.
        cursor: the next `after`.
    """

    text: str
    cursor: Int64
