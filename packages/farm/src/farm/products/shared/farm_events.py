"""Events that a render.py reports to the runner, and the thread that ends it with the runner.

Each event is one line on standard output: ``farm_event: {"event": name, ...}``. Lines are written
with one `os.write` each, so that the renderer's own C-level output cannot land in the middle of
one. Used inside every renderer's Python, 3.7 or newer.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time

PREFIX = "farm_event: "
PARENT = "FARM_PARENT"
"""Variable with the id of the process with which this one must end.

Not an argument: those contain names given by users, and user text is never a template.
"""
PROGRAMS = "FARM_SCENE_PROGRAMS"
"""Variable that is set where a scene may run programs that its renderer confines only partly."""
_WATCH_SECONDS = 0.5


class SceneError(Exception):
    """The scene cannot be rendered as asked. ``str()`` is a message for people.

    Attributes:
        permanent: a retry, on another machine, would fail in the same way.
    """

    def __init__(self, message: str, permanent: bool = True) -> None:
        """Store the message and whether retrying cannot help."""
        super().__init__(message)
        self.permanent = permanent


def emit(event: str, **details: object) -> None:
    """Send one event to the runner."""
    _write(PREFIX + json.dumps({"event": event, **details}))


def progress(percent: float) -> None:
    """Report the progress of the claim to the OpenJD session."""
    _write(f"openjd_progress: {percent:.1f}")


def warn(message: str) -> None:
    """Warn the job's owner of incomplete pictures: a warning of the job, and a line of its log.

    The job shows each text once, so a warning should not name a frame.
    """
    emit("warned", message=message)


def note(message: str) -> None:
    """Write an unimportant line to the job's log."""
    _write(message)


def flush() -> None:
    """Flush the buffers of Python and of the renderer's own code (C stdio), to keep the order."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)


def _write(line: str) -> None:
    # A leading newline ends an unfinished line; the runner drops empty ones.
    flush()
    os.write(1, f"\n{line}\n".encode("utf-8", "backslashreplace"))


def die_with_runner() -> None:
    """Start a thread that kills this process when `PARENT` is no longer its parent.

    A killed runner cannot stop its renderer, which would then keep the machine busy for a claim
    that another runner has taken over. Child processes of this one do not see the variable.
    """
    parent = int(os.environ.pop(PARENT))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="watch-runner", daemon=True).start()
