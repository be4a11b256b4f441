"""What Envoy's own calls answer: to ``envoy status``, to the client library, and to pages."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from farm_protocol.jobs import Job, JobReason, JobState
from farm_protocol.models import Answer
from pydantic import PlainSerializer, WithJsonSchema

from envoy.journal import EntryState
from envoy.process.status_messages import Reason

Moment = Annotated[
    datetime,
    PlainSerializer(datetime.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time with its offset written in digits (``+00:00``), which any ISO parser reads."""


class Health(Answer):
    """``GET /envoy/health``: who this is.

    Attributes:
        farm_url: "" while an embedded farm is not running.
        signed_in_as: e-mail address; "" while nobody is signed in.
    """

    service: Literal["envoy"]
    version: str
    pid: int
    data_dir: str
    farm_url: str
    signed_in_as: str


class Stopping(Answer):
    """``POST /envoy/stop``: the shutdown has begun."""

    stopping: bool


class DownloadsView(Answer):
    """How the results of a submission come home.

    Attributes:
        files_done: in place, or replaced.
        files_replaced: of which a submission that was made later has the same files in its place.
        folders: local ones that they go to.
        message: why they pause, or why one of them failed; "" when there is nothing to say.
        reason: what the message is about, for programs.
    """

    files_total: int
    files_done: int
    files_failed: int
    files_replaced: int = 0
    bytes_done: int
    bytes_total: int
    folders: list[str]
    message: str
    reason: Reason = Reason.NONE


class SubmissionView(Answer):
    """A submission, from its upload to the last downloaded file.

    Attributes:
        name: "" for a bare upload.
        message: why it failed, or what it waits for; "" otherwise.
        reason: what the message is about, for programs; "" also where it was said by an Envoy of
            before there were reasons.
        warnings: what looks wrong about the submission itself; those of its jobs are in the jobs.
        bytes_done, bytes_total: of its upload.
        jobs: as the farm last told, in the farm's own words.
        submitted_at: UTC.
    """

    submission_id: str
    project: str
    name: str
    state: EntryState
    message: str
    reason: Reason = Reason.NONE
    warnings: list[str]
    bytes_done: int
    bytes_total: int
    jobs: list[Job]
    downloads: DownloadsView
    submitted_at: Moment


class Activity(Answer):
    """``GET /envoy/activity``: what Envoy is doing, newest submission first.

    Attributes:
        waiting_for: one message that says what holds Envoy up, or "".
        waits_for: what that message is about, for programs.
        problems: what of Envoy's own memory is damaged and left out, in messages.
    """

    submissions: list[SubmissionView]
    waiting_for: str
    waits_for: Reason = Reason.NONE
    problems: list[str]


class JobView(Answer):
    """A job, with the fields that the client library documents for `get_jobs`.

    Attributes:
        id: the farm's; before the farm has the job, the one that the client gave it.
        state: the farm's; before the farm has the job, that of its submission.
        message: what it waits for, or why it failed; "" when there is nothing to say.
        reason: what the message is about, for programs: the farm's reason; before the farm has the
            job, Envoy's.
        submission: its name.
    """

    id: str
    name: str
    app: str
    app_version: str
    operation: str
    state: JobState | EntryState
    message: str
    reason: JobReason | Reason
    warnings: list[str]
    frames_done: int
    frames_failed: int
    frames_flagged: int
    frames_total: int
    credits: float
    submission: str


class ProjectJobs(Answer):
    """``GET /envoy/projects/{name}/jobs``: newest submission first."""

    jobs: list[JobView]


class ResultState(StrEnum):
    """Where a result is. ``remote``: on the farm, and not on its way."""

    REMOTE = "remote"
    WAITING = "waiting"
    DOWNLOADED = "downloaded"
    FAILED = "failed"


class ResultView(Answer):
    """A result file, with the fields that the client library documents for `get_results`.

    Attributes:
        name: remote path, with its leading slash.
        frame: None when it is not of one frame.
        local_path: where it is or will be; None when no watch wants it.
        submission: its name.
    """

    name: str
    size: int
    frame: int | None
    job_id: str
    state: ResultState
    local_path: str | None
    submission: str


class ProjectResults(Answer):
    """``GET /envoy/projects/{name}/results``: newest submission first."""

    results: list[ResultView]


class ProgressState(StrEnum):
    """How far a submission is, in one word. ``unknown``: Envoy knows no such project."""

    UNKNOWN = "unknown"
    UPLOADING = "uploading"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


class StoppedUploads(Answer):
    """``POST /envoy/projects/{name}/stop-uploads``. ``stopped``: how many there were."""

    stopped: int


class ProjectProgress(Answer):
    """``GET /envoy/projects/{name}/progress``: how far the newest submission has come.

    Attributes:
        submission: its name; "" for a bare upload, and for an unknown project.
        reason: what the message is about, for programs.
        bytes_done, bytes_total: of its upload.
        files_done, files_total: of its downloads.
    """

    project: str
    submission: str = ""
    state: ProgressState
    message: str = ""
    reason: Reason = Reason.NONE
    warnings: list[str] = []
    bytes_done: int = 0
    bytes_total: int = 0
    frames_done: int = 0
    frames_total: int = 0
    files_done: int = 0
    files_total: int = 0
    jobs: list[JobView] = []
