"""Execs a program: clean environment, sandbox in front, and ending together with the runner.

Only the standard library, any Python 3.10 or newer.
"""

import ctypes
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

try:
    import resource
except ImportError:  # Windows has none of these limits.
    resource = None  # type: ignore[assignment]

from farm_events import PARENT, PROGRAMS

if TYPE_CHECKING:
    from farm_orders import Confined

PASSED_ON = (
    # What a program needs at least, and the variables naming the GPUs that a scheduler has
    # assigned.
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "OMP_NUM_THREADS",
)
"""Environment variables that a renderer may see. A scene is a program: it must not find keys."""

_FOLDERS = ("PATH", "LD_LIBRARY_PATH")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_WANTED_BY_THE_KERNEL = 500
"""Added to a renderer's score when the kernel looks for a process to kill for lack of memory."""
_FIRST_PROCESS = 1


def exec_renderer(
    command: "list[str]", home: str, sandbox: str, passed: "tuple[str, ...]" = ()
) -> None:
    """Replace this process by a program, so that signals and exit codes are its own.

    Parameters:
        home: its HOME, which also takes its temporary files, and its working folder: programs look
            there for textures, and write crash reports.
        passed: names of further variables that it may see, such as the places of its licences.
        sandbox: file with the runner's orders on how to confine it; "" for not at all.
    """
    parent = os.getppid()
    die_with_parent(parent)
    confined = _confine(sandbox) if sandbox else None
    # There it is a child of bubblewrap's first process, which dies with this one.
    seen = _FIRST_PROCESS if confined and confined["apart"] else parent
    line = [*(confined["command"] if confined else ()), *command]
    more = {PARENT: str(seen), **({PROGRAMS: "1"} if confined and confined["programs"] else {})}
    os.chdir(home)
    os.execve(line[0], line, {**_environment(home, passed), **more})


def _environment(home: str, passed: "tuple[str, ...]") -> "dict[str, str]":
    clean = {name: os.environ[name] for name in PASSED_ON + passed if name in os.environ}
    for name in _FOLDERS:
        if name in clean:
            # Empty or relative folders would be searched where the scene may write; and the
            # programs before the renderer may still run as root.
            parts = [part for part in clean[name].split(os.pathsep) if os.path.isabs(part)]
            clean[name] = os.pathsep.join(parts)
    clean.update(HOME=home, TMPDIR=home, PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1")
    return clean


def die_with_parent(parent: int) -> None:
    """Make the kernel kill this process, also after exec, when the runner dies (Linux only).

    render.py watches the runner too; but its thread cannot run while Blender loads a large scene.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("The runner ended before the renderer could start.")


def _confine(file: str) -> "Confined":
    """Apply the renderer's limits; return the orders (`farm.runner.limits.watch`)."""
    with open(file, encoding="utf-8") as content:
        confined: Confined = json.load(content)
    with open(confined["pid_file"], "w", encoding="utf-8") as pid_file:
        pid_file.write(str(os.getpid()))
    if confined["group"]:
        with open(
            os.path.join(confined["group"], "cgroup.procs"), "w", encoding="utf-8"
        ) as members:
            members.write("0")
    for name, most in confined["rlimits"].items():
        _limit(name, most)
    if sys.platform == "linux":
        try:
            with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as score:
                score.write(str(_WANTED_BY_THE_KERNEL))
        except OSError:
            pass  # Its score was even higher already.
        if not confined["apart"]:
            # Processes that it leaves behind stay below it, where the runner sees and counts them.
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if hasattr(signal, "SIGXFSZ"):
        # Python ignores the signal, and so would the renderer: it must end with a reason.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    return confined


def _limit(name: str, most: int) -> None:
    kind = getattr(resource, name, None)
    if resource is None or kind is None:
        return
    # Lower limits stay as they are: some programs cannot use more than 1024 descriptors.
    now = resource.getrlimit(kind)
    soft, hard = (most if each == resource.RLIM_INFINITY else min(most, each) for each in now)
    resource.setrlimit(kind, (soft, hard))
