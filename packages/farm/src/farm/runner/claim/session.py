"""One renderer process, run as a task of an OpenJD session. The only user of openjd here.

A claim is one session with one task: the chunk of all its frames. An OpenJD session that has seen
a failure can do nothing any more (openjd-sessions 0.14), so a new one for each claim keeps all
claims alike; it costs 10 ms.

The sandbox is around the renderer's own command line, not around OpenJD's: the template's start.py
puts it there.
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

import yaml

from farm.products import Template, even_runs

_EXTENSIONS = ["TASK_CHUNKING"]
_OUTPUT_MARK = "openjd_log_content"


_MOST_WAITING, _PATIENCE_SECONDS = 200, 60.0
"""Lines of up to 64,000 characters that wait for this process, and how long each of them may."""


class _Backlog(queue.Queue[str]):
    """OpenJD's queue between the reader of a renderer's output and the consumer of its lines.

    Its own takes whatever comes: a renderer that prints faster than its lines are judged would
    fill this process's memory. Here it waits, as for any reader of a pipe.
    """

    def __init__(self) -> None:
        super().__init__(_MOST_WAITING)

    def put(self, item: str, block: bool = True, timeout: float | None = None) -> None:
        # Nobody consumes lines after the renderer's end; their reader must end, too.
        with contextlib.suppress(queue.Full):
            super().put(item, block, _PATIENCE_SECONDS if timeout is None else timeout)


def _bound_backlog() -> None:
    """Have OpenJD use `_Backlog`. It has no setting for that."""
    from openjd.sessions import _subprocess

    assert hasattr(_subprocess, "Queue")
    setattr(_subprocess, "Queue", _Backlog)  # noqa: B010 - it is OpenJD's name


@dataclass(frozen=True)
class Ended:
    """How the renderer ended.

    Attributes:
        exit_code: None when it never ran or was killed by a signal.
        signal: that killed it; None otherwise.
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
            values: all parameters of the template as texts; ``FrameRange`` and ``FrameCount`` give
                the one chunk that is rendered.
            folder: where the session makes its working folder.
            on_line: called with each line of the renderer's output, from another thread; must be
                quick.
            environment: variables over those of this process; start.py passes on what the template
                lets through.
        """
        from openjd.model import (
            RevisionExtensions,
            SpecificationRevision,
            StepParameterSpaceIterator,
            create_job,
            decode_job_template,
            preprocess_job_parameters,
        )
        from openjd.sessions import Session

        _bound_backlog()
        job_template = decode_job_template(
            template=yaml.safe_load(template.path.read_text(encoding="utf-8")),
            supported_extensions=_EXTENSIONS,
        )
        parameters = preprocess_job_parameters(
            job_template=job_template,
            job_parameter_values=dict(values),
            job_template_dir=Path(),
            current_working_dir=Path(),
            allow_job_template_dir_walk_up=True,
        )
        job = create_job(job_template=job_template, job_parameter_values=parameters)
        self._step = job.steps[0]
        self._task = StepParameterSpaceIterator(space=self._step.parameterSpace)[0]
        self._ended = threading.Event()
        self._killed = False
        self._lock = threading.Lock()
        self._handler = _LineHandler(session_id, on_line)
        # Before the session: it logs from its constructor on.
        self._logger = logging.getLogger("openjd.sessions")
        self._logger.propagate = False
        self._logger.addHandler(self._handler)
        # Before the session's own filter, which obeys lines that a scene may print as well.
        self._logger.addFilter(self._handler.takes_no_output)
        self._session = Session(
            session_id=session_id,
            job_parameter_values=parameters,
            session_root_directory=folder,
            callback=self._changed,
            os_env_vars=dict(environment),
            revision_extensions=RevisionExtensions(
                spec_rev=SpecificationRevision.v2023_09, supported_extensions=_EXTENSIONS
            ),
        )

    def start(self) -> None:
        """Start the renderer. Returns when it runs or has failed to start."""
        with self._lock:
            if self._killed:
                self._ended.set()
                return
            self._session.run_task(
                step_script=self._step.script,
                task_parameter_values=self._task,
                log_task_banner=False,
            )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the renderer; return whether it has ended."""
        return self._ended.wait(timeout)

    def kill(self) -> None:
        """Kill the renderer and all it started; harmless when it has ended."""
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
    """Return ascending frames, as claims hold them, as an OpenJD range expression: ``1-5:2,20``.

    Runs of equal steps are folded: an argument of ten thousand numbers is no command line.
    """
    return ",".join(_as_text(run) for run in even_runs(frames))


def _as_text(run: range) -> str:
    if len(run) == 1:
        return str(run[0])
    return f"{run[0]}-{run[-1]}" + f":{run.step}" * (run.step != 1)


class _LineHandler(logging.Handler):
    """Passes on the renderer's output, and why it could not start."""

    def __init__(self, session_id: str, on_line: Callable[[str], None]) -> None:
        super().__init__()
        self._session_id = session_id
        self._on_line = on_line

    def takes_no_output(self, record: logging.LogRecord) -> bool:
        """Take the renderer's lines, and return whether OpenJD is to see the record at all.

        It would obey ``openjd_...`` lines. Some switch its log off, and each value that is to be
        hidden is looked for in all later lines: a few thousand of them stop a runner.
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
        # So it tells why a process could not be started, and that one was lost.
        content = getattr(record, _OUTPUT_MARK, None)
        if content == LogContent.EXCEPTION_INFO | LogContent.PROCESS_CONTROL:
            self._on_line(record.getMessage())


def _ended(code: int | None) -> Ended:
    if code is None or os.name != "posix":
        return Ended(code, None)
    # Popen says -9; a shell in between (openjd's own script, before its exec) would say 137.
    if code < 0:
        return Ended(None, -code)
    return Ended(None, code - 128) if code > 128 else Ended(code, None)
