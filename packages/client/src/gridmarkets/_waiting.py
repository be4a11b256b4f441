"""Waiting for a project by polling."""

from __future__ import unicode_literals

import time

from gridmarkets import errors

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
"""Seconds between two polls: growing while nothing changes."""
PATIENCE_SECONDS = 30
"""How long Envoy may be away, for example because it is being restarted."""
_OVER = ("completed", "failed", "stopped")

# Python 2 has no monotonic clock: there, setting the clock makes a wait shorter or longer.
_now = getattr(time, "monotonic", time.time)


def wait_for_project(ask, project_name, timeout, on_progress):
    """Return the last progress of a project. See `EnvoyClient.wait_for_project`.

    Parameters:
        ask: returns the progress as it is now.
    """
    began = answered = _now()
    pause, last = FIRST_PAUSE, None
    while True:
        try:
            progress, answered = ask(), _now()
        except errors.APIError as error:
            if not error.retry or _now() - answered > PATIENCE_SECONDS:
                raise
            progress = last
        if progress != last:
            pause, last = FIRST_PAUSE, progress
            if progress.get("state") == "unknown":
                message = "No project '{0}' was submitted through this Envoy.".format(project_name)
                raise errors.InvalidRequestError(message, errors={"project_name": [message]})
            if on_progress is not None:
                on_progress(progress)
            if progress.get("state") in _OVER:
                return progress
        left = None if timeout is None else began + timeout - _now()
        if left is not None and left <= 0:
            raise errors.APIError(
                "The project '{0}' was not finished within {1} seconds.".format(
                    project_name, timeout
                ),
                code="timeout",
                retry=True,
            )
        time.sleep(pause if left is None else min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE)
