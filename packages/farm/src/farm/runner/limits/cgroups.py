"""Linux control groups (cgroup v2): the kernel enforces a renderer's memory limit.

Memory includes swap: a group may have none of that. What the kernel charges to no group, such as
the queues of some sockets, is left to `watch`.

A runner can create a group if it is root on a machine or in a container, or if systemd has
delegated its service's control group to it (``Delegate=yes`` with ``DelegateSubgroup=``). Groups
that systemd has not delegated are left alone.
"""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from farm_protocol.runner import LimitsMode

from farm.runner.limits.amounts import Limits

ROOT = Path("/sys/fs/cgroup")
_WATCHED = (
    "memory is only watched, so a scene that sets out to can hold several times its limit, and"
    " another job on the machine may be ended for it."
)
_HOW = (
    "Start the farm in a systemd service with Delegate=yes and DelegateSubgroup=farm, or as root in"
    " a container with control groups of version 2."
)
_REQUIRE = "To render only on machines that have one, set FARM_LIMITS=required."
_NEEDED = frozenset({"memory", "pids"})
_NAME = "envoy-render-"
_SYSTEMD = Path("/run/systemd/system")
"""Exists if systemd manages this machine's control groups."""
_EXPLAINED = ("kernel_stack", "pagetables", "sec_pagetables", "slab_reclaimable", "zswap")
"""Parts of ``kernel`` in ``memory.stat`` that ``/proc/meminfo`` reports as well."""
_PARTS = ("slab_unreclaimable", "percpu", "vmalloc")
"""The others, as far as kernels before 5.18 report them, which have no ``kernel``."""
_TRIES, _PAUSE_SECONDS = 40, 0.05


class GroupError(Exception):
    """There is no control group although one is required. ``str()`` is a message for people."""


@dataclass(frozen=True)
class Counts:
    """The kernel's counters of a group.

    Attributes:
        cpu_seconds: processor time, including that of ended processes.
        killed: how many processes the kernel has killed because the group ran out of memory.
        refused: how often a process or thread could not be started because there were too many.
    """

    cpu_seconds: float
    killed: int
    refused: int


class Group:
    """A control group for the renderers of one job."""

    def __init__(self, path: Path) -> None:
        """``path``: the group's existing folder."""
        self.path = path

    @classmethod
    def make(cls, limits: Limits) -> "Group | None":
        """Create a group with the limits of a job; return None where that is not possible."""
        base = _base()
        if base is None:
            return None
        path = base / f"{_NAME}{os.getpid()}"
        group = cls(path)
        try:
            path.mkdir(exist_ok=True)
            (path / "memory.max").write_text(str(limits.memory_bytes))
            # A kernel without swap, or one that does not count it, does not have this file.
            with contextlib.suppress(OSError):
                (path / "memory.swap.max").write_text("0")
            (path / "pids.max").write_text(str(limits.processes))
            # Kill all processes of a renderer together: those left would only hang.
            (path / "memory.oom.group").write_text("1")
        except OSError:
            group.remove()
            return None
        return group

    def counts(self) -> Counts:
        """Return the current counters; all 0 when the group no longer exists."""
        try:
            return Counts(
                cpu_seconds=_values(self.path / "cpu.stat").get("usage_usec", 0) / 1e6,
                killed=_values(self.path / "memory.events").get("oom_kill", 0),
                refused=_values(self.path / "pids.events").get("max", 0),
            )
        except OSError:
            return Counts(0.0, 0, 0)

    def kernel_bytes(self) -> int:
        """Return the memory that the kernel uses for itself on behalf of the group, in bytes.

        Without what `farm.runner.limits.backstop.unexplained_bytes` takes as explained.
        """
        has = self._statistics()
        if "kernel" in has:
            return max(0, has["kernel"] - sum(has.get(each, 0) for each in _EXPLAINED))
        return sum(has.get(each, 0) for each in _PARTS)

    def connection_bytes(self) -> int:
        """Return the memory of TCP and UDP sockets that is charged to the group, in bytes."""
        return self._statistics().get("sock", 0)

    def _statistics(self) -> dict[str, int]:
        try:
            return _values(self.path / "memory.stat")
        except OSError:
            return {}

    def kill(self) -> None:
        """Kill all processes in the group."""
        with contextlib.suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Remove the group; processes that are left in it are killed."""
        for _ in range(_TRIES):
            with contextlib.suppress(OSError):
                self.path.rmdir()
            if not self.path.exists():
                return
            self.kill()
            time.sleep(_PAUSE_SECONDS)  # Killed processes take a moment to disappear.


def usable() -> bool:
    """Return whether this process can create groups."""
    return _base() is not None


def complaint(mode: LimitsMode, alone: bool) -> str:
    """Return a warning about this machine for its operator, as a message; "" when all is well.

    Parameters:
        alone: the farm has no more than one account.
    """
    if usable():
        return ""
    if mode == "required":
        return required()
    return "" if alone else f"{_trouble()}: {_WATCHED} {_HOW} {_REQUIRE}"


def required() -> str:
    """Return why no work is done here, as a message."""
    return f"{_trouble()}, and this farm requires one (FARM_LIMITS=required). {_HOW}"


def _trouble() -> str:
    if not (ROOT / "cgroup.controllers").exists():
        why = "its control groups are not of version 2"
    else:
        why = "the system has not delegated one with memory and pids to the farm"
    return f"This render machine has no control group for renderers ({why})"


def memory_of_this_process() -> int | None:
    """Return the memory limit of this process's container, in bytes; None: there is none."""
    try:
        own = _own()
        groups = [own, *own.parents] if own else []
        texts = [
            (each / "memory.max").read_text().strip()
            for each in groups
            if each.is_relative_to(ROOT) and (each / "memory.max").exists()
        ]
    except OSError:
        return None
    return min((int(text) for text in texts if text.isdigit()), default=None)


def _base() -> Path | None:
    """Return the group below which this process may create others; None when there is none."""
    try:
        own = _own()
        if own is None:
            return None
        # Except for the root, a group that contains processes cannot have child groups with limits.
        for group in [own] if own == ROOT else [own, own.parent]:
            if _may_use(group):
                return group
    except OSError:
        pass
    return None


def _own() -> Path | None:
    if not (ROOT / "cgroup.controllers").exists():
        return None  # Version 1, or no Linux.
    lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    path = ROOT / own.lstrip("/")
    # The path of a group outside this container contains "..".
    return path if own and ".." not in path.parts and path.is_dir() else None


def _may_use(group: Path) -> bool:
    if _SYSTEMD.exists() and not _delegated(group):
        return False
    if not set((group / "cgroup.controllers").read_text().split()) >= _NEEDED:
        return False
    if not os.access(group, os.W_OK) or not os.access(group / "cgroup.procs", os.W_OK):
        return False
    handed_on = group / "cgroup.subtree_control"
    if not set(handed_on.read_text().split()) >= _NEEDED:
        try:
            handed_on.write_text(" ".join(f"+{name}" for name in sorted(_NEEDED)))
        except OSError:
            return False
    return True


def _delegated(group: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(group, name) == b"1":
                return True
    return False


def _values(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in file.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
