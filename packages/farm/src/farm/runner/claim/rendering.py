"""Interprets a renderer's output, line by line, for its claim."""

import time
from collections.abc import Callable, Collection, Mapping
from statistics import fmean

from pydantic import JsonValue

from farm.products import Template
from farm.runner.claim import events
from farm.runner.claim.events import (
    Command,
    Event,
    Failed,
    FrameStarted,
    FrameWritten,
    Loaded,
    Warned,
    read_event,
)
from farm.runner.claim.joblog import ClaimLog
from farm.runner.claim.own_names import OwnNames
from farm.runner.claim.verdict import condemn, remark
from farm.runner.claim.watchdog import Flood, Watchdog, limit_of
from farm.runner.failure import Failure
from farm.runner.results.delivery import FrameFiles

_LONGEST_LOOKED_AT = 4096
"""Characters of a line that are searched for symptoms. Longer lines are not messages."""
_MOST_WARNINGS, _LONGEST_WARNING = 10, 500


class Rendering:
    """The renderer of one claim, from its start. Its lines arrive in another thread.

    Attributes:
        failure: why it fails, if known; None otherwise.
        complete_since: monotonic time at which it reported its last frame; None before.
        condemned: it must be ended: whatever it writes from now on is ignored.
        frame: the frame being rendered; None between frames.
        last_line: the last line of output that is not an event.
        startup_seconds: until its first frame's start; None before.
        warnings: messages for the job's owner.
    """

    def __init__(
        self,
        template: Template,
        parameters: Mapping[str, JsonValue],
        names: OwnNames,
        frames: Collection[int],
        log: ClaimLog,
        written: Callable[[FrameFiles], None],
    ) -> None:
        """The renderer starts now.

        Parameters:
            parameters: the job's.
            names: the job's.
            frames: the requested frames.
            written: called with each frame that the renderer has finished.
        """
        self._symptoms, self._names = template.symptoms, names
        self._log, self._written = log, written
        self._left = set(frames)
        self._started = self._mark = time.monotonic()
        self._watchdog = Watchdog(
            limit_of(template.frame_timeout, parameters),
            limit_of(template.silence_timeout, parameters),
            self._started,
        )
        self._flood = Flood(self._started)
        self._size: tuple[int, int] | None = None
        self._frame_seconds: list[float] = []
        self.failure: Failure | None = None
        self.complete_since: float | None = None
        self.condemned = False
        self.frame: int | None = None
        self.last_line = ""
        self.startup_seconds: float | None = None
        self.warnings: list[str] = []

    @property
    def frame_seconds(self) -> float | None:
        """Return the mean time of a frame; None before the first one."""
        return fmean(self._frame_seconds) if self._frame_seconds else None

    def condemn(self, failure: Failure) -> None:
        """Note that the renderer must be ended, and why; the first reason wins."""
        self.failure = self.failure or failure
        self.condemned = True

    def check_time(self) -> None:
        """Condemn it if it takes too long, or is silent for too long."""
        if failure := self._watchdog.overdue(time.monotonic(), self.frame):
            self.condemn(failure)

    def line(self, line: str) -> None:
        """Process one line of its output."""
        now = time.monotonic()
        self._watchdog.heard(now)
        if failure := self._flood.heard(len(line), now):
            self.condemn(failure)
            return
        if line.startswith(events.PREFIX):
            try:
                self._event(read_event(line.removeprefix(events.PREFIX)))
            except (ValueError, RecursionError):
                self._log.add(line)  # not one of ours after all
        elif line.strip() and not line.startswith("openjd_"):
            self.last_line = line.strip()
            self._log.add(line)
            looked_at = line[:_LONGEST_LOOKED_AT]
            failure = condemn(looked_at, self._symptoms)
            if failure and condemn(self._names.hide(looked_at), self._symptoms):
                self.condemn(failure)
            elif self.startup_seconds is not None and (
                message := remark(looked_at, self._symptoms)
            ):
                self._warn(message)

    def _event(self, event: Event) -> None:
        if self.condemned:
            return
        match event:
            case Command(line=line):
                self._log.add(line)
            case Loaded(width=int(width), height=int(height)):
                self._size = (width, height)
            case FrameStarted(frame=frame):
                # Other frames are a scene's claim, which must not make it seem to be at work.
                if frame in self._left:
                    self.frame = frame
                if self.startup_seconds is None:
                    self.startup_seconds = time.monotonic() - self._started
            case FrameWritten():
                self._frame_written(event)
            case Warned(message=message):
                self._warn(message)
            case Failed(message=message, permanent=permanent):
                self.failure = Failure(message, permanent)

    def _warn(self, message: str) -> None:
        """Keep a message for the job's owner, once: a scene may repeat it at each of its frames."""
        message = message[:_LONGEST_WARNING]
        kept = list(dict.fromkeys([*self.warnings, message]))[:_MOST_WARNINGS]
        if len(kept) > len(self.warnings):
            self._log.add(f"Warning: {message}")
            self.warnings = kept

    def _frame_written(self, event: FrameWritten) -> None:
        now = time.monotonic()
        # The first frame's time begins with the process: the farm meters all of it.
        seconds, self._mark = now - self._mark, now
        self._watchdog.frame_written(now)
        self.frame = None
        self._left.discard(event.frame)
        if not self._left and self.complete_since is None:
            self.complete_since = now
        self._frame_seconds.append(event.seconds)
        self._log.add(f"Frame {event.frame}: {', '.join(event.files)} in {seconds:.1f} s.")
        self._written(FrameFiles(event.frame, event.files, event.extra, seconds, self._size))
