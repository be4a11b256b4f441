"""Become the renderer: the one command of the Blender template, for both kinds of Blender.

    python start.py --kind=blender|bpy --renderer=PROGRAM --home=FOLDER --sandbox=FILE
                    -- ARGUMENTS OF render.py

It replaces itself (exec) by Blender or by a Python with bpy, so that signals and exit codes are the
renderer's own. Only the standard library, any Python 3.10 or newer.
"""

import argparse
import ctypes
import json
import os
import signal
import sys

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

PYTHON_FAILED = 3
"""Exit code of an exception in render.py, which Blender would otherwise answer with 0."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_FIRST_PROCESS = 1


def environment(home: str) -> "dict[str, str]":
    """Return the renderer's whole environment; ``home`` also takes its temporary files."""
    clean = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
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


def sandbox(file: str) -> "list[str]":
    """Return the command line to put in front of the renderer's: a JSON list in ``file``.

    Parameters:
        file: "" for no sandbox.
    """
    if not file:
        return []
    with open(file, encoding="utf-8") as content:
        prefix: list[str] = json.load(content)
    return prefix


def command(kind: str, renderer: str, arguments: "list[str]") -> "list[str]":
    """Return the renderer's argument list."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "render.py")
    if kind == "bpy":
        # -s -E: neither the user's packages nor PYTHON* variables change what is imported.
        return [renderer, "-s", "-u", script, "--", *arguments]
    options = ["-b", "-noaudio", "--factory-startup", "--disable-autoexec"]
    return [
        renderer,
        *options,
        "--python-exit-code",
        str(PYTHON_FAILED),
        "-P",
        script,
        "--",
        *arguments,
    ]


def main() -> None:
    """Parse the arguments, clean the environment, exec."""
    parent = os.getppid()
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=["blender", "bpy"], required=True)
    parser.add_argument("--renderer", required=True)
    parser.add_argument("--home", required=True)
    parser.add_argument("--sandbox", required=True)
    split = sys.argv.index("--")
    options = parser.parse_args(sys.argv[1:split])
    die_with_parent(parent)
    prefix = sandbox(options.sandbox)
    # In a sandbox the renderer is a child of bubblewrap's first process, which dies with this one.
    seen = _FIRST_PROCESS if prefix else parent
    arguments = [f"--parent={seen}", *sys.argv[split + 1 :]]
    renderer = [*prefix, *command(options.kind, options.renderer, arguments)]
    # Blender looks at its working folder for textures and writes crash reports there.
    os.chdir(options.home)
    os.execve(renderer[0], renderer, environment(options.home))


if __name__ == "__main__":
    main()
