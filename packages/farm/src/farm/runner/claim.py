"""One claim: the renderer at work, with heartbeat, log and results beside it.

Threads: the caller's waits for the renderer; OpenJD's hands over its lines; ``heartbeat`` keeps the
claim; ``results`` checks and sends finished frames while the renderer goes on; the log has its own.
What one finds out (claim lost, stop, farm gone) it puts into `_Fate`, which kills the renderer.
"""

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from farm_protocol.runner import (
    HEARTBEAT_SECONDS,
    Claim,
    EndedClaim,
    Finish,
    Outcome,
    RunnerCommand,
    RunnerJob,
)

from farm.renderers import Renderer, environment
from farm.runner.joblog import ClaimLog
from farm.runner.parameters import frames_of, values_of
from farm.runner.report import (
    GIVE_UP_SECONDS,
    ClaimLostError,
    Farm,
    FarmGoneError,
    NotWelcomeError,
    ReportError,
)
from farm.runner.results import FrameFiles, Results
from farm.runner.session import Ended, RenderSession
from farm.runner.stage import explain
from farm.runner.verdict import Failure, condemn, failed, judge
from farm.runner.watchdog import Watchdog, limit_of
from farm.runner.workplace import Workplace
from farm.templates import SceneError, Template

log = logging.getLogger("farm.runner")

EVENT_PREFIX = "farm_event: "
_POLL_SECONDS = 0.1


class End(Enum):
    """Why a claim is over."""

    FINISHED = auto()
    """The outcome is known; ask for another claim."""
    LOST = auto()
    """The claim is another's now; ask for another one."""
    STOPPED = auto()
    """The runner was told to end."""
    GONE = auto()
    """The farm does not answer, or does not want this runner any more."""


@dataclass(frozen=True)
class Measured:
    """What a claim measured, for the next `ClaimRequest`; None when not known."""

    startup_seconds: float | None = None
    frame_seconds: float | None = None


@dataclass(frozen=True)
class ClaimOver:
    """A claim is over.

    Attributes:
        ended: what the farm must be told; None when the claim is not this runner's any more.
    """

    end: End
    ended: EndedClaim | None
    measured: Measured


class _Fate:
    """Why the renderer must end early; the first reason stays."""

    def __init__(self) -> None:
        self.end: End | None = None
        self._lock = threading.Lock()

    def decide(self, end: End) -> None:
        with self._lock:
            self.end = self.end or end

    def of(self, error: ReportError) -> None:
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
        sandbox: Path | None,
        stopping: threading.Event,
    ) -> None:
        """Prepare.

        Parameters:
            sandbox: file of `farm.runner.sandbox`, None to run without one.
            stopping: set when the runner itself is told to end.
        """
        assert claim.claim_id is not None
        self._farm, self._claim_id = farm, claim.claim_id
        self._frames = frames_of(job, template, claim.frames)
        self._job, self._template, self._renderer = job, template, renderer
        self._place, self._sandbox, self._stopping = place, sandbox, stopping
        self._fate = _Fate()
        self._failure: Failure | None = None
        self._condemned = False
        self._frame: int | None = None
        self._size: tuple[int, int] | None = None
        self._started = self._mark = time.monotonic()
        self._startup: float | None = None
        self._render_seconds: list[float] = []
        self._yielding = False
        self._watchdog: Watchdog | None = None
        self._last_line = ""
        self._over = threading.Event()
        self._done: queue.SimpleQueue[FrameFiles | None] = queue.SimpleQueue()
        self._log = ClaimLog(farm, self._claim_id)
        expected = template.output_files(job.parameters, self._frames)
        self._results = Results(
            farm,
            self._claim_id,
            place,
            job.output_folder,
            expected,
            claim.frames[0] if template.whole else None,
            folders=template.drive is not None and template.drive.folders,
        )

    def run(self) -> ClaimOver:
        """Render the claim's frames and report everything but the claim's end."""
        beat = threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True)
        results = threading.Thread(target=self._send_results, name="results", daemon=True)
        beat.start()
        results.start()
        try:
            ended = self._render()
        except SceneError as error:
            self._failure = Failure(str(error), permanent=True)
            ended = Ended(None, None)
        except OSError as error:
            self._failure = Failure(explain(error, "The renderer could not be started"), False)
            ended = Ended(None, None)
        except Exception as error:
            # A mistake of ours must end the claim with a reason, not let it run into its timeout.
            log.exception("Claim %s", self._claim_id)
            self._failure = Failure(f"The runner failed: {error!r}.", False)
            ended = Ended(None, None)
        self._done.put(None)
        results.join()
        finish = self._finish(ended)
        if finish.outcome is Outcome.COMPLETED:
            finish = self._complete(ended) or finish
        self._over.set()
        beat.join()
        self._close_log(finish)
        measured = Measured(self._startup, _mean(self._render_seconds))
        return ClaimOver(self._fate.end or End.FINISHED, self._ended(finish), measured)

    def _render(self) -> Ended:
        self._place.clear()
        session = RenderSession(
            f"claim-{self._claim_id}",
            self._template,
            values_of(
                self._job, self._template, self._renderer, self._place, self._sandbox, self._frames
            ),
            self._place.session,
            self._line,
            environment(self._renderer.found, self._job.plugins, os.environ),
        )
        self._started = self._mark = time.monotonic()
        template, given = self._template, self._job.parameters
        self._watchdog = Watchdog(
            limit_of(template.frame_timeout, given),
            limit_of(template.silence_timeout, given),
            self._started,
        )
        session.start()
        while not session.wait(_POLL_SECONDS):
            if self._stopping.is_set():
                self._fate.decide(End.STOPPED)
            if failure := self._watchdog.overdue(time.monotonic(), self._frame):
                self._condemn(failure)
            if self._fate.end is not None or self._condemned:
                session.kill()
        return session.close()

    def _condemn(self, failure: Failure) -> None:
        """The renderer must be ended: whatever it writes from now on does not count."""
        self._failure = self._failure or failure
        self._condemned = True

    def _line(self, line: str) -> None:
        """Take one line of the renderer. Runs in OpenJD's thread."""
        if self._watchdog is not None:
            self._watchdog.heard(time.monotonic())
        if line.startswith(EVENT_PREFIX):
            try:
                self._event(json.loads(line.removeprefix(EVENT_PREFIX)))
            except (ValueError, KeyError, TypeError, AttributeError):
                self._log.add(line)  # not ours after all
        elif line.strip() and not line.startswith("openjd_"):
            self._last_line = line.strip()
            self._log.add(line)
            if failure := condemn(line, self._template.symptoms):
                self._condemn(failure)

    def _event(self, event: dict[str, Any]) -> None:
        if self._condemned:
            return
        now = time.monotonic()
        match event["event"]:
            case "loaded":
                if event["width"] is not None:
                    self._size = (int(event["width"]), int(event["height"]))
            case "frame_started":
                self._frame = int(event["frame"])
                if self._startup is None:
                    self._startup = now - self._started
            case "frame_written":
                # The first frame's time begins with the process: the farm meters all of it.
                seconds, self._mark = now - self._mark, now
                if self._watchdog is not None:
                    self._watchdog.frame_written(now)
                self._frame = None
                self._render_seconds.append(float(event["seconds"]))
                files, extra = [str(f) for f in event["files"]], [str(f) for f in event["extra"]]
                frame = int(event["frame"])
                self._log.add(f"Frame {frame}: {', '.join(files)} in {seconds:.1f} s.")
                self._done.put(FrameFiles(frame, files, extra, seconds, self._size))
                if self._may_yield:
                    # The next frame has hardly begun: nothing is lost with the renderer.
                    self._fate.decide(End.FINISHED)
            case "failed":
                self._failure = Failure(str(event["sentence"]), bool(event["permanent"]))

    def _heartbeat(self) -> None:
        answered = time.monotonic()
        while not self._over.is_set() and self._fate.end is not End.LOST:
            begin = time.monotonic()
            try:
                command = self._farm.heartbeat(self._claim_id, self._frame)
                answered = time.monotonic()
                if command is RunnerCommand.YIELD:
                    self._yielding = True
                    if self._may_yield and self._frame is None:
                        self._fate.decide(End.FINISHED)
                elif command is RunnerCommand.STOP:
                    # Only the renderer ends: the farm will say whether there is another claim.
                    self._fate.decide(End.FINISHED)
            except FarmGoneError as error:
                if time.monotonic() - answered > GIVE_UP_SECONDS:
                    self._fate.of(error)
            except (ClaimLostError, NotWelcomeError) as error:
                self._fate.of(error)
                return
            except ReportError:
                pass  # refused: the other calls will say why
            self._over.wait(max(0.0, HEARTBEAT_SECONDS - (time.monotonic() - begin)))

    @property
    def _may_yield(self) -> bool:
        """Whether the renderer may be ended between two frames.

        Not while a job is done as a whole: all of it would be lost, and begun anew.
        """
        return self._yielding and not self._template.whole

    def _send_results(self) -> None:
        while (frame := self._done.get()) is not None:
            if self._fate.end in (End.LOST, End.GONE):
                continue
            try:
                self._results.send(frame)
            except ReportError as error:
                self._fate.of(error)
            failure = self._results.failure
            if failure is not None and failure.permanent:
                self._condemn(failure)

    def _finish(self, ended: Ended) -> Finish:
        if self._fate.end is not None:
            # What was begun after the frame for which it was to wait is no loss.
            frame = None if self._yielding else self._frame
            return Finish(outcome=Outcome.STOPPED, frame=frame, exit_code=ended.status)
        left = [frame for frame in self._frames if frame not in self._results.sent]
        failure = self._failure or self._results.failure
        symptoms = self._template.symptoms
        return judge(ended, failure, left, self._frame, self._last_line, symptoms)

    def _complete(self, ended: Ended) -> Finish | None:
        """Report what belongs together; return the outcome when that did not work."""
        try:
            self._results.complete()
        except ReportError as error:
            self._fate.of(error)
        return self._finish(ended) if self._results.failure or self._fate.end else None

    def _close_log(self, finish: Finish) -> None:
        if self._fate.end in (End.LOST, End.GONE):
            threading.Thread(target=self._log.close, daemon=True).start()
            return
        if finish.sentence:
            self._log.add(finish.sentence)
        self._log.close()

    def _ended(self, finish: Finish) -> EndedClaim | None:
        if self._fate.end in (End.LOST, End.GONE):
            return None
        return EndedClaim(claim_id=self._claim_id, finish=finish)


def finish_unrendered(farm: Farm, claim_id: str, failure: Failure) -> None:
    """End a claim for which no renderer could be started, the reason in the log as well.

    Raises:
        farm.runner.report.ReportError: the farm could not be told.
    """
    log = ClaimLog(farm, claim_id)
    log.add(failure.sentence)
    log.close()
    farm.finish(EndedClaim(claim_id=claim_id, finish=failed(failure, None)))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
