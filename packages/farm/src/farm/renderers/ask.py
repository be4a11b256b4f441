"""Queries a program, in a subprocess with a time limit."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ASK_SECONDS = 60.0
"""A first start from a cold network disk is slow; a healthy one answers in about a second."""


def ask(command: Sequence[str]) -> str | None:
    """Return a program's output; None when it cannot be started, fails or takes too long.

    It gets no input: a program that prompts, for a licence for example, must end instead. It is
    started in the root folder, so that a Python imports no stray files, and without `OCIO`: a
    Blender that cannot read it aborts, and is installed all the same.
    """
    environment = {name: value for name, value in os.environ.items() if name != "OCIO"}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=Path(sys.executable).anchor,
            env=environment,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        )
    except OSError:
        return None
    with process:
        try:
            output, _ = process.communicate(timeout=ASK_SECONDS)
        except subprocess.TimeoutExpired:
            _end(process)
            return None
    return output if process.returncode == 0 else None


def _end(process: "subprocess.Popen[str]") -> None:
    # Vendors wrap their programs in scripts: the wrapped program must end, too.
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
