"""Raises the limit on open files, and reserves some that connections cannot use."""

import sys

WANTED = 8192
"""Not all that the system would allow: child processes inherit the limit, and some of them loop
over every number below it.
"""

RESERVED = 300
"""Reserved for the database, logs, child processes and everything else that is not a connection."""

FEWEST_CONNECTIONS = 16


def raise_limit() -> int:
    """Raise this process's limit on open files to `WANTED` at most; return the limit."""
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
    """Return how many connections fit: each has a socket, and often an open file as well."""
    return max(FEWEST_CONNECTIONS, min(wanted, (files - RESERVED) // 2))
