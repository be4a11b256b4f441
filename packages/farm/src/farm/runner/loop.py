"""A runner's life: read the job, stage its files once, then claim after claim."""

import contextlib
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from farm_protocol.runner import (
    Claim,
    ClaimRequest,
    EndedClaim,
    HostLimits,
    Program,
    RunnerJob,
    SandboxMode,
    report_of,
)

from farm.confine import AccountError, UndecidedError, borrowed, probe
from farm.products import ProductError, Template
from farm.renderers import (
    Discovery,
    Renderer,
    RendererError,
    choose,
)
from farm.runner.claim.run import ClaimOver, ClaimRun, End, Measured, finish_unrendered, give_back
from farm.runner.failure import Failure
from farm.runner.farm_client import (
    ClaimLostError,
    Farm,
    NotWelcomeError,
    RefusedError,
    ReportError,
)
from farm.runner.limits import cgroups
from farm.runner.limits.amounts import limits_of
from farm.runner.limits.cgroups import Group, GroupError
from farm.runner.limits.usage import this_machine, this_machine_holds
from farm.runner.limits.watch import Confinement
from farm.runner.plugins import count_missing, with_colours, with_other_programs, with_versions
from farm.runner.results.delivery import Results
from farm.runner.results.image_checks import ImageChecks
from farm.runner.sandbox.confinement import (
    Sandbox,
    SandboxError,
    required,
    set_up,
    undecided,
)
from farm.runner.sandbox.licences import Licences
from farm.runner.stage import InterruptedStageError, StageError, explain, keep_waiting
from farm.runner.surroundings import Surroundings
from farm.runner.workplace import Workplace

log = logging.getLogger("farm.runner")

_HOST = socket.gethostname()[:255]

OK, FAILED = 0, 1
"""Exit codes of a runner: nothing left to do or told to end; could not work or lost the farm."""

_READABLE = 0o022
_UNDECIDED_SECONDS, _UNDECIDED_PAUSE_SECONDS = 30.0, 3.0
"""How long a runner waits for certainty about a sandbox, and between two attempts. After that its
claim goes to another one, which starts over.
"""


@dataclass(frozen=True)
class _Ready:
    job: RunnerJob
    template: Template
    renderer: Renderer
    place: Workplace
    surroundings: Surroundings
    confinement: Confinement
    sandbox: Sandbox
    licences: Licences | None
    warnings: list[str]
    results: type[Results] = Results


def work(
    farm: Farm,
    work_dir: Path,
    discovery: Discovery,
    sandbox: SandboxMode | None,
    stopping: threading.Event,
    render_user: str = "",
    checks: ImageChecks | None = None,
    results: type[Results] = Results,
) -> int:
    """Work on the job of the farm's token until nothing is left; return an exit code.

    Parameters:
        work_dir: existing or future folder, in which the runner creates and removes its own.
        discovery: the programs that this machine has.
        sandbox: whether renderers run in one; None: the farm decides.
        stopping: set from outside to end soon.
        render_user: name of the renderers' account when this is root; "" for an exclusive one.
        checks: checks the images; None creates one for this job. It is closed in any case.
        results: what becomes of frames that are rendered.
    """
    checks = checks or ImageChecks(sandbox or "auto")
    try:
        # The project is staged and the renderer loads while the farm answers.
        checks.warm_up()
        job = farm.job()
        with contextlib.ExitStack() as afterwards:
            ready: _Ready | Failure | str
            ended: int | Failure | str
            try:
                account = afterwards.enter_context(borrowed(render_user))
                if account is not None:
                    os.umask(_READABLE)  # The account must be able to read the staged files.
                place = Workplace.create(work_dir, job.job_id, account)
                afterwards.callback(place.remove)
                mode = sandbox or job.sandbox
                ready = _prepare(farm, job, place, discovery, mode, afterwards, stopping)
            except AccountError as error:
                ready = Failure(str(error), False)
            except UndecidedError as error:
                ready = undecided(error)
            except OSError as error:
                message = explain(error, f"The work folder {work_dir} is not usable")
                ready = Failure(message, False)
            if isinstance(ready, _Ready):
                checks.allow(ready.confinement.limits.memory_bytes)
                programs = _programs(discovery)
                ready = replace(ready, results=results)
                ended = _claims(farm, ready, checks, programs, sandbox is None, stopping)
            else:
                ended = ready
        # Only now: if this job is what fills the disk, the farm cannot even record the report.
        return ended if isinstance(ended, int) else _give_up(farm, ended, _programs(discovery))
    except InterruptedStageError:
        return OK
    except NotWelcomeError as error:
        # The usual end of a job that was stopped or deleted while this runner was between claims.
        log.info("The farm no longer needs this runner: %s", error)
        return OK
    except (ReportError, RefusedError) as error:
        log.error("%s", error)  # noqa: TRY400 - a message, not a bug
        return FAILED
    finally:
        checks.close()


def _prepare(
    farm: Farm,
    job: RunnerJob,
    place: Workplace,
    discovery: Discovery,
    mode: SandboxMode,
    afterwards: contextlib.ExitStack,
    stopping: threading.Event,
) -> _Ready | Failure:
    """Find the renderer, set up its sandbox, stage the project.

    A failure becomes the first claim's end.

    Parameters:
        afterwards: collects what must be done when nothing renders any more.

    Raises:
        farm.confine.UndecidedError: it is unknown whether there is a sandbox.
        OSError: the work folder is not usable.
    """
    if mode != "off":
        # First: without room for a sandbox, no program can be asked for its version either.
        _decide(farm, stopping)
    try:
        template = discovery.library.template(job.template)
        renderer = _chosen(job, template, discovery)
        plugins, other_plugins = with_versions(job, renderer)
    except (ProductError, RendererError) as error:
        return Failure(str(error), False)
    try:
        renderer = renderer.with_program(template.program)
        confinement = _confinement(job, place, afterwards)
        licences = _licences(job, template, plugins, mode, place)
        if licences is not None:
            afterwards.callback(licences.close)
        sandbox = set_up(
            mode,
            place,
            renderer,
            template,
            gpu=job.gpu,
            limits=confinement.limits,
            plugins=plugins,
            licences=licences,
            watched=confinement.group is None,
        )
        if not sandbox.apart:
            place = place.within_reach()
        surroundings = Surroundings(farm, job, place, sandbox.layered, stopping)
        surroundings.bring()
    except StageError as error:
        return Failure(str(error), error.permanent)
    except (RendererError, SandboxError, GroupError) as error:
        return Failure(str(error), False)
    warnings = [sandbox.warning, _other_version(job, renderer), *other_plugins]
    job = job.model_copy(update={"plugins": plugins})
    file = place.keep(confinement.orders(sandbox.prefix, sandbox.apart, sandbox.programs))
    sandbox = replace(sandbox, file=file, mode=mode)
    return _Ready(
        job=job,
        template=template,
        renderer=renderer,
        place=place,
        surroundings=surroundings,
        confinement=confinement,
        sandbox=sandbox,
        licences=licences,
        warnings=[each for each in warnings if each],
    )


def _chosen(job: RunnerJob, template: Template, discovery: Discovery) -> Renderer:
    """Return the renderer of a job, with the other programs that it needs. Raises RendererError."""
    renderer = choose(
        discovery.of(template.app),
        template.app,
        job.app_version,
        lambda each: count_missing(each, template, job),
        discovery.library,
    )
    if renderer is None:
        raise RendererError(_has_none(job))
    renderer = with_other_programs(renderer, template, job, discovery)
    renderer = with_colours(renderer, template, job, discovery)
    for each in (renderer, *(other.program for other in renderer.found if other.program)):
        log.info("%s %s, %s.", each.app, each.version, each.how_found)
    return renderer


def _confinement(job: RunnerJob, place: Workplace, afterwards: contextlib.ExitStack) -> Confinement:
    """Return what confines the job's renderers. Raises GroupError: a group is required."""
    limits = limits_of(job.limits, this_machine(place.root))
    group = Group.make(limits)
    if group is not None:
        afterwards.callback(group.remove)
    elif job.limits_mode == "required":
        raise GroupError(cgroups.required())
    return Confinement(limits, place.root / "renderer.pid", group)


def _decide(farm: Farm, stopping: threading.Event) -> None:
    """Find out whether there is a sandbox; wait while that is unknown, but not for ever.

    Raises:
        farm.confine.UndecidedError: it was unknown for half a minute.
        InterruptedStageError: the runner is to end, as ``stopping`` or the farm says.
    """
    until = time.monotonic() + _UNDECIDED_SECONDS
    while True:
        try:
            probe()
        except UndecidedError as error:
            if time.monotonic() > until:
                raise
            log.warning("%s", undecided(error))
        else:
            return
        keep_waiting(farm)
        if stopping.wait(_UNDECIDED_PAUSE_SECONDS):
            raise InterruptedStageError


def _licences(
    job: RunnerJob, template: Template, plugins: list[str], mode: SandboxMode, place: Workplace
) -> Licences | None:
    """Return the relays to the job's licence servers; None without servers or sandbox."""
    wanted = template.licences or any(each.licences for each in template.needs_of(plugins))
    if not wanted or not job.licence_servers or mode == "off" or probe():
        return None
    return Licences(job.licence_servers, place.root)


def _has_none(job: RunnerJob) -> str:
    version = f"{job.app} {job.app_version}".rstrip()
    return f"The render machine does not have {version}. Install it, or give its path."


def _other_version(job: RunnerJob, renderer: Renderer) -> str:
    """Return a remark about the renderer's version for the job's owner; "" for the exact one."""
    if job.app_version in ("", renderer.version):
        return ""
    return (
        f"A render machine does not have {job.app} {job.app_version}. It renders with"
        f" {renderer.version}, of the same series."
    )


def _give_up(farm: Farm, why: Failure | str, programs: list[Program]) -> int:
    """Report to the farm through a claim, since only that shows the reason to the job's owner.

    Parameters:
        why: a message for a temporary condition that is nobody's failure.
    """
    log.error("%s", why.message if isinstance(why, Failure) else why)
    claim = farm.claim(ClaimRequest(host=_HOST, programs=programs))
    if claim.claim_id is None:
        return FAILED
    if isinstance(why, Failure):
        finish_unrendered(farm, claim.claim_id, why)
    else:
        give_back(farm, claim.claim_id, why)
    return FAILED


def _now_required() -> str:
    try:
        return required(probe())
    except UndecidedError as error:
        return undecided(error)


def _programs(discovery: Discovery) -> list[Program]:
    """Return the programs to report: nothing is started that the job did not need.

    Several of one version are merged: a job gets the one that has its plug-ins.
    """
    plugins: dict[tuple[str, str], list[str]] = {}
    for each in discovery.found():
        plugins.setdefault((each.app, each.version), []).extend(each.plugins)
    return [report_of(*program, dict.fromkeys(has)) for program, has in plugins.items()]


def _claims(
    farm: Farm,
    ready: _Ready,
    checks: ImageChecks,
    programs: list[Program],
    obeys: bool,
    stopping: threading.Event,
) -> int | Failure:
    """Work on claims; return an exit code, or why the files cannot be restored for another one.

    Parameters:
        obeys: the farm decides whether renderers run in a sandbox, and may change its decision.
    """
    measured = Measured()
    warnings = ready.warnings
    ended: EndedClaim | None = None
    failure: Failure | None = None
    held: HostLimits | None = this_machine_holds(ready.sandbox.works)
    while not stopping.is_set():
        try:
            failure = _restore_project(ready.surroundings)
        except InterruptedStageError:
            break
        if failure is not None:
            break
        claim = farm.claim(
            ClaimRequest(
                startup_seconds=measured.startup_seconds,
                frame_seconds=measured.frame_seconds,
                host=_HOST,
                warnings=warnings,
                programs=programs,
                limits=held,
                ended=ended,
            )
        )
        programs, held = [], None  # The farm remembers.
        if claim.claim_id is None:
            log.info("Nothing left: %s", claim.reason)
            return OK
        log.info("Claim %s: %d frames.", claim.claim_id, len(claim.frames))
        if claim.sandbox_required and obeys and not ready.sandbox.works:
            # It has become mandatory while this runner was at work: the next one checks everything
            # again.
            finish_unrendered(farm, claim.claim_id, Failure(_now_required(), False))
            return FAILED
        if claim.limits_required and ready.confinement.group is None:
            finish_unrendered(farm, claim.claim_id, Failure(cgroups.required(), False))
            return FAILED
        over = _render(farm, ready, claim, checks, stopping)
        ended, measured = over.ended, over.measured
        # All frames of a scene report the same.
        warnings = [*ready.warnings, *over.warnings]
        log.info("Claim %s: %s.", claim.claim_id, over.end.name.lower())
        if over.end is End.GONE:
            return FAILED
    if ended is not None:
        with contextlib.suppress(ClaimLostError):
            farm.finish(ended)
    return OK if failure is None else failure


def _render(
    farm: Farm, ready: _Ready, claim: Claim, checks: ImageChecks, stopping: threading.Event
) -> ClaimOver:
    """Work on a claim until it is over."""
    run = ClaimRun(
        farm,
        ready.job,
        claim,
        ready.template,
        ready.renderer,
        ready.place,
        ready.sandbox,
        ready.confinement,
        checks,
        stopping,
        ready.results,
    )
    over = run.run()
    if ready.licences is not None:
        ready.licences.sandbox_ended()
    return over


def _restore_project(surroundings: Surroundings) -> Failure | None:
    """Restore the project's files for a claim as submitted; return why that is impossible.

    Raises:
        InterruptedStageError: the runner is being stopped.
    """
    try:
        surroundings.bring()
    except StageError as error:
        return Failure(str(error), error.permanent)
    except OSError as error:
        # The disk is full, or processes left by an earlier claim are still writing there.
        what = "The project's files could not be restored for this claim"
        return Failure(explain(error, what), False)
    return None
