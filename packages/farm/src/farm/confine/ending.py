"""End a confined program at any moment, and whatever has come of it."""

import contextlib
import os
import signal
import subprocess
import sys
from typing import Any

import psutil


def end(process: "subprocess.Popen[Any]") -> None:
    """Kill a program, and all that it has started; wait for its end.

    bubblewrap's inner process ends with the outer one only after it has said so to the kernel. One
    that has lost the outer one before waits for it for ever. Until then it is in the same group,
    and a child for whoever looks.

    Parameters:
        process: started with ``start_new_session``.
    """
    if sys.platform == "win32":
        process.kill()
    else:
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(process.pid).children(recursive=True)
        # Who has been waited for has no group any more that would be its own for sure.
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for each in found:
            with contextlib.suppress(psutil.Error):
                each.kill()
    process.wait()
