"""The usage of a renderer and its child processes: processes, memory, processor time."""

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from farm_protocol.runner import HostLimits

from farm.confine import ends_all, is_root
from farm.runner.limits import cgroups
from farm.runner.limits.amounts import Machine, held_by
from farm.runner.limits.processor_time import Used
from farm.runner.limits.threads import TRIES, has_ended, living_thread, thread_count

_AMOUNT = re.compile(rb"^(VmRSS|RssShmem|VmPTE|Pss|Pss_Shmem):[ \t]+([0-9]+) kB$", re.MULTILINE)
"""Matches whole lines only: a line also contains the process's name, which it can choose itself."""


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
        memory_bytes: RAM; shared memory counts once.
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
    threads, resident, shared, tables = 0, 0, 0, 0
    used, system = {}, {}
    for each in members:
        with contextlib.suppress(psutil.Error), each.oneshot():
            threads += thread_count(each.pid) or each.num_threads()
            values = _memory(each.pid)
            resident += values.get("VmRSS") or each.memory_info().rss
            shared += values.get("RssShmem", 0)
            tables += values.get("VmPTE", 0)
            times = each.cpu_times()
            waited = getattr(times, "children_system", 0.0)
            system[each] = Used(times.system, waited)
            waited += getattr(times, "children_user", 0.0)
            used[each] = Used(times.user + times.system, waited)
    if resident > most_memory_bytes and len(members) > 1:
        shares = [_fair_share(each) for each in members]
        resident, shared = (sum(parts) for parts in zip(*shares, strict=True))
    return Tree(members, threads, resident + tables, shared, used, system)


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


def _fair_share(process: psutil.Process) -> tuple[int, int]:
    """Return a process's share of memory (PSS), and its share of shared memory, in bytes."""
    values = _memory(process.pid, "smaps_rollup")
    if "Pss" in values:
        return values["Pss"], values.get("Pss_Shmem", 0)
    try:
        # For a process that cannot be examined, all that it has.
        values = _memory(process.pid)
        return values.get("VmRSS") or process.memory_info().rss, values.get("RssShmem", 0)
    except psutil.Error:
        return 0, 0


def _memory(process: int, file: str = "status") -> dict[str, int]:
    """Return a process's memory statistics in bytes; {} if it is gone, or this is not Linux."""
    for _ in range(TRIES):
        if values := _status(living_thread(process), file):
            return values
        if has_ended(process):
            break
    return {}


def _status(process: int, file: str) -> dict[str, int]:
    """Read memory statistics from /proc, in bytes; {} if the process is gone, or not on Linux."""
    try:
        text = Path(f"/proc/{process}/{file}").read_bytes()
    except OSError:
        return {}
    return {name.decode(): int(kilobytes) * 1024 for name, kilobytes in _AMOUNT.findall(text)}
