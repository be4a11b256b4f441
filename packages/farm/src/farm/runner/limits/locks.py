"""Locks of files that renderers hold: only Linux.

Each takes some 200 bytes of the kernel's own memory, which count as no process's and in no control
group, and one file can have any number of them. Only those of POSIX are looked for: those of flock
are one for each open file, and the others are refused (`farm.confine.system_calls`).
"""

import os
from collections.abc import Collection
from pathlib import Path

_TABLE = Path("/proc/locks")
_MOST, _MOST_OF_A_LONG_TABLE = 20_000, 2_000
"""Locks of one renderer, for which programs have some dozen; and of those at which is looked when
there are more on the machine."""
_MOST_LINES = 30_000
"""Of the table, no more is read: the kernel begins anew for each page of it, and holds up everybody
who locks a file meanwhile."""
_PAGE = 1 << 16
_POSIX, _KIND, _PROCESS, _COLUMNS = b"POSIX", 1, 4, 5


def too_many_locks(processes: Collection[int]) -> bool:
    """Return whether processes hold more locks of POSIX than any program needs."""
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
    """Return whose lock of POSIX a line of the table is about; b"" of other lines.

    Parameters:
        line: see proc_locks(5); one that waits for another begins with an arrow.
    """
    columns = line.replace(b" -> ", b" ", 1).split(maxsplit=_COLUMNS)
    return columns[_PROCESS] if len(columns) > _COLUMNS and columns[_KIND] == _POSIX else b""
