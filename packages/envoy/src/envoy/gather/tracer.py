"""What .blend files name, read by a separate program: `farm.scenes.trace_files`.

Envoy does not import it. Answers are kept for as long as the file is unchanged.
"""

import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence

from farm_protocol.scene_files import NamedFile, TraceAnswer, TraceQuestion

from envoy.errors import EnvoyError

SECONDS = 60.0
"""Limit for reading one .blend; the program then gives up by itself."""
_GRACE = 30.0
_MOST_KNOWN = 50_000
"""Limit on remembered file names, about a kilobyte each."""
_MOST_ANSWER = 256 * 1024**2

_Mark = tuple[str, int, int, int, int]


Traced = tuple[NamedFile, ...] | str
"""What a .blend names; or, as a message, why that is unknown."""


class TracerError(EnvoyError):
    """Scenes cannot be read on this machine. ``str()`` says why."""


class Tracer:
    """Reads .blend files. May be used from any thread."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        """Keep the command.

        Parameters:
            command: what to start; None: the reader of this Python.
        """
        self._command = command or [sys.executable, "-P", "-m", "farm.scenes.trace_files"]
        self._known: OrderedDict[_Mark, Traced] = OrderedDict()
        self._names = 0
        self._lock = threading.Lock()

    def trace(self, blends: Sequence[str]) -> dict[str, Traced]:
        """Return what each .blend names, libraries of it not opened; blocks.

        Parameters:
            blends: absolute paths.

        Raises:
            TracerError: the program is missing or broken.
        """
        found: dict[str, Traced] = {}
        fresh: dict[str, _Mark] = {}
        for blend in blends:
            try:
                mark = _mark(blend)
            except OSError as error:
                # It was there a moment ago, in a folder that others write to.
                found[blend] = (
                    f"{blend} was not read for the files that it names ({error.strerror})."
                )
                continue
            with self._lock:
                known = self._known.get(mark)
            if known is None:
                fresh[blend] = mark
            else:
                found[blend] = known
        if fresh:
            for blend, traced in self._ask(list(fresh)).items():
                found[blend] = traced
                with self._lock:
                    self._remember(fresh[blend], traced)
        return found

    def _remember(self, mark: _Mark, traced: Traced) -> None:
        if mark in self._known:  # Two callers have asked at the same time.
            return
        self._known[mark] = traced
        self._names += _weight(traced)
        while self._names > _MOST_KNOWN:
            _, oldest = self._known.popitem(last=False)
            self._names -= _weight(oldest)

    def _ask(self, blends: Sequence[str]) -> dict[str, Traced]:
        question = TraceQuestion(blends=list(blends)).model_dump_json().encode()
        try:
            # In a session of its own, so that its child processes end with it.
            with subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            ) as process:
                try:
                    output, wrong = process.communicate(question, SECONDS * len(blends) + _GRACE)
                finally:
                    _end(process)
            if process.returncode or len(output) > _MOST_ANSWER:
                last = wrong.decode(errors="replace").strip().rpartition("\n")[2]
                raise TracerError(last or f"the program ended with {process.returncode}")
            answer = TraceAnswer.model_validate_json(output)
            return {
                **{blend: tuple(files) for blend, files in answer.usages.items()},
                **answer.failures,
            }
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise TracerError(str(error)) from error


def _weight(traced: Traced) -> int:
    return 1 if isinstance(traced, str) else 1 + len(traced)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _mark(path: str) -> _Mark:
    status = os.stat(path)
    return path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
