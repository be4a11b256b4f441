"""Messages between runners and the farm.

A runner authenticates with ``Authorization: Bearer <runner token>``: a token for one job that
expires. Every call about a claim answers 410 ``claim_lost`` when the claim is no longer the
runner's; it must then kill its renderer and forget the claim.

    GET  /v1/runner/job                      RunnerJob: what to render, with which files
    POST /v1/runner/heartbeat                Heartbeat -> HeartbeatAnswer: it is still preparing
                                             its first claim, and progressing
    POST /v1/runner/claims                   ClaimRequest -> Claim: frames to render, or none left;
                                             ends the claim before at the same time
    POST /v1/runner/claims/{id}/heartbeat    Heartbeat -> HeartbeatAnswer
    PUT  /v1/runner/blobs/{hash}             bytes of a result
    POST /v1/runner/claims/{id}/frames       FrameDone: one frame is finished and its blobs sent
    POST /v1/runner/claims/{id}/log          LogChunk
    POST /v1/runner/claims/{id}/finish       Finish: ends the claim; no other is wanted
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from farm_protocol.files import BlobHash, FileSize, KnownFile, RemotePath, Ticket
from farm_protocol.frames import FlagCode, FrameFlag, Picture
from farm_protocol.models import Answer, FirstFault, Int32, Request, Seconds
from farm_protocol.text import Id, Printable, Told

CLAIM_TIMEOUT_SECONDS = 12.0
"""A claim without a sign of life for this long returns to the pool. The farm checks every 2 s: a
lost runner is noticed within 15 s. Longer silence is never charged.
"""

HEARTBEAT_SECONDS = 2.0
"""How often a runner reports while it renders."""

IDLE_TIMEOUT_SECONDS = 300.0
"""A runner without a claim that is silent for so long hangs, and is stopped. Long enough to copy
one large file; staging several is reported in between.
"""

MAX_OUTPUTS = 100_000
"""Most files of one report: a job that is done as a whole reports all of its files at once."""

TOKEN_VARIABLE = "FARM_RUNNER_TOKEN"  # noqa: S105 - the variable's name, not a token
"""Where a runner finds its token unless it comes on its standard input."""


class RunnerOrder(Answer):
    """The farm that a runner works for: a line of JSON on its standard input.

    Attributes:
        farm: the farm's address.
        token: valid for one job.
    """

    farm: str
    token: str = Field(repr=False)


class PlugInChoice(Answer):
    """What a runner may use for a plug-in without a version.

    Attributes:
        ranges: of versions that work with the job's version of the product: ``all``, the beginning
            of a version, or two of them with ``..`` between.
        newest: the newest version that the farm knows; "" when it knows none.
    """

    ranges: list[str]
    newest: str


class Enforcement(StrEnum):
    """Who enforces a limit on renderers.

    KERNEL: nothing can exceed the limit. WATCHED: the runner checks, and ends renderers that exceed
    it.
    """

    KERNEL = "kernel"
    WATCHED = "watched"


class HostLimits(Request):
    """How a machine enforces renderers' limits.

    Attributes:
        disk: everything that they write.
        end: who ends all processes that they have started when their claim ends. Where they are
            only watched, a hostile scene's processes may outlive it, without limits. None: an older
            runner did not say.
    """

    memory: Enforcement
    processes: Enforcement
    file_size: Enforcement
    disk: Enforcement
    cpu: Enforcement
    end: Enforcement | None = None


class JobLimits(Answer):
    """How much of its machine a job's renderers may use; None: the runner derives it.

    Attributes:
        memory_bytes: of RAM.
        processes: processes and threads at a time.
        file_bytes: size of one file.
        disk_bytes: of everything that they write, while it exists.
        files: that they write, while they exist.
        frame_cpu_seconds: processor time of one frame, summed over processors.
        slots: runners that share a machine.
    """

    memory_bytes: int | None = None
    processes: int | None = None
    file_bytes: int | None = None
    disk_bytes: int | None = None
    files: int | None = None
    frame_cpu_seconds: float | None = None
    slots: int = Field(default=1, ge=1)


class LicenceServer(Answer):
    """A server that renderers may reach for their licences, as its name is known there."""

    host: str
    port: int = Field(ge=1, le=65535)


SandboxMode = Literal["auto", "required", "off"]
"""``auto``: a sandbox where possible, else a warning; ``required``: no work without one."""

LimitsMode = Literal["auto", "required"]
"""``auto``: limits are held as well as the machine can; ``required``: no work without a control
group that counts a renderer's memory."""

MOST_TICKETS = 500
"""Limit on tickets per request: they expire, so files that are fetched last are requested last."""


class DiskSource(Answer):
    """A folder of the account's blobs, on a disk that the runner shares with the farm.

    ``<folder>/<first two hex digits>/<hash>`` is a blob to hard-link from.
    """

    kind: Literal["disk"] = "disk"
    folder: str


class TicketSource(Answer):
    """``POST /v1/runner/tickets`` tells where to fetch each blob."""

    kind: Literal["tickets"] = "tickets"


class TicketsRequest(Request):
    """``POST /v1/runner/tickets``: blobs of the runner's job."""

    hashes: Annotated[list[BlobHash], FirstFault] = Field(max_length=MOST_TICKETS)


class Tickets(Answer):
    """Where to fetch each of these blobs: relative to the runner API, or elsewhere.

    A URL elsewhere works for anyone who has it, for some minutes, and must not get the runner's
    token.
    """

    tickets: Annotated[list[Ticket], FirstFault]


class RunnerJob(Answer):
    """The job that a runner's token is for.

    Attributes:
        template: name of the OpenJD template, as ``<app>_<operation>``.
        scene: remote path of the scene.
        parameters: the documented parameters after validation, defaults filled in.
        plugins: ``<code>`` or ``<code>:<version>``.
        plugin_choices: code of each plug-in without a version -> what may be used for it.
        unseen_plugins: those of ``plugins`` that are known to exist although no runner finds them.
        gpu: the job's machine type has GPUs, which the job may use.
        files: what to stage: the project's manifest, and results of other jobs. If a path occurs
            twice, the last one counts.
        limits: what its renderers may use of their machine.
        licence_servers: the only servers that its renderers may reach over the network.
        sandbox: whether its renderers run in one.
        limits_mode: whether its renderers need a control group.
        output_folder: remote folder that every output's path begins with.
        source: where the bytes of ``files`` come from.
    """

    job_id: str
    name: str
    app: str
    app_version: str
    operation: str
    template: str
    scene: str
    parameters: dict[str, JsonValue]
    plugins: list[str]
    files: list[KnownFile]
    output_folder: str
    source: Annotated[DiskSource | TicketSource, Field(discriminator="kind")]
    plugin_choices: dict[str, PlugInChoice] = {}
    unseen_plugins: list[str] = []
    gpu: bool = False
    limits: JobLimits = JobLimits()
    licence_servers: list[LicenceServer] = []
    sandbox: SandboxMode = "auto"
    limits_mode: LimitsMode = "auto"


class Program(Request):
    """A program on a runner's machine.

    Attributes:
        app: the product's short code.
        plugins: ``<code>:<version>`` of those that it can load.
    """

    app: Printable = Field(max_length=100)
    version: Printable = Field(max_length=100)
    plugins: Annotated[list[Annotated[Printable, Field(max_length=200)]], FirstFault] = Field(
        default=[], max_length=100
    )


def report_of(app: str, version: str, plugins: Iterable[str]) -> Program:
    """Return what is reported about a program, which may say anything about itself."""
    return Program(
        app=_shown(app, 100),
        version=_shown(version, 100),
        plugins=[_shown(each, 200) for each in plugins][:100],
    )


def _shown(text: str, most: int) -> str:
    return "".join(filter(str.isprintable, text))[:most]


MAX_PROGRAMS = 200
"""Most programs that a machine reports."""


class Outcome(StrEnum):
    """How a claim ended. Frames without a FrameDone return to the pool or count as failed.

    NO_LICENCE: the renderer got no licence; no frame counts as failed, and the job tries again
    later.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    NO_LICENCE = "no_licence"


class Finish(Request):
    """The end of a claim.

    Attributes:
        message: why it failed, for people; "" when it did not.
        frame: the frame that failed, or was being rendered when the renderer ended; None between
            frames, and when none was started. Only this one is blamed.
        exit_code: of the renderer; -N when signal N ended it, None when it never ran.
        permanent: retrying cannot help (missing texture, corrupt scene): fail the job's frames now
            instead of retrying them.
        marker: the line of the renderer's output that made it fail; "" if it failed for another
            reason.
        processor_seconds: processor time that the renderer and its child processes have used; None
            when it was not measured. It counts where the outcome is `Outcome.NO_LICENCE`.
    """

    outcome: Outcome
    message: Told = Field(default="", max_length=2000)
    frame: Int32 | None = None
    exit_code: Int32 | None = None
    permanent: bool = False
    marker: Told = Field(default="", max_length=2000)
    processor_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class EndedClaim(Request):
    """A claim that ends, reported together with the request for the next one."""

    claim_id: Id
    finish: Finish


Warnings = Annotated[
    list[Annotated[Told, Field(max_length=2000)]], FirstFault, Field(max_length=20)
]


class ClaimRequest(Request):
    """Requests frames, and reports what the last claim measured (None when not known).

    Attributes:
        programs: of this machine, as far as the runner looked for them; reported with its first
            claim, and believed with no other: scenes run from then on.
        host: name of the machine that the runner is on; "" when not known. The first claim's
            counts, unless the engine knows better.
        limits: how that machine enforces renderers' limits; reported with the first claim, and
            believed with no other.
        startup_seconds: from starting the renderer to its first frame's start.
        frame_seconds: mean time of a frame.
        warnings: messages about this machine for the job's owner; the job shows each once.
        ended: the runner's previous claim. One that is no longer its own is ignored: the call may
            be a repetition.
    """

    startup_seconds: Seconds | None = None
    frame_seconds: Seconds | None = None
    host: Printable = Field(default="", max_length=255)
    warnings: Warnings = []
    programs: Annotated[list[Program], FirstFault] = Field(default=[], max_length=MAX_PROGRAMS)
    limits: HostLimits | None = None
    ended: EndedClaim | None = None


class Claim(Answer):
    """``claim_id`` None: nothing is left for this runner; it ends, for the given reason.

    ``sandbox_required``: a sandbox has become mandatory since the runner read its job.
    ``limits_required``: so has a control group.
    """

    claim_id: str | None
    frames: list[int]
    reason: str = ""
    sandbox_required: bool = False
    limits_required: bool = False


class RunnerCommand(StrEnum):
    """What the farm tells a runner to do.

    YIELD: let the frame that is being rendered finish, then end the claim with the outcome
    ``stopped`` and request another one, which there may not be.
    """

    CONTINUE = "continue"
    YIELD = "yield"
    STOP = "stop"


class Heartbeat(Request):
    """``frame``: the frame of the claim that is being rendered; None between frames.

    ``waiting_seconds``: how long, since the renderer ended, the runner has been waiting for the
    farm to accept a result, without a break. It costs nothing, within bounds.
    """

    frame: Int32 | None = None
    waiting_seconds: Seconds = 0.0


class HeartbeatAnswer(Answer):
    """STOP: kill the renderer, then finish with the outcome ``stopped``."""

    command: RunnerCommand


class OutputFile(Request):
    """One file of a frame, whose blob has been sent before."""

    path: RemotePath
    hash: BlobHash
    size: FileSize


class FrameDone(Request):
    """A frame whose files exist, decode and have been sent. Sending it twice is harmless.

    Attributes:
        seconds: machine time of this frame as the runner saw it; the first frame's includes the
            renderer's start-up. The farm charges by its own clock.
        flags: what its picture alone shows. Those about other frames are ignored.
        picture: what the farm compares with neighbouring frames; None when there is nothing to
            compare: a job that is done as a whole, a file that is not an image.
        waiting_seconds: as of a `Heartbeat`.
        warnings: of the renderer so far, as in a `ClaimRequest`: whoever waits for the job's last
            frame must find them with it.
    """

    frame: Int32
    seconds: Seconds
    outputs: Annotated[list[OutputFile], FirstFault] = Field(min_length=1, max_length=MAX_OUTPUTS)
    flags: list[FrameFlag] = Field(default=[], max_length=len(FlagCode))
    picture: Picture | None = None
    waiting_seconds: Seconds = 0.0
    warnings: Warnings = []


MAX_CLAIM_LOG = 6_000_000
"""Most characters of a claim's log. A runner omits the middle of a longer one."""
MAX_JOB_LOG = 200_000_000
"""Most characters of the logs of all of a job's claims. More is refused."""


class LogChunk(Request):
    """``offset``: characters of this claim's log sent before; makes a repeated chunk harmless."""

    offset: Int32 = Field(ge=0)
    text: Told = Field(max_length=1_000_000)
