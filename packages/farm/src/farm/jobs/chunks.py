"""How many frames a runner claims at once."""

import math

STARTUP_SHARE = 0.05
"""Largest fraction of a claim's time for starting the renderer."""

MAX_CLAIM = 2000
"""Most frames of one claim: limits the size of a request, not the work that a crash can lose (every
frame is delivered as soon as it is written).
"""


def claim_size(
    waiting: int, runners: int, startup_seconds: float | None, frame_seconds: float | None
) -> int:
    """Return how many of the ``waiting`` frames the next claim takes (at least 1).

    A lone runner takes all: starting the renderer again gains nothing. Several take shrinking
    shares, so that they end together; a share is enlarged until start-up is under `STARTUP_SHARE`
    of it, but never beyond an equal part for each runner.

    Parameters:
        waiting: frames that no runner has yet, at least 1.
        runners: how many runners the job may have at the same time, at least 1.
        startup_seconds, frame_seconds: as measured by earlier claims; None when unknown.
    """
    equal_part = math.ceil(waiting / runners)
    if runners == 1:
        size = waiting
    else:
        size = math.ceil(waiting / (2 * runners))
        if startup_seconds and frame_seconds:
            worthwhile = startup_seconds * (1 - STARTUP_SHARE) / (STARTUP_SHARE * frame_seconds)
            size = max(size, math.ceil(min(worthwhile, MAX_CLAIM)))
    return max(1, min(size, equal_part, MAX_CLAIM))
