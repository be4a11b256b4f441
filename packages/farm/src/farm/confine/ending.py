"""Ends a confined program at any moment, with all its child processes."""

import contextlib
import os
import signal
import subprocess
import sys
from typing import Any

import psutil


def end(process: "subprocess.Popen[Any]") -> None:
    """Kill a program and everything that it has started, and wait for its end.

    bubblewrap's inner process ends with the outer one only after it has asked the kernel for that.
    If the outer one ends before, it waits for ever. Until then it is in the same process group, and
    visible as a child.

    Parameters:
        process: started with ``start_new_session``.
    """
    if sys.platform == "win32":
        process.kill()
    else:
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(process.pid).children(recursive=True)
        # Once it is reaped, the process group may be another's.
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for each in found:
            with contextlib.suppress(psutil.Error):
                each.kill()
    process.wait()
