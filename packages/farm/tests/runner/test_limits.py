"""What the scenes of a job may use of a machine: real processes that use more than that."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from farm.confine import probe
from farm.runner.limits.amounts import limits_of
from farm.runner.limits.cgroups import usable
from farm.runner.limits.usage import this_machine
from farm.runner.limits.watch import Confinement, Watch
from farm.runner.workplace import Workplace
from farm_protocol.runner import Enforcement, JobLimits, LicenceServer, Outcome, SandboxMode
from messages import saying, says
from waiting import until

from .fake_farm import FakeFarm
from .in_process import end, run_job
from .test_job_machine import install_maya

MEGABYTE = 2**20

in_both_worlds = pytest.mark.parametrize(
    "sandbox",
    [
        pytest.param("required", marks=pytest.mark.skipif(bool(probe()), reason=probe())),
        "off",
    ],
)

PROGRAM = """\
#!/bin/sh
case "$1" in -v|-help) echo "Maya 2025.2"; exit;; esac
for each in "$@"; do
  case "$previous" in -rd) folder=$each;; -s) frame=$each;; -proj) project=$each;; esac
  previous=$each
done
cd "$folder" && python3 "$project/attack.py" || exit $?
cp "$project/picture.png" "$folder/frame.$(printf %04d "$frame").png"
"""


def attack(
    folder: Path,
    code: str,
    sandbox: SandboxMode,
    limits: JobLimits | None,
    licence_servers: Sequence[LicenceServer] = (),
    yields: bool | str = False,
    work_with: Callable[[FakeFarm], None] | None = None,
    claims: int = 1,
) -> FakeFarm:
    """Render claims of a frame each with a program that runs a scene's Python; see `run_job`."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs /usr/bin/python3")
    program = install_maya(folder)
    for name in ("Render", "maya"):
        (program.parent / name).write_text(PROGRAM)
    (folder / "project" / "attack.py").write_text(BOUNDED + code)
    return run_job(
        folder,
        "maya",
        program,
        "render",
        "scene.ma",
        [[number] for number in range(1, claims + 1)],
        {"frames": f"1 {claims}", "output_format": "png"},
        sandbox=sandbox,
        limits=limits,
        licence_servers=licence_servers,
        yields=yields,
        work_with=work_with,
    )


def left_of(folder: Path) -> list[str]:
    """Return the command lines of what still runs of an attack."""
    lines = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return [line for line in lines if f"{folder}/" in line and "attack.py" in line]


# An attack that is not stopped ends by itself, with each of its processes.
BOUNDED = """
import os, threading, time

BEGIN = time.monotonic()

def wait_here():
    time.sleep(60)

def wait():
    time.sleep(60)
    os._exit(0)
"""

BEYOND_PATHS = """
for _ in range(20):
    os.mkdir("x" * 250)
    os.chdir("x" * 250)
for number in range(100):
    open(f"part{number}", "wb").write(b"x" * 2**20)
wait()
"""

TOO_DEEP = """
for _ in range(150):
    os.mkdir("x")
    os.chdir("x")
open("file", "wb").write(bytes(1000))
wait()
"""

HARMLESS = "print('nothing to see')"

MEMORY = """
kept = []
for _ in range(600):
    kept.append(bytearray(b"x" * 2**20))
wait()
"""

# A process goes on when its first thread has ended, and has all its memory.
WITHOUT_A_FIRST_THREAD = """
import ctypes

def hold():
    kept = []
    for _ in range(600):
        kept.append(bytearray(b"x" * 2**20))
    wait()

if not os.fork():
    threading.Thread(target=hold).start()
    ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
wait()
"""

MANY_SMALL_ONES = """
import os, time
for _ in range(12):
    if not os.fork():
        kept = bytearray(b"x" * 40 * 2**20)
        wait()
wait()
"""

PROCESSES = """
import os, time
for _ in range(600):
    try:
        if not os.fork():
            os.setsid()
            wait()
    except BlockingIOError:
        break
wait()
"""

THREADS = """
import threading, time
for _ in range(600):
    try:
        threading.Thread(target=wait_here, daemon=True).start()
    except RuntimeError:
        break
wait()
"""

DAEMONS = """
import os, time
for _ in range(300):
    if not os.fork():
        if not os.fork():
            os.setsid()
            wait()
        os._exit(0)
    os.wait()
wait()
"""

ONE_FILE = """
import signal, time
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
with open("big", "wb") as file:
    for _ in range(100):
        file.write(b"x" * 2**20)
        file.flush()
wait()
"""

IGNORING = (
    "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    + """
import time
try:
    with open("big", "wb") as file:
        for _ in range(100):
            file.write(b"x" * 2**20)
            file.flush()
finally:
    wait()
"""
)

MANY_FILES = """
import time
for number in range(100):
    with open(f"part{number}", "wb") as file:
        file.write(b"x" * 2**20)
wait()
"""

TINY_FILES = """
import time
for number in range(3000):
    open(f"part{number}", "wb").close()
wait()
"""

AT_HOME = "import os; os.chdir(os.environ['HOME'])" + MANY_FILES

BUSY = """
import os
for _ in range(2):
    os.fork()
while time.monotonic() < BEGIN + 60:
    pass
"""

# Of children that nobody waits for, the system forgets what they have used.
BUSY_CHILDREN = """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while time.monotonic() < BEGIN + 40:
    ended, end = os.pipe()
    if not os.fork():
        while time.process_time() < {seconds}:
            pass
        os._exit(0)
    os.close(end)
    os.read(ended, 1)
    os.close(ended)
"""

CHATTER = """
import os
line = b"x" * 99 + b"\\n"
while time.monotonic() < BEGIN + 60:
    os.write(1, line * 100)
"""

ONE_LINE = """
import os
while time.monotonic() < BEGIN + 60:
    os.write(1, b"x" * 65536)
"""

REPORTS = """
import os
line = b'farm_event: {"event": "frame_written", "frame": 7, "files": [], "extra": [], "seconds": 1}'
while time.monotonic() < BEGIN + 60:
    os.write(1, (line + b"\\n") * 100)
"""


PRINTED = saying("renderer-printed-too-much-more")


@in_both_worlds
@pytest.mark.parametrize(
    ("code", "limits", "message", "permanent"),
    [
        *(
            pytest.param(
                code,
                JobLimits(memory_bytes=300 * MEGABYTE),
                saying("renderer-used-more-than-memory", "300 MB"),
                False,
                id=name,
            )
            for name, code in {
                "memory": MEMORY,
                "memory-of-many": MANY_SMALL_ONES,
                "memory-without-a-first-thread": WITHOUT_A_FIRST_THREAD,
            }.items()
        ),
        *(
            pytest.param(
                code,
                JobLimits(processes=100),
                saying("renderer-has-too-many-processes", 100),
                True,
                id=name,
            )
            for name, code in {
                "processes": PROCESSES,
                "threads": THREADS,
                "daemons": DAEMONS,
            }.items()
        ),
        *(
            pytest.param(
                code,
                JobLimits(file_bytes=20 * MEGABYTE),
                saying("renderer-wrote-file-most-machine", "20 MB"),
                True,
                id=name,
            )
            for name, code in {"file": ONE_FILE, "file-in-spite-of-the-signal": IGNORING}.items()
        ),
        *(
            pytest.param(
                code,
                JobLimits(disk_bytes=50 * MEGABYTE),
                saying("renderer-wrote-too-much", "50 MB"),
                True,
                id=name,
            )
            for name, code in {
                "disk": MANY_FILES,
                "disk-at-home": AT_HOME,
                "disk-beyond-paths": BEYOND_PATHS,
            }.items()
        ),
        pytest.param(
            TINY_FILES,
            JobLimits(files=2000),
            saying("renderer-written-more-than-files", 2000),
            True,
            id="files",
        ),
        pytest.param(
            TOO_DEEP,
            JobLimits(disk_bytes=50 * MEGABYTE),
            saying("renderer-hides-folders"),
            True,
            id="too-deep",
        ),
        *(
            pytest.param(
                code,
                JobLimits(frame_cpu_seconds=2),
                saying("renderer-used-too-much-time", "0.00"),
                True,
                id=name,
            )
            for name, code in {
                "processor": BUSY,
                "processor-for-moments": BUSY_CHILDREN.format(seconds=0.005),
                "processor-for-a-second": BUSY_CHILDREN.format(seconds=0.8),
            }.items()
        ),
        pytest.param(CHATTER, JobLimits(), PRINTED, True, id="chatter"),
        pytest.param(ONE_LINE, JobLimits(), PRINTED, True, id="one-line"),
    ],
)
def test_what_uses_too_much_is_ended_and_its_claim_says_so(
    tmp_path: Path,
    sandbox: SandboxMode,
    code: str,
    limits: JobLimits,
    message: saying,
    permanent: bool,
) -> None:
    farm = attack(tmp_path, code, sandbox, limits)
    finish = end(farm)
    assert finish.outcome is Outcome.FAILED
    assert says(finish.message, message)
    assert finish.permanent is permanent
    assert finish.message in farm.log
    assert not farm.frames
    # The runner itself went on: it asked for more.
    assert len(farm.requests) == 2
    until(lambda: not left_of(tmp_path))


@in_both_worlds
def test_frames_that_nobody_asked_for_do_not_fill_the_runner(
    tmp_path: Path, sandbox: SandboxMode
) -> None:
    farm = attack(tmp_path, REPORTS, sandbox, JobLimits())
    finish = end(farm)
    assert finish.outcome is Outcome.FAILED
    assert finish.message == saying("renderer-reported-too-many-frames")
    assert not farm.frames


@in_both_worlds
def test_within_its_limits_a_renderer_is_left_alone(tmp_path: Path, sandbox: SandboxMode) -> None:
    tight = JobLimits(
        memory_bytes=500 * MEGABYTE,
        processes=50,
        file_bytes=20 * MEGABYTE,
        disk_bytes=50 * MEGABYTE,
        files=100,
        frame_cpu_seconds=600,
    )
    farm = attack(tmp_path, HARMLESS, sandbox, tight)
    told = [request.limits for request in farm.requests]
    assert told[0] is not None
    assert (told[0].processes is Enforcement.KERNEL) is (sandbox == "required" or usable())
    assert (told[0].memory is Enforcement.KERNEL) is usable()
    assert told[1:] == [None]
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert farm.frames.keys() == {1}


IN_MEMORY = """
import os
for folder in ("/tmp", "/dev/shm", "/dev"):
    written = 0
    try:
        with open(folder + "/big", "wb") as file:
            for _ in range(200):
                file.write(b"x" * 2**20)
                file.flush()
                written += 1
    except OSError as error:
        print(folder, "took", written, "MB:", error.strerror)
    else:
        print(folder, "took all")
"""


@pytest.mark.skipif(bool(probe()), reason=probe())
def test_folders_in_memory_take_no_more_than_their_share(tmp_path: Path) -> None:
    farm = attack(tmp_path, IN_MEMORY, "required", JobLimits(memory_bytes=800 * MEGABYTE))
    assert "/tmp took 100 MB: No space left on device" in farm.log
    assert "/dev/shm took 100 MB: No space left on device" in farm.log
    assert "/dev took 0 MB: Read-only file system" in farm.log
    assert end(farm).outcome is Outcome.COMPLETED


CORE = "import resource; print('core:', resource.getrlimit(resource.RLIMIT_CORE))"


@in_both_worlds
def test_a_crash_leaves_no_picture_of_the_memory(tmp_path: Path, sandbox: SandboxMode) -> None:
    farm = attack(tmp_path, CORE, sandbox, JobLimits())
    assert "core: (0, 0)" in farm.log


OPEN = "import resource; print('open:', resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= 16_384)"


@in_both_worlds
def test_a_process_has_no_more_open_than_a_scene_needs(
    tmp_path: Path, sandbox: SandboxMode
) -> None:
    assert "open: True" in attack(tmp_path, OPEN, sandbox, JobLimits()).log


def test_who_writes_much_is_counted_at_once_however_long_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300,000 folders kept everybody from counting for 30 s: time for four times the limit."""
    limits = replace(limits_of(JobLimits(), this_machine(tmp_path)), disk_bytes=400 * MEGABYTE)
    place = Workplace.create(tmp_path, "job1")
    watch = Watch(Confinement(limits, tmp_path / "renderer.pid"), place, 1)
    # As if each count took so long that the next one were hours away.
    monkeypatch.setattr("farm.runner.limits.watch._FOLDER_PART", 1e-9)
    with subprocess.Popen(["sleep", "600"]) as renderer:
        (tmp_path / "renderer.pid").write_text(str(renderer.pid))
        assert watch.look() is None
        with (place.written / "large").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 600 * MEGABYTE)
        failure = watch.look()
        renderer.kill()
    assert failure is not None
    assert says(failure.message, "renderer-wrote-too-much", "400 MB")
