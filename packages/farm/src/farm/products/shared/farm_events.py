"""What a render.py tells the runner, and the thread that ends it when the runner is gone.

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
"""Variable with the id of the process that this one must live with.

No argument: those hold names that users give, and a text of theirs is never a template.
"""
PROGRAMS = "FARM_SCENE_PROGRAMS"
"""Variable that is set where a scene may run what its renderer confines only halfway."""
_WATCH_SECONDS = 0.5


class SceneError(Exception):
    """The scene cannot be rendered as asked. ``str()`` is a message for people.

    Attributes:
        permanent: another try, on another machine, would fail in the same way.
    """

    def __init__(self, message: str, permanent: bool = True) -> None:
        """Keep the message and whether trying again cannot help."""
        super().__init__(message)
        self.permanent = permanent


def emit(event: str, **details: object) -> None:
    """Send one event to the runner."""
    _write(PREFIX + json.dumps({"event": event, **details}))


def progress(percent: float) -> None:
    """Tell the OpenJD session how far the claim is."""
    _write(f"openjd_progress: {percent:.1f}")


def warn(message: str) -> None:
    """Tell the job's owner what its pictures may lack: a warning of the job, and a line of its log.

    The job shows each text once, so one that is worth telling names no frame.
    """
    emit("warned", message=message)


def note(message: str) -> None:
    """Put a line into the job's log that nobody needs to look at."""
    _write(message)


def flush() -> None:
    """Write out what Python and the renderer's own code (C stdio) buffered, to keep the order."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)


def _write(line: str) -> None:
    # A leading newline ends a line that was left open; the runner drops the empty ones.
    flush()
    os.write(1, f"\n{line}\n".encode("utf-8", "backslashreplace"))


def die_with_runner() -> None:
    """Start a thread that kills this process when its parent is not the one of `PARENT` any more.

    A killed runner cannot stop its renderer, and a renderer without runner would keep the machine
    busy for a claim that another runner has taken over meanwhile. Programs that are started from
    here do not see the variable.
    """
    parent = int(os.environ.pop(PARENT))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="watch-runner", daemon=True).start()
