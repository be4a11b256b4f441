"""The memory of a process, as Linux reports it in ``/proc``.

What was swapped out counts like what is in RAM: otherwise a process could move all of its memory
to the machine's swap (``MADV_PAGEOUT``), and go beyond any limit.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from farm.runner.limits.threads import TRIES, has_ended, living_thread

_PROC = Path("/proc")
_STATUS, _ROLLUP = "status", "smaps_rollup"
_AMOUNT = re.compile(
    rb"^(VmRSS|VmSwap|RssShmem|VmPTE|Rss|Pss|Pss_Shmem|Swap|SwapPss):[ \t]+([0-9]+) kB$",
    re.MULTILINE,
)
"""Matches whole lines only: a line also contains the process's name, which it can choose itself."""


@dataclass(frozen=True)
class ProcessMemory:
    """The memory of a process in bytes.

    Attributes:
        resident: in RAM.
        swapped: in swap.
        shared: the part of it that is shared memory, not backed by a file on disk.
        tables: page tables.
    """

    resident: int = 0
    swapped: int = 0
    shared: int = 0
    tables: int = 0


def memory_of(process: int) -> ProcessMemory | None:
    """Return a process's memory; None if it is gone or cannot be examined, or not on Linux."""
    values = _values(process, _STATUS)
    return _memory(values) if "VmRSS" in values else None


def fair_share_of(process: int) -> ProcessMemory | None:
    """Return a process's share of memory, where pages of several processes are divided among them.

    None if it is gone or cannot be examined, or not on Linux.
    """
    before, shares, after = (_values(process, each) for each in (_STATUS, _ROLLUP, _STATUS))
    if "Pss" not in shares:
        return None
    # A process also has the arguments of a program that it is about to execute. The kernel adds
    # them to VmRSS, but they are not yet in its address space, which is what is shared out; and it
    # can be kept waiting there for ever. Of two looks, the one with less counts: the process may
    # have started its program, or released something, in between.
    resident, swapped = (
        max(0, min(each.get(status, 0) for each in (before, after)) - shares.get(mapped, 0))
        for status, mapped in (("VmRSS", "Rss"), ("VmSwap", "Swap"))
    )
    return ProcessMemory(
        resident=shares["Pss"] + resident,
        swapped=shares.get("SwapPss", 0) + swapped,
        shared=shares.get("Pss_Shmem", 0),
        tables=after.get("VmPTE", 0),
    )


def _memory(status: dict[str, int]) -> ProcessMemory:
    return ProcessMemory(
        resident=status.get("VmRSS", 0),
        swapped=status.get("VmSwap", 0),
        shared=status.get("RssShmem", 0),
        tables=status.get("VmPTE", 0),
    )


def _values(process: int, file: str) -> dict[str, int]:
    """Return a process's memory statistics in bytes; {} if it is gone, or this is not Linux."""
    for _ in range(TRIES):
        if values := _read(living_thread(process), file):
            return values
        if has_ended(process):
            break
    return {}


def _read(process: int, file: str) -> dict[str, int]:
    try:
        text = (_PROC / str(process) / file).read_bytes()
    except OSError:
        return {}
    return {name.decode(): int(kilobytes) * 1024 for name, kilobytes in _AMOUNT.findall(text)}
