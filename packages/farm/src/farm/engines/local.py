"""Runners as processes of this machine.

A reference is ``<pid>:<start time>``: a process id alone may belong to another program by the
time it is looked at. Runners are no children in spirit: they outlive a crash of the farm, go on
rendering, and report to its successor.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import psutil
from farm_protocol.runner import TOKEN_VARIABLE

from farm.ports import RUNNER_STOP_SECONDS, EngineError, LaunchRequest


class LocalEngine:
    """Starts ``python -m farm.runner`` processes."""

    def __init__(
        self, work_dir: Path, log_dir: Path, blender: str | None, on_exit: Callable[[], None]
    ) -> None:
        """Prepare the folders.

        Parameters:
            work_dir: where runners stage files and renderers write.
            log_dir: gets one file a runner with what it prints.
            blender: configured path of a Blender, None to look for one.
            on_exit: called from a thread whenever a runner has ended.
        """
        self._work_dir = work_dir
        self._log_dir = log_dir
        self._blender = blender
        self._on_exit = on_exit
        work_dir.mkdir(parents=True, exist_ok=True)
        log_dir.mkdir(parents=True, exist_ok=True)
        self._sweep()

    def launch(self, request: LaunchRequest) -> str:
        """See `farm.ports.Engine.launch`."""
        command = [sys.executable, "-m", "farm.runner", "--farm", request.farm_url]
        command += ["--work-dir", str(self._work_dir / request.runner_id)]
        if self._blender is not None:
            command += ["--blender", self._blender]
        try:
            with (self._log_dir / f"runner-{request.runner_id}.log").open("wb") as log:
                process = subprocess.Popen(
                    command,
                    env={**os.environ, TOKEN_VARIABLE: request.token},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise EngineError(f"A runner could not be started: {error}.") from error
        # Before anybody waits for it: until then even a process that has ended keeps its id.
        reference = f"{process.pid}:{psutil.Process(process.pid).create_time()}"
        folder = self._work_dir / request.runner_id
        threading.Thread(target=self._reap, args=[process, folder], daemon=True).start()
        return reference

    def stop(self, reference: str) -> None:
        """See `farm.ports.Engine.stop`."""
        process = _process(reference)
        if process is not None:
            _signal(process, signal.SIGTERM)
            threading.Thread(target=_make_sure, args=[process], daemon=True).start()

    def alive(self, references: Collection[str]) -> set[str]:
        """See `farm.ports.Engine.alive`."""
        return {each for each in references if _process(each) is not None}

    def _reap(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        process.wait()
        self._on_exit()
        # A runner tidies up after itself, unless it was killed.
        shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove the work folders of runners that died while no farm was there to see it."""
        lines = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
        for folder in self._work_dir.iterdir():
            if not any(str(folder) in line for line in lines):
                shutil.rmtree(folder, ignore_errors=True)


def _process(reference: str) -> psutil.Process | None:
    pid, _, started = reference.partition(":")
    try:
        process = psutil.Process(int(pid))
        same = str(process.create_time()) == started
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _make_sure(process: psutil.Process) -> None:
    try:
        process.wait(RUNNER_STOP_SECONDS)
    except psutil.TimeoutExpired:
        _signal(process, signal.SIGKILL)


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
