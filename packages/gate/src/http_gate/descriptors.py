"""Open files of this process: enough of them, and connections never take the last."""

import sys

WANTED = 8192
"""Not all that the system would give: programs that this process starts inherit the limit, and
some of them look at every number below it."""

RESERVED = 300
"""Kept for the database, logs, child processes and everything else that is no connection."""

FEWEST_CONNECTIONS = 16


def raise_limit() -> int:
    """Let this process open as many files as it may, up to `WANTED`; return how many it may."""
    if sys.platform == "win32":
        return WANTED
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return WANTED
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
    return max(soft, wanted)


def connections_within(files: int, wanted: int) -> int:
    """Return how many connections fit: each has a socket, and often a file beside it."""
    return max(FEWEST_CONNECTIONS, min(wanted, (files - RESERVED) // 2))
