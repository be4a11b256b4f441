"""Runs a renderer process as a task of an OpenJD session.

Each claim has its own session, with one task: a chunk of all its frames. A session cannot run
another task after a failure (openjd-sessions 0.14), so all claims create a new one, which takes 10
ms.

Only the renderer's command runs in the sandbox, not OpenJD's own script: the template's start.py
creates the sandbox.
"""

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from farm.products import Template, even_runs
from farm.runner.claim.open_job import EXTENSIONS, open_job

_OUTPUT_MARK = "openjd_log_content"


_MOST_WAITING, _PATIENCE_SECONDS = 200, 60.0
"""Maximum number of queued lines, each of up to 64,000 characters; and how long to wait for a slot.
"""


class _Backlog(queue.Queue[str]):
    """A bounded replacement for OpenJD's queue of a renderer's output lines.

    OpenJD's own queue is unbounded: a renderer that prints faster than its lines are processed
    would fill this process's memory. With this one, it blocks, as with any slow reader of a pipe.
    """

    def __init__(self) -> None:
        super().__init__(_MOST_WAITING)

    def put(self, item: str, block: bool = True, timeout: float | None = None) -> None:
        # After the renderer's end, nobody consumes lines, and the thread that reads them must end.
        with contextlib.suppress(queue.Full):
            super().put(item, block, _PATIENCE_SECONDS if timeout is None else timeout)


def _bound_backlog() -> None:
    """Make OpenJD use `_Backlog`, by patching it: there is no setting."""
    from openjd.sessions import _subprocess

    assert hasattr(_subprocess, "Queue")
    setattr(_subprocess, "Queue", _Backlog)  # noqa: B010 - it is OpenJD's name


@dataclass(frozen=True)
class Ended:
    """How the renderer ended.

    Attributes:
        exit_code: None if it never ran, or was killed by a signal.
        signal: number of the signal that killed it, else None.
    """

    exit_code: int | None
    signal: int | None

    @property
    def status(self) -> int | None:
        """The exit code, or the negative number of the signal; None when it never ran."""
        return self.exit_code if self.signal is None else -self.signal


class RenderSession:
    """A renderer at work. Use once: `start`, then `wait`; `kill` at any time from any thread."""

    def __init__(
        self,
        session_id: str,
        template: Template,
        values: Mapping[str, str],
        folder: Path,
        on_line: Callable[[str], None],
        environment: Mapping[str, str],
    ) -> None:
        """Prepare a session.

        Parameters:
            session_id: unique in this process.
            values: all parameters of the template as texts; ``FrameRange`` and ``FrameCount``
                describe the chunk to render.
            folder: parent of the session's working folder.
            on_line: called with each line of the renderer's output, from another thread; must
                return quickly.
            environment: variables in addition to those of this process; start.py passes on those
                that the template allows.
        """
        from openjd.model import RevisionExtensions, SpecificationRevision
        from openjd.sessions import Session

        _bound_backlog()
        self._job = open_job(template.path, values)
        self._ended = threading.Event()
        self._killed = False
        self._lock = threading.Lock()
        self._handler = _LineHandler(session_id, on_line)
        # Before the session is created, since its constructor already logs.
        self._logger = logging.getLogger("openjd.sessions")
        self._logger.propagate = False
        self._logger.addHandler(self._handler)
        # Before the session's own filter, which executes commands in lines that a scene may print.
        self._logger.addFilter(self._handler.takes_no_output)
        self._session = Session(
            session_id=session_id,
            job_parameter_values=dict(self._job.parameters),
            session_root_directory=folder,
            callback=self._changed,
            os_env_vars=dict(environment),
            revision_extensions=RevisionExtensions(
                spec_rev=SpecificationRevision.v2023_09,
                supported_extensions=list(EXTENSIONS),
            ),
        )

    def start(self) -> None:
        """Start the renderer. Returns when it is running, or has failed to start."""
        with self._lock:
            if self._killed:
                self._ended.set()
                return
            self._session.run_task(
                step_script=self._job.step.script,
                task_parameter_values=self._job.task,
                log_task_banner=False,
            )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most ``timeout`` seconds for the renderer; return whether it has ended."""
        return self._ended.wait(timeout)

    def kill(self) -> None:
        """Kill the renderer and its descendants; does nothing if it has ended."""
        with self._lock:
            self._killed = True
            if self._ended.is_set():
                return
            try:
                self._session.cancel_action(time_limit=timedelta(0))
            except RuntimeError:
                return  # it ended meanwhile, or never started

    def close(self) -> Ended:
        """Clean up after the end; return how the renderer ended."""
        status = self._session.action_status
        self._session.cleanup()
        self._logger.removeFilter(self._handler.takes_no_output)
        self._logger.removeHandler(self._handler)
        return _ended(None if status is None else status.exit_code)

    def _changed(self, _session_id: str, status: Any) -> None:
        from openjd.sessions import ActionState

        if status.state is not ActionState.RUNNING:
            self._ended.set()


def frame_range(frames: Sequence[int]) -> str:
    """Return ascending frames as an OpenJD range expression: ``1-5:2,20``.

    Evenly spaced frames become a range: ten thousand numbers are too long for a command line.
    """
    return ",".join(_as_text(run) for run in even_runs(frames))


def _as_text(run: range) -> str:
    if len(run) == 1:
        return str(run[0])
    return f"{run[0]}-{run[-1]}" + f":{run.step}" * (run.step != 1)


class _LineHandler(logging.Handler):
    """Passes on the renderer's output, and errors at its start."""

    def __init__(self, session_id: str, on_line: Callable[[str], None]) -> None:
        super().__init__()
        self._session_id = session_id
        self._on_line = on_line

    def takes_no_output(self, record: logging.LogRecord) -> bool:
        """Log filter: consume lines of the renderer's output, and let all other records pass.

        OpenJD would execute ``openjd_...`` lines. Some of them disable its log, and each value to
        redact is searched for in all later lines: a few thousand of these stall a runner.
        """
        from openjd.sessions import LogContent

        if getattr(record, "session_id", None) != self._session_id:
            return True
        if getattr(record, _OUTPUT_MARK, None) != LogContent.COMMAND_OUTPUT:
            return True
        self._on_line(record.getMessage())
        return False

    def emit(self, record: logging.LogRecord) -> None:
        from openjd.sessions import LogContent

        if getattr(record, "session_id", None) != self._session_id:
            return
        # Records about a process that could not be started, or was lost.
        content = getattr(record, _OUTPUT_MARK, None)
        if content == LogContent.EXCEPTION_INFO | LogContent.PROCESS_CONTROL:
            self._on_line(record.getMessage())


def _ended(code: int | None) -> Ended:
    if code is None or os.name != "posix":
        return Ended(code, None)
    # For SIGKILL, Popen reports -9; a shell in between (OpenJD's script before its exec) 137.
    if code < 0:
        return Ended(None, -code)
    return Ended(None, code - 128) if code > 128 else Ended(code, None)
