"""A backstop for kernel resources that no process accounts for. Only on Linux.

`holdings` and the filters of `farm.confine.system_calls` know many ways to keep memory of the
kernel that no process is charged for. This one knows none of them: it sees what the whole machine
has more of, and attributes it by system time (`attribution`).
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from farm.runner.limits.attribution import Attribution, Share
from farm.runner.limits.processor_time import ProcessorTime
from farm.runner.limits.sysctl import read_sysctl
from farm.runner.limits.threads import runnable_threads
from farm.runner.limits.usage import Tree, processors

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_MOST_FILES, _FILES_PART = 200_000, 4
"""Open files attributed to a renderer; of a machine that allows few, this part of them."""
_EXPLAINED = (
    *("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "PageTables", "SecPageTables"),
    *("KernelStack", "Hugetlb", "Balloon"),
)
"""Lines of ``/proc/meminfo`` (proc(5)): memory that is charged to somebody, or to nobody, as what
a host has taken back from a virtual machine. Reclaimable caches come on top of it."""
_LINE = re.compile(r"^(\w+): +(\d+) kB$", re.M)
_ON_PROCESSORS = re.compile(r"^ +count: +(\d+)$", re.M)
"""Free pages that each processor keeps for itself: in the gigabytes on large machines."""
_COMPRESSED = re.compile(r"^nr_zspages (\d+)$", re.M)
"""Pages of zram and zswap, which hold memory that was swapped out."""
_CONNECTIONS = re.compile(r"^(?:TCP|UDP): .*\bmem (\d+)", re.M)
"""Pages that all connections have, in any namespace. Those of a renderer count by themselves."""
_ZFS = re.compile(r"^size +\d+ +(\d+)$", re.M)
"""Its own file cache, in bytes."""


@dataclass(frozen=True)
class Attributed:
    """What is attributed to a renderer.

    Attributes:
        kernel_bytes: of memory that no process and no cache accounts for.
        shared_bytes: of shared memory and in-memory files.
        files: that are open.
    """

    kernel_bytes: int = 0
    shared_bytes: int = 0
    files: int = 0


class Backstop:
    """Attributes the growth of the machine's resources to a renderer, from look to look."""

    def __init__(self, charged_bytes: Callable[[], int] = int) -> None:
        """Begin, before the renderer starts.

        Parameters:
            charged_bytes: returns how much of the otherwise unexplained memory is charged to the
                renderer's control group, which limits it.
        """
        self._charged_bytes = charged_bytes
        self._time = ProcessorTime[psutil.Process](processors())
        self._share = Share(_system_seconds())
        self._kernel = Attribution(self._unexplained_bytes())
        self._shared = Attribution(shared_bytes())
        self._files = Attribution(open_files())

    def update(self, tree: Tree, now: float) -> Attributed:
        """Return what is attributed to the renderer now.

        Parameters:
            tree: all its processes.
            now: in seconds, of any clock that goes on.
        """
        ours = self._time.update(tree.system, now, lambda process: runnable_threads(process.pid))
        share = self._share.update(_system_seconds(), ours)
        return Attributed(
            kernel_bytes=self._kernel.update(self._unexplained_bytes(), share),
            shared_bytes=self._shared.update(shared_bytes(), share),
            files=self._files.update(open_files(), share),
        )

    def _unexplained_bytes(self) -> int:
        return max(0, unexplained_bytes() - self._charged_bytes())


def most_files() -> int:
    """Return how many open files may be attributed to a renderer."""
    return min(
        _MOST_FILES, read_sysctl("fs/file-max", [_MOST_FILES * _FILES_PART])[0] // _FILES_PART
    )


def shared_bytes() -> int:
    """Return the machine's memory in use for shared memory and in-memory files, in bytes."""
    return int(getattr(psutil.virtual_memory(), "shared", 0))


def open_files() -> int:
    """Return how many files are open on this machine; 0 if unknown."""
    return read_sysctl("fs/file-nr", [0])[0]


def unexplained_bytes() -> int:
    """Return the memory of this machine that no process and no cache accounts for; 0 if unknown."""
    lines = {name: int(value) * 1024 for name, value in _LINE.findall(_read("meminfo"))}
    if "MemTotal" not in lines:
        return 0
    caches = lines.get("KReclaimable", lines.get("SReclaimable", 0))
    compressed = max(_PAGE * _sum(_COMPRESSED, "vmstat"), lines.get("Zswap", 0))
    pages = _sum(_ON_PROCESSORS, "zoneinfo") + _sum(_CONNECTIONS, "net/sockstat")
    explained = sum(lines.get(each, 0) for each in _EXPLAINED) + caches + compressed
    explained += pages * _PAGE + _sum(_ZFS, "spl/kstat/zfs/arcstats")
    return max(0, lines["MemTotal"] - explained)


def _system_seconds() -> float:
    """Return the system time of all of this machine but this process."""
    # Without interrupts, which a renderer can cause by loopback connections; and without what this
    # process spends on looking at the renderer, which takes longer the more there is to see.
    return float(psutil.cpu_times().system) - float(psutil.Process().cpu_times().system)


def _sum(pattern: re.Pattern[str], name: str) -> int:
    return sum(map(int, pattern.findall(_read(name))))


def _read(name: str) -> str:
    try:
        return (_PROC / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
