"""One claim: the renderer at work, with heartbeat, log and results beside it.

Threads: the caller's waits for the renderer; OpenJD's passes on its lines; ``heartbeat`` keeps the
claim; ``results`` checks and sends finished frames while the renderer continues; the log has its
own. Any of them can end the claim early (claim lost, stop, farm gone) through `_EarlyEnd`, which
kills the renderer.
"""

import contextlib
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from farm_protocol.runner import (
    HEARTBEAT_SECONDS,
    Claim,
    EndedClaim,
    Finish,
    LogChunk,
    Outcome,
    RunnerCommand,
    RunnerJob,
)

from farm.products import SceneError, Template
from farm.renderers import Renderer, environment
from farm.runner.claim.joblog import ClaimLog
from farm.runner.claim.own_names import OwnNames
from farm.runner.claim.parameters import frames_of, values_of
from farm.runner.claim.rendering import Rendering
from farm.runner.claim.scenes import ReadingEndedError
from farm.runner.claim.session import Ended, RenderSession
from farm.runner.claim.verdict import failed, judge
from farm.runner.failure import Failure
from farm.runner.farm_client import (
    GIVE_UP_SECONDS,
    ClaimLostError,
    Farm,
    FarmGoneError,
    NotWelcomeError,
    RefusedError,
    ReportError,
)
from farm.runner.limits.usage import cpu_seconds_of_ended
from farm.runner.limits.watch import (
    LOOK_SECONDS,
    Confinement,
    Watch,
    file_too_large,
    unmeasured,
)
from farm.runner.results.delivery import AbandonedError, FrameFiles, Results
from farm.runner.results.image_checks import ImageChecks
from farm.runner.sandbox.confinement import Sandbox
from farm.runner.stage import explain
from farm.runner.workplace import Workplace

log = logging.getLogger("farm.runner")

_POLL_SECONDS = 0.1
_CLOSED = (
    "(Its sandbox reaches no licence server: the farm's catalogue names none for it under"
    " 'licence_servers'.)"
)
_MOST_TOO_MANY = 100
"""Frames that a renderer may report beyond those of its claim before it is ended: each one restarts
its time limit, and costs the runner time.
"""

_MOST_UNSEEN = 3
"""Consecutive failed checks of a renderer's usage, after which it is ended."""

_ENDING_SECONDS = 20.0
"""How long a renderer may take to end after the last frame of its claim: it releases memory and
licences. Less than `farm.jobs.pricing.FREE_ENDING_SECONDS`, after which its time is charged again.
"""


class End(Enum):
    """Why a claim is over."""

    FINISHED = auto()
    """The outcome is known; request another claim."""
    LOST = auto()
    """Another runner has the claim now; request another one."""
    STOPPED = auto()
    """The runner was told to end."""
    GONE = auto()
    """The farm does not answer, or no longer wants this runner."""


@dataclass(frozen=True)
class Measured:
    """Measurements of a claim, for the next `ClaimRequest`; None when unknown."""

    startup_seconds: float | None = None
    frame_seconds: float | None = None


@dataclass(frozen=True)
class ClaimOver:
    """A claim is over.

    Attributes:
        ended: the report for the farm; None when the claim no longer belongs to this runner.
        warnings: messages of the renderer for the job's owner.
    """

    end: End
    ended: EndedClaim | None
    measured: Measured
    warnings: list[str]


class _EarlyEnd:
    """Why the renderer must end early; the first reason stays."""

    def __init__(self) -> None:
        self.end: End | None = None
        self._lock = threading.Lock()

    def decide(self, end: End) -> None:
        with self._lock:
            self.end = self.end or end

    def follow(self, error: ReportError) -> None:
        self.decide(End.LOST if isinstance(error, ClaimLostError) else End.GONE)


class ClaimRun:
    """Works on one claim. Use once."""

    def __init__(
        self,
        farm: Farm,
        job: RunnerJob,
        claim: Claim,
        template: Template,
        renderer: Renderer,
        place: Workplace,
        sandbox: Sandbox,
        confinement: Confinement,
        checks: ImageChecks,
        stopping: threading.Event,
        results: type[Results] = Results,
    ) -> None:
        """Prepare.

        Parameters:
            sandbox: the renderer's sandbox.
            confinement: enforces the renderer's limits.
            checks: checks the images.
            stopping: set when the runner itself is told to end.
            results: what becomes of frames that are rendered.
        """
        assert claim.claim_id is not None
        self._farm, self._claim_id = farm, claim.claim_id
        self._frames = frames_of(job, template, claim.frames)
        self._job, self._template, self._renderer = job, template, renderer
        self._place, self._sandbox, self._stopping = place, sandbox, stopping
        self._early_end = _EarlyEnd()
        self._yielding = False
        self._overstayed = False
        self._told = 0
        self._over = threading.Event()
        self._done: queue.SimpleQueue[FrameFiles | None] = queue.SimpleQueue()
        self._log = ClaimLog(farm, self._claim_id)
        names = OwnNames(job, str(place.project))
        self._rendering = Rendering(
            template, job.parameters, names, self._frames, self._log, self._written
        )
        self._limits = confinement.limits
        self._watch = Watch(confinement, place, len(self._frames), sandbox.works, sandbox.layered)
        self._cpu_before = cpu_seconds_of_ended()
        expected = template.output_files(job.parameters, self._frames)
        self._results = results(
            farm,
            self._claim_id,
            place,
            checks,
            job.output_folder,
            expected,
            claim.frames[0] if template.whole else None,
            most_bytes=self._limits.disk_bytes,
            folders=template.drive is not None and template.drive.folders,
            unwanted=self._is_unwanted,
            warnings=lambda: self._rendering.warnings,
        )

    def run(self) -> ClaimOver:
        """Render the claim's frames and report everything except the claim's end."""
        beat = self._thread("heartbeat", self._heartbeat)
        results = self._thread("results", self._send_results)
        beat.start()
        results.start()
        try:
            ended = self._render()
        except ReadingEndedError:
            ended = Ended(None, None)
        except SceneError as error:
            self._rendering.failure = Failure(str(error), permanent=True)
            ended = Ended(None, None)
        except OSError as error:
            self._rendering.failure = Failure(
                explain(error, "The renderer could not be started"), False
            )
            ended = Ended(None, None)
        except Exception as error:
            # A bug of ours must end the claim with a reason, not run into its time-out.
            log.exception("Claim %s", self._claim_id)
            self._rendering.failure = Failure(f"The runner failed: {error!r}.", False)
            ended = Ended(None, None)
        self._results.rendered()
        self._done.put(None)
        results.join()
        finish = self._finish(ended)
        if finish.outcome is Outcome.COMPLETED:
            finish = self._complete(ended) or finish
        self._over.set()
        beat.join()
        self._close_log(finish)
        measured = Measured(self._rendering.startup_seconds, self._rendering.frame_seconds)
        return ClaimOver(
            self._early_end.end or End.FINISHED,
            self._ended(finish),
            measured,
            self._rendering.warnings,
        )

    def _render(self) -> Ended:
        self._place.clear()
        values = values_of(
            self._job,
            self._template,
            self._renderer,
            self._place,
            self._sandbox,
            self._frames,
            self._limits,
            self._is_over,
        )
        self._place.hand_over()
        session = RenderSession(
            f"claim-{self._claim_id}",
            self._template,
            values,
            self._place.session,
            lambda line: self._guarded(self._rendering.line, line),
            environment(self._renderer.found, self._job.plugins, os.environ),
        )
        rendered = threading.Event()
        looking = self._thread("limits", self._hold, rendered)
        session.start()
        looking.start()
        try:
            while not session.wait(_POLL_SECONDS):
                self._rendering.check_time()
                self._overstayed = self._overstayed or self._is_overdue()
                if self._is_over() or self._overstayed or self._rendering.condemned:
                    session.kill()
        finally:
            rendered.set()
            looking.join()
        ended = session.close()
        self._place.stop_leftovers()
        if failure := self._limit_hit(ended):
            self._rendering.condemn(failure)
        return ended

    def _is_over(self) -> bool:
        """Return whether this claim must end early."""
        if self._stopping.is_set():
            self._early_end.decide(End.STOPPED)
        return self._early_end.end is not None

    def _is_unwanted(self) -> bool:
        """Return whether nobody awaits results any more."""
        return self._stopping.is_set() or self._early_end.end in (End.LOST, End.GONE)

    def _is_overdue(self) -> bool:
        """Return whether the renderer keeps working for long after the last frame of its claim.

        A job that is done as a whole may report less than it writes.
        """
        since = self._rendering.complete_since
        if since is None or self._template.whole:
            return False
        return time.monotonic() - since > _ENDING_SECONDS

    def _hold(self, rendered: threading.Event) -> None:
        """End the renderer when it uses too much. In a separate thread: checks may take long."""
        unseen = 0
        while not rendered.wait(LOOK_SECONDS):
            try:
                failure, unseen = self._watch.look(), 0
            except Exception as error:
                log.exception("Claim %s", self._claim_id)
                # A process that ends during a check may make it fail once, but not each time.
                unseen += 1
                failure = unmeasured(error) if unseen >= _MOST_UNSEEN else None
            if failure is not None:
                # Before anything else ends its first process, through which the others are found.
                self._watch.kill()
                self._rendering.condemn(failure)

    def _thread(self, name: str, work: Callable[..., None], *arguments: object) -> threading.Thread:
        return threading.Thread(
            target=self._guarded, args=[work, *arguments], name=name, daemon=True
        )

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        """Run a thread's work: a bug of ours in it must end the claim, not only the thread."""
        try:
            work(*arguments)
        except Exception as error:
            log.exception("Claim %s", self._claim_id)
            self._rendering.condemn(Failure(f"The runner failed: {error!r}.", False))

    def _limit_hit(self, ended: Ended) -> Failure | None:
        """Return which limit the kernel has enforced; None: none."""
        if ended.signal is not None and ended.signal == getattr(signal, "SIGXFSZ", None):
            return file_too_large(self._limits)
        return self._watch.kernel_failure()

    def _written(self, frame: FrameFiles) -> None:
        """Queue a frame for sending. Runs in OpenJD's thread."""
        self._told += 1
        if self._told > len(self._frames) + _MOST_TOO_MANY:
            self._rendering.condemn(
                Failure("The renderer reported more frames than it was asked for.", False)
            )
        self._done.put(frame)
        if self._may_yield:
            # The next frame has hardly started: nothing is lost with the renderer.
            self._early_end.decide(End.FINISHED)

    def _heartbeat(self) -> None:
        answered = time.monotonic()
        while not self._over.is_set() and self._early_end.end is not End.LOST:
            begin = time.monotonic()
            try:
                waiting = self._results.waiting_seconds()
                command = self._farm.heartbeat(self._claim_id, self._rendering.frame, waiting)
                answered = time.monotonic()
                if command is RunnerCommand.YIELD:
                    self._yielding = True
                    if self._may_yield and self._rendering.frame is None:
                        self._early_end.decide(End.FINISHED)
                elif command is RunnerCommand.STOP:
                    # Only the renderer ends: the farm will say whether there is another claim.
                    self._early_end.decide(End.FINISHED)
            except FarmGoneError as error:
                if time.monotonic() - answered > GIVE_UP_SECONDS:
                    self._early_end.follow(error)
            except (ClaimLostError, NotWelcomeError) as error:
                self._early_end.follow(error)
                return
            except ReportError:
                pass  # refused: the other calls will say why
            self._over.wait(max(0.0, HEARTBEAT_SECONDS - (time.monotonic() - begin)))

    @property
    def _may_yield(self) -> bool:
        """Return whether the renderer may be ended between two frames.

        Not while a job is done as a whole: all of it would be lost, and started over.
        """
        return self._yielding and not self._template.whole

    def _send_results(self) -> None:
        while (frame := self._done.get()) is not None:
            if self._early_end.end in (End.LOST, End.GONE):
                continue
            try:
                self._results.send(frame)
            except ReportError as error:
                self._early_end.follow(error)
            except AbandonedError:
                self._is_over()  # Its frame waits for another runner.
            failure = self._results.failure
            if failure is not None and failure.permanent:
                self._rendering.condemn(failure)

    def _finish(self, ended: Ended) -> Finish:
        if self._early_end.end is not None:
            # Frames started after the one it had to finish are not a loss.
            frame = None if self._yielding else self._rendering.frame
            return Finish(outcome=Outcome.STOPPED, frame=frame, exit_code=ended.status)
        left = [frame for frame in self._frames if frame not in self._results.sent]
        rendering, symptoms = self._rendering, self._template.symptoms
        failure = rendering.failure or self._results.failure
        if self._overstayed and failure is None and not left:
            # Everything is delivered: how the renderer ended makes no difference.
            return Finish(outcome=Outcome.COMPLETED, exit_code=ended.status)
        finish = judge(ended, failure, left, rendering.frame, rendering.last_line, symptoms)
        if finish.outcome is Outcome.NO_LICENCE and self._sandbox.closed:
            return finish.model_copy(update={"message": f"{finish.message} {_CLOSED}"[:2000]})
        return finish

    def _complete(self, ended: Ended) -> Finish | None:
        """Report the files of the whole; return the outcome when that did not work."""
        try:
            self._results.complete()
        except ReportError as error:
            self._early_end.follow(error)
        return self._finish(ended) if self._results.failure or self._early_end.end else None

    def _close_log(self, finish: Finish) -> None:
        if self._early_end.end in (End.LOST, End.GONE):
            threading.Thread(target=self._log.close, daemon=True).start()
            return
        if finish.message:
            self._log.add(finish.message)
        self._log.close()

    def _ended(self, finish: Finish) -> EndedClaim | None:
        if self._early_end.end in (End.LOST, End.GONE):
            return None
        if finish.outcome is Outcome.NO_LICENCE:
            # Checked while it was running, or reported to its waiting parent. Either may miss some.
            ended = cpu_seconds_of_ended() - self._cpu_before
            used = round(max(self._watch.cpu_seconds, ended), 3)
            finish = finish.model_copy(update={"processor_seconds": used})
        return EndedClaim(claim_id=self._claim_id, finish=finish)


def finish_unrendered(farm: Farm, claim_id: str, failure: Failure) -> None:
    """End a claim whose renderer could not be started, with the reason in the log as well.

    Raises:
        farm.runner.farm_client.ReportError: the farm could not be told.
    """
    _end_unrendered(farm, claim_id, failure.message, failed(failure, None))


def give_back(farm: Farm, claim_id: str, reason: str) -> None:
    """End a claim on which nobody has worked, without failures of its frames.

    Raises:
        farm.runner.farm_client.ReportError: the farm could not be told.
    """
    finish = failed(Failure(reason, False), None).model_copy(update={"outcome": Outcome.STOPPED})
    _end_unrendered(farm, claim_id, reason, finish)


def _end_unrendered(farm: Farm, claim_id: str, reason: str, finish: Finish) -> None:
    line = reason.encode("utf-8", "backslashreplace").decode("utf-8")
    # In this thread: without room for another process there is none for a thread, either.
    with contextlib.suppress(RefusedError):
        farm.log(claim_id, LogChunk(offset=0, text=f"{line}\n"))
    farm.finish(EndedClaim(claim_id=claim_id, finish=finish))
