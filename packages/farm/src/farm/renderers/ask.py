"""Ask a program something, in a process of its own that cannot take long."""

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
    """Return what a program prints; None when it cannot be started, fails or takes too long.

    It gets no input: one that wants an answer, about a licence for example, must end instead. It
    is started in the root folder, so that a Python imports no file that happens to lie around.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=Path(sys.executable).anchor,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        )
    except OSError:
        return None
    with process:
        try:
            said, _ = process.communicate(timeout=ASK_SECONDS)
        except subprocess.TimeoutExpired:
            _end(process)
            return None
    return said if process.returncode == 0 else None


def _end(process: "subprocess.Popen[str]") -> None:
    # Vendors wrap their programs in scripts: the program itself must end, too.
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
