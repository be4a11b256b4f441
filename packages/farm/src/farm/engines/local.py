"""Runners as processes of this machine.

A reference is ``<pid>:<start time>``: a process id alone may belong to another program by the
time it is looked at. Runners are not meant to die with the farm: they survive its crash, continue
rendering, and report to its successor.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import psutil
from farm_protocol.runner import RunnerOrder

from farm.engines.port import RUNNER_STOP_SECONDS, EngineError, LaunchRequest, Phase, Sight
from farm.runner.workplace import remove_place

SPARE_SECONDS = 600.0
"""A spare runner that is unused for this long is ended: it takes 70 MB. Long enough for an
artist who looks at a frame, changes the scene and submits again."""


class LocalEngine:
    """Starts ``python -m farm.runner`` processes, and keeps a spare one when work is in sight.

    A runner reads the job's token from its standard input: arguments and the environment of a
    process can be looked at. Until then it imports and looks for renderers, which takes longer
    than a small frame.
    """

    module = "farm.runner"
    """Command line of a runner's process."""
    outlives_farm = False
    certain = True

    def __init__(
        self,
        work_dir: Path,
        log_dir: Path,
        programs: Mapping[str, Sequence[str]],
        on_exit: Callable[[], None],
        render_user: str = "",
        products: Sequence[Path] = (),
    ) -> None:
        """Prepare the folders.

        Parameters:
            work_dir: folder where runners stage files and renderers write.
            log_dir: gets one file per runner with its output.
            programs: product -> configured paths; the others are looked for.
            on_exit: called from a thread whenever a runner has ended.
            render_user: account of the renderers when this is root; "" for one of their own.
            products: folders of products beside the built-in ones.
        """
        self._work_dir = work_dir
        self._log_dir = log_dir
        self._programs = programs
        self._on_exit = on_exit
        self._products = products
        self.host = socket.gethostname()[:255]
        self._render_user = render_user
        self._spare: subprocess.Popen[bytes] | None = None
        self._timer = threading.Timer(0, lambda: None)
        self._lock = threading.Lock()
        work_dir.mkdir(parents=True, exist_ok=True)
        log_dir.mkdir(parents=True, exist_ok=True)
        _sweep(work_dir)

    def prepare(self) -> None:
        """See `farm.engines.port.Engine.prepare`."""
        with self._lock:
            if self._spare is None or self._spare.poll() is not None:
                self._drop()
                try:
                    self._spare = self._start()
                except OSError:
                    return  # `launch` will say why.
            self._timer.cancel()
            self._timer = threading.Timer(SPARE_SECONDS, self._release_spare, [self._spare])
            self._timer.daemon = True
            self._timer.start()

    def launch(self, requests: Sequence[LaunchRequest]) -> list[str | EngineError]:
        """See `farm.engines.port.Engine.launch`."""
        return [self._launch(request) for request in requests]

    def _launch(self, request: LaunchRequest) -> str | EngineError:
        order = RunnerOrder(farm=request.farm_url, token=request.token)
        try:
            process = self._take_spare() or self._start()
            # Before anything awaits it: until then even an ended process keeps its id.
            reference = f"{process.pid}:{_started(psutil.Process(process.pid))}"
            assert process.stdin is not None
            with process.stdin as orders:
                orders.write(f"{order.model_dump_json()}\n".encode())
        except OSError as error:
            return EngineError(f"A runner could not be started: {error}.")
        threading.Thread(target=self._reap, args=[process], daemon=True).start()
        return reference

    def close(self) -> None:
        """See `farm.engines.port.Engine.close`."""
        spare = self._take_spare()
        if spare is not None:
            with spare:  # Its pipe is closed.
                spare.kill()  # It has nothing yet, and may be busy importing.

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-P", "-m", self.module, "--work-dir", str(self._work_dir)]
        command += ["--render-user", self._render_user]
        for folder in self._products:
            command += ["--products", str(folder.absolute())]
        for product, paths in self._programs.items():
            # "product=" is for none at all.
            for path in paths or [""]:
                command += ["--program", f"{product}={path}"]
        descriptor, _ = tempfile.mkstemp(dir=self._log_dir, prefix="runner-", suffix=".log")
        with os.fdopen(descriptor, "wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _take_spare(self) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            if self._spare is not None and self._spare.poll() is not None:
                self._drop()
            spare, self._spare = self._spare, None
        return spare

    def _drop(self) -> None:
        """Forget a spare runner that has ended, and close its pipe."""
        spare, self._spare = self._spare, None
        if spare is not None:
            with spare:
                pass

    def _release_spare(self, spare: "subprocess.Popen[bytes]") -> None:
        with self._lock:
            if self._spare is not spare:
                return
            self._spare = None
        assert spare.stdin is not None
        spare.stdin.close()  # Nothing to read: it ends.
        spare.wait()

    def stop(self, reference: str) -> None:
        """See `farm.engines.port.Engine.stop`."""
        process = _process(reference)
        if process is not None:
            _signal(process, signal.SIGTERM)
            threading.Thread(target=_make_sure, args=[process], daemon=True).start()

    def look(self, references: Collection[str]) -> dict[str, Sight]:
        """See `farm.engines.port.Engine.look`."""
        return {
            each: Sight(Phase.GONE if _process(each) is None else Phase.RUNNING)
            for each in references
        }

    def _reap(self, process: "subprocess.Popen[bytes]") -> None:
        process.wait()
        self._on_exit()
        # A runner tidies up after itself, unless it was killed.
        _sweep(self._work_dir)


def _sweep(work_dir: Path) -> None:
    """Remove the folders of ended runners: ``<job>-<process id>-<random>``."""
    for folder in work_dir.iterdir():
        pid = folder.name.split("-")[-2] if folder.name.count("-") >= 2 else ""
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            # A folder that cannot be removed must not keep the farm from starting.
            with contextlib.suppress(OSError):
                remove_place(folder)


def _process(reference: str) -> psutil.Process | None:
    pid, _, started = reference.partition(":")
    if not pid.isdecimal():
        return None  # Not one of ours.
    try:
        process = psutil.Process(int(pid))
        same = _started(process) == started
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def _started(process: psutil.Process) -> str:
    """Return when a process started, in a form that clock changes do not affect.

    On Linux psutil counts from the time of the boot, which the kernel moves with the clock. The
    ticks since the boot stay what they are (proc(5), ``starttime``), and the boot has an id.
    """
    if not psutil.LINUX:
        return str(process.create_time())
    status = Path(f"/proc/{process.pid}/stat").read_bytes()
    ticks = status.rpartition(b")")[2].split()[19].decode()  # The name may contain anything.
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{ticks}@{boot}"


def _make_sure(process: psutil.Process) -> None:
    try:
        process.wait(RUNNER_STOP_SECONDS)
    except psutil.TimeoutExpired:
        _signal(process, signal.SIGKILL)


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
