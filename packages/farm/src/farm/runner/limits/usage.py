"""The usage of a renderer and its child processes: processes, memory, processor time."""

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from farm_protocol.runner import HostLimits

from farm.confine import ends_all, is_root
from farm.runner.limits import cgroups
from farm.runner.limits.amounts import Machine, held_by
from farm.runner.limits.process_memory import ProcessMemory, fair_share_of, memory_of
from farm.runner.limits.processor_time import Used
from farm.runner.limits.threads import thread_count


def this_machine(folder: Path) -> Machine:
    """Return this machine's resources for renderers.

    Parameters:
        folder: an existing folder on the disk that they write to.
    """
    memory = psutil.virtual_memory().total
    return Machine(
        memory_bytes=min(memory, cgroups.memory_of_this_process() or memory),
        processors=processors(),
        disk_bytes=psutil.disk_usage(str(folder)).total,
        processes=_most_processes(),
        disk_files=_most_files(folder),
    )


def _most_files(folder: Path) -> int | None:
    """Return the number of inodes of a disk; None: unlimited, as on btrfs and Windows."""
    if sys.platform == "win32":
        return None
    return os.statvfs(folder).f_files or None


def free_files(folder: Path) -> int | None:
    """Return the number of free inodes of a disk; None: unlimited. Raises OSError."""
    if sys.platform == "win32":
        return None
    disk = os.statvfs(folder)
    return disk.f_favail if disk.f_files else None


def _most_processes() -> int | None:
    """Return how many processes the current user may have; None: unlimited, or this is root.

    Root's renderers run as another user.
    """
    if sys.platform == "win32" or is_root():
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    return None if soft == resource.RLIM_INFINITY else soft


def processors() -> int:
    """Return how many CPUs this process, and its children, may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def this_machine_holds(sandbox: bool) -> HostLimits:
    """Return how this machine enforces renderers' limits.

    Parameters:
        sandbox: they run in one.

    Raises:
        farm.confine.UndecidedError: it is currently unknown whether there is a sandbox.
    """
    ends = sandbox and ends_all()
    return held_by(cgroups.usable(), sandbox, os.name == "posix", ends)


@dataclass(frozen=True)
class Tree:
    """A process and all its descendants.

    Attributes:
        members: the process itself, then its descendants.
        processes: number of processes and their threads.
        memory_bytes: in RAM and in swap; shared memory counts once.
        shared_bytes: the part of it that is shared memory, not backed by a file on disk.
        used: processor time by process; {} when there are too many of them.
        system: the part of it that the kernel spent for them.
    """

    members: tuple[psutil.Process, ...] = ()
    processes: int = 0
    memory_bytes: int = 0
    shared_bytes: int = 0
    used: Mapping[psutil.Process, Used] = field(default_factory=dict)
    system: Mapping[psutil.Process, Used] = field(default_factory=dict)

    def kill(self) -> None:
        """Kill all of them, and any children that they start meanwhile."""
        stopped: set[psutil.Process] = set()
        found = set(self.members)
        # Stopped first: orphans cannot be found, and must not start others.
        while found:
            for each in found:
                with contextlib.suppress(psutil.Error):
                    each.suspend()
            stopped |= found
            found = _children(self.members[:1]) - stopped
        for each in stopped:
            with contextlib.suppress(psutil.Error):
                each.kill()


def tree_of(pid: int, most_processes: int, most_memory_bytes: int) -> Tree:
    """Return the current usage of a process and its descendants; nothing when it is gone.

    Parameters:
        most_processes: with more than these, only that fact is determined.
        most_memory_bytes: only above it is it worthwhile to count shared memory once.
    """
    try:
        first = psutil.Process(pid)
        members = (first, *first.children(recursive=True))
    except psutil.Error:
        return Tree()
    if len(members) > most_processes:
        return Tree(members, len(members))
    threads, memories = 0, list[ProcessMemory]()
    used, system = {}, {}
    for each in members:
        with contextlib.suppress(psutil.Error), each.oneshot():
            threads += thread_count(each.pid) or each.num_threads()
            memories.append(memory_of(each.pid) or ProcessMemory(each.memory_info().rss))
            times = each.cpu_times()
            waited = getattr(times, "children_system", 0.0)
            system[each] = Used(times.system, waited)
            waited += getattr(times, "children_user", 0.0)
            used[each] = Used(times.user + times.system, waited)
    memory = _sum(memories)
    if memory.resident + memory.swapped > most_memory_bytes and len(members) > 1:
        memory = _sum(_fair_share(each) for each in members)
    total = memory.resident + memory.swapped + memory.tables
    return Tree(members, threads, total, memory.shared, used, system)


def cpu_seconds_of_ended() -> float:
    """Return the processor time of ended descendants of this process, in seconds.

    Descendants whose parents were killed before them are not included. 0.0 on Windows.
    """
    if sys.platform == "win32":
        return 0.0
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _children(parents: Iterable[psutil.Process]) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for each in parents:
        with contextlib.suppress(psutil.Error):
            found |= set(each.children(recursive=True))
    return found


def _fair_share(process: psutil.Process) -> ProcessMemory:
    """Return a process's share of memory; of one that cannot be examined, all that it has."""
    try:
        return (
            fair_share_of(process.pid)
            or memory_of(process.pid)
            or ProcessMemory(process.memory_info().rss)
        )
    except psutil.Error:
        return ProcessMemory()


def _sum(parts: Iterable[ProcessMemory]) -> ProcessMemory:
    parts = list(parts)
    return ProcessMemory(
        resident=sum(each.resident for each in parts),
        swapped=sum(each.swapped for each in parts),
        shared=sum(each.shared for each in parts),
        tables=sum(each.tables for each in parts),
    )
