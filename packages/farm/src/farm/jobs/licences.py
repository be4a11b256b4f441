"""How long a job waits after its renderer got no licence, and what of that is free."""

FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 900.0

FREE_SECONDS_OF_A_TRY = 300.0
"""Who gets no licence is told so soon after its start, or after the scene was read."""

FREE_SECONDS_OF_A_JOB = 86400.0
"""In all: that there is no licence is what a line of output says, and a scene can print it."""


def licence_pause(failures: int) -> float:
    """Return the seconds until the next try, doubled with each of the ``failures`` in a row."""
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(max(failures, 1) - 1, 30)
    return min(doubled, LONGEST_PAUSE_SECONDS)


def free_seconds(seconds: float, frames_done: int, free_before: float) -> float:
    """Return how much of the machine time of a claim that got no licence costs nothing.

    Whether a frame was begun says nothing: some renderers want their licence with the first frame,
    and of some nobody knows when they begin one.

    Parameters:
        seconds: since its last delivered frame.
        frames_done: that it has delivered. Whoever did had a licence, and has rendered since.
        free_before: seconds of the job that cost nothing.
    """
    if frames_done:
        return 0.0
    return max(0.0, min(seconds, FREE_SECONDS_OF_A_TRY, FREE_SECONDS_OF_A_JOB - free_before))
