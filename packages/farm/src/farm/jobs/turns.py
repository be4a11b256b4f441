"""How long a runner may work before it makes room for a user who has none."""

TURN_SECONDS = 60.0
"""Shortest turn."""

LONGEST_TURN_SECONDS = 600.0

_STARTUP_SHARE = 0.05
"""Largest fraction of a turn for starting the renderer, as far as the longest turn allows."""


def turn_seconds(startup_seconds: float | None) -> float:
    """Return the length of a turn, given how long the job's renderer takes to start.

    Parameters:
        startup_seconds: as measured by earlier claims; None when unknown.
    """
    worthwhile = (startup_seconds or 0.0) / _STARTUP_SHARE
    return min(max(TURN_SECONDS, worthwhile), LONGEST_TURN_SECONDS)
