"""Which machines a job avoids."""

from collections.abc import Collection, Mapping

MAX_HOST_FAILURES = 3
"""A job avoids a host on which this many of its consecutive claims failed."""

REFUSED_PAUSE_SECONDS = 5.0
"""How long a job starts no runner after one came up on a host that it avoids. No engine can exclude
a host: the next runner may come up there again, and starting one costs a second or two.
"""

KNOWN_SECONDS = 600.0
"""How long a host without runners still counts as one that could do the job."""


def avoided(failures: Mapping[str, int], known: Collection[str]) -> frozenset[str]:
    """Return the hosts to avoid: none when no other is known, since then none would be left.

    Such a job continues there, and ends through the limits of its frames.

    Parameters:
        failures: by host, the number of the job's consecutive failed claims there.
        known: hosts that run, or have recently run, runners of the job's machine type.
    """
    bad = frozenset(host for host, count in failures.items() if count >= MAX_HOST_FAILURES)
    return bad if set(known) - bad else frozenset()
