"""Become a program: clean environment, sandbox in front, and an end together with the runner.

Only the standard library, any Python 3.10 or newer.
"""

import ctypes
import json
import os
import signal
import sys

from farm_events import PARENT

PASSED_ON = (
    # The least that a program needs, and what names the GPUs that a scheduler gave this process.
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

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_FIRST_PROCESS = 1


def become(command: "list[str]", home: str, sandbox: str, passed: "tuple[str, ...]" = ()) -> None:
    """Replace this process by a program, so that signals and exit codes are its own.

    Parameters:
        home: its HOME, which also takes its temporary files, and its working folder: programs look
            there for textures, and write crash reports.
        passed: names of further variables that it may see: where its licences are.
        sandbox: file with the command line (a JSON list) to put in front; "" for no sandbox.
    """
    parent = os.getppid()
    die_with_parent(parent)
    prefix = _read(sandbox)
    # In a sandbox the program is a child of bubblewrap's first process, which dies with this one.
    seen = _FIRST_PROCESS if prefix else parent
    line = [*prefix, *command]
    os.chdir(home)
    os.execve(line[0], line, {**_environment(home, passed), PARENT: str(seen)})


def _environment(home: str, passed: "tuple[str, ...]") -> "dict[str, str]":
    clean = {name: os.environ[name] for name in PASSED_ON + passed if name in os.environ}
    clean.update(HOME=home, TMPDIR=home, PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1")
    return clean


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process, also after exec, when the runner dies (Linux only).

    render.py watches the runner too; but its thread cannot run while Blender loads a large scene.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("The runner ended before the renderer could start.")


def _read(file: str) -> "list[str]":
    if not file:
        return []
    with open(file, encoding="utf-8") as content:
        prefix: list[str] = json.load(content)
    return prefix
