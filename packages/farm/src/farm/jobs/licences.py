"""How long a job waits after its renderer got no licence."""

FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 900.0


def licence_pause(failures: int) -> float:
    """Return the seconds until the next try, doubled with each of the ``failures`` in a row."""
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(max(failures, 1) - 1, 30)
    return min(doubled, LONGEST_PAUSE_SECONDS)
