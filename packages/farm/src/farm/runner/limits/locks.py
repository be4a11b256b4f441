"""File locks held by renderers. Only on Linux.

Each lock takes about 200 bytes of kernel memory that no process and no control group is charged
for, and a file can have any number of POSIX locks. There is at most one flock lock per open file,
but these count, too: otherwise they could fill the part of the table that is read, so that POSIX
locks after them are not seen. All other kinds are refused (`farm.confine.system_calls`).
"""

import os
from collections.abc import Collection
from pathlib import Path

_TABLE = Path("/proc/locks")
_MOST, _MOST_OF_A_LONG_TABLE = 20_000, 2_000
"""Maximum number of locks of one renderer (programs hold a few dozen); and the maximum among those
that are read if the machine has more than `_MOST_LINES`."""
_MOST_LINES = 30_000
"""Limit of lines read from the table: for each page, the kernel starts from the beginning, and
blocks every process that locks a file."""
_PAGE = 1 << 16
_PROCESS, _COLUMNS = 4, 5


def too_many_locks(processes: Collection[int]) -> bool:
    """Return whether processes hold more locks than any program needs."""
    ours = {str(each).encode() for each in processes}
    lines = found = 0
    rest = b""
    try:
        file = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        while lines < _MOST_LINES and (piece := os.read(file, _PAGE)):
            *whole, rest = (rest + piece).split(b"\n")
            lines += len(whole)
            found += sum(_holder(each) in ours for each in whole)
    except OSError:
        return False
    finally:
        os.close(file)
    return found > (_MOST if lines < _MOST_LINES else _MOST_OF_A_LONG_TABLE)


def _holder(line: bytes) -> bytes:
    """Return the process id of the holder of a lock; b"" if the line has none.

    Parameters:
        line: see proc_locks(5); a lock that waits for another one begins with an arrow.
    """
    columns = line.replace(b" -> ", b" ", 1).split(maxsplit=_COLUMNS)
    return columns[_PROCESS] if len(columns) > _COLUMNS else b""
