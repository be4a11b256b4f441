"""Frame numbers in file names: the same for the farm and inside renderers.

Python 3.7 or newer.
"""

import functools


def numbered(prefix: str, frame: int, *, signed_digits: bool = False) -> str:
    """Return ``prefix`` with the frame number, as Blender writes it.

    Blender's digits do not count the sign (frame -3 is ``-0003``, seen in 3.4.1), and the last run
    of ``#`` in a prefix is where the number goes.

    Parameters:
        signed_digits: the sign counts as a digit, as in C's ``printf``: ``-003``.
    """
    head, hashes, tail = split(prefix)
    count = len(hashes) or 4
    if signed_digits:
        return f"{head}{frame:0{count}d}{tail}"
    return f"{head}{'-' if frame < 0 else ''}{abs(frame):0{count}d}{tail}"


@functools.lru_cache(maxsize=64)  # Called for each frame of a job, with a few prefixes.
def split(prefix: str) -> "tuple[str, str, str]":
    """Return what is before the last run of ``#``, the run, and what follows; else the text."""
    # No regular expression: a search for the last run would try to start at each "#" before it.
    end = prefix.rfind("#") + 1
    head = prefix[:end].rstrip("#")
    return (head, prefix[len(head) : end], prefix[end:]) if end else (prefix, "", "")
