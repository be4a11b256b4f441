"""Which machines a job stays away from."""

from collections.abc import Collection, Mapping

MAX_HOST_FAILURES = 3
"""A host on which so many claims of a job failed in a row is avoided for that job."""

REFUSED_PAUSE_SECONDS = 5.0
"""How long a job starts no runner after one came up on a host that it avoids. No engine can leave
out a host: the next runner may come up there again, and to start one costs a second or two."""

KNOWN_SECONDS = 600.0
"""How long a host that has no runner any more still counts as one that could do the job."""


def avoided(failures: Mapping[str, int], known: Collection[str]) -> frozenset[str]:
    """Return the hosts to avoid: none when no other is known, for then nobody would be left.

    Such a job goes on where it is, and ends by the limits of its frames.

    Parameters:
        failures: by host, how many claims of the job failed there in a row.
        known: hosts that run or have lately run runners of the job's machine type.
    """
    bad = frozenset(host for host, count in failures.items() if count >= MAX_HOST_FAILURES)
    return bad if set(known) - bad else frozenset()
