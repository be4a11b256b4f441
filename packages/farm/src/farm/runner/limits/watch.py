"""Enforces the limits of a claim's renderer, and reports which one it has hit.

With a control group, the kernel counts memory and processes, but for the memory that it charges to
no group: queues of sockets, and what only `backstop` sees. Without, all processes, what they hold
open (`holdings`) and the work folder are checked twice a second. In between, the kernel's own
limits apply: the size of a file and, in a sandbox, the number of processes.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from farm.products.shared.farm_orders import Confined
from farm.runner.failure import Failure
from farm.runner.limits.amounts import Limits, size
from farm.runner.limits.backstop import Attributed, Backstop, most_files
from farm.runner.limits.cgroups import Counts, Group
from farm.runner.limits.disk import RESTLESS_TRIES, DiskWatch, UnlinkedFiles
from farm.runner.limits.holdings import Holdings, holdings_of
from farm.runner.limits.processor_time import ProcessorTime
from farm.runner.limits.threads import runnable_threads
from farm.runner.limits.usage import Tree, free_files, processors, tree_of
from farm.runner.workplace import Workplace

LOOK_SECONDS = 0.5
_FOLDER_PART = 0.1
"""Largest fraction of time for scanning the work folder, or open files."""
_LEAST_MEMORY = 256 * 2**20
"""Free memory and swap of the machine below which the kernel may soon kill any process."""
_LOOKS_IN_A_ROW = 3
"""How many times in a row a process must be hidden (a starting process is for a moment), or
descriptors must be in sockets (programs receive them at once)."""
_MOST_SENT = 32
"""Limit of descriptors in sockets. Each may stand for megabytes that no process has open."""
_MOST_LOST = 8
"""Limit of Unix sockets that stay although no process has them open. They may hold descriptors. A
few are left where a thread is blocked in a call on a socket that another thread has closed."""


@dataclass(frozen=True)
class Confinement:
    """What confines the renderers of a job.

    Attributes:
        group: the control group they run in; None where there is none.
        pid_file: has the process id of the claim's renderer once it has started.
    """

    limits: Limits
    pid_file: Path
    group: Group | None = None

    def orders(self, command: Sequence[str], apart: bool, programs: bool) -> Confined:
        """Return the orders for `farm_start.py`, which becomes a renderer."""
        return {
            "command": list(command),
            "apart": apart,
            "programs": programs,
            "rlimits": self.limits.rlimits,
            "group": str(self.group.path) if self.group else "",
            "pid_file": str(self.pid_file),
        }


class Watch:
    """Watches the renderer of one claim. Not thread-safe: one thread looks, then another asks."""

    def __init__(
        self,
        confinement: Confinement,
        place: Workplace,
        frames: int,
        sandboxed: bool = False,
        layered: bool = False,
    ) -> None:
        """Prepare, before the renderer starts.

        Parameters:
            frames: number of the claim's frames.
            sandboxed: the renderer runs in a sandbox.
            layered: its changes to the staged files are kept separate from them.
        """
        self._limits, self._group = confinement.limits, confinement.group
        self._pid_file = confinement.pid_file
        self._pid_file.unlink(missing_ok=True)
        self._disk = place.root
        folders = (place.written, place.home, place.taken, place.layer.upper)
        staged = None if layered else place.project
        self._disk_watch = DiskWatch(self._limits, place.root, folders, self._unlinked, staged)
        self._most_cpu = self._limits.frame_cpu_seconds * max(1, frames)
        # A group serves all claims of a job, one after the other.
        self._before = self._group.counts() if self._group else Counts(0.0, 0, 0)
        self._tree = Tree()
        self._processor_time = ProcessorTime[psutil.Process](processors())
        self._sandboxed = sandboxed
        charged = self._group.kernel_bytes if self._group else int
        self._backstop, self._attributed = Backstop(charged), Attributed()
        self._held, self._hidden_looks, self._sent_looks = Holdings(), 0, 0
        self._lost_sockets: list[frozenset[bytes]] = []
        self._next_folder_look = self._next_held_look = 0.0
        self.cpu_seconds = 0.0

    def look(self) -> Failure | None:
        """Return why the renderer must be ended now; None when it may continue."""
        pid = self._pid()
        if pid is None:
            return None
        limits = self._limits
        self._tree, now = tree_of(pid, limits.processes, limits.memory_bytes), time.monotonic()
        self._attributed = self._backstop.update(self._tree, now)
        seconds = self._processor_time.update(
            self._tree.used, now, lambda process: runnable_threads(process.pid)
        )
        self.cpu_seconds = max(self.cpu_seconds, seconds)
        # Cheap checks come first: examining open files takes long.
        failure = self.kernel_failure() or _too_much_memory(limits, self._tree.memory_bytes)
        if failure is not None:
            return failure
        self._look_at_held()
        return (
            self.kernel_failure()
            or _too_much_memory(limits, self._memory_bytes())
            or self._too_much_held()
            or self._too_much_attributed()
            or _too_many_processes(limits, self._tree.processes)
            or self._too_much_cpu()
            or self._machine_full()
            or self._too_much_disk(pid)
        )

    def kernel_failure(self) -> Failure | None:
        """Return the failure if the kernel has enforced a limit of the control group, else None.

        Call this once more after the renderer's end.
        """
        if self._group is None:
            return None
        now = self._group.counts()
        self.cpu_seconds = max(self.cpu_seconds, now.cpu_seconds - self._before.cpu_seconds)
        if now.killed > self._before.killed:
            return _too_much_memory(self._limits, self._limits.memory_bytes + 1)
        if now.refused > self._before.refused:
            return _too_many_processes(self._limits, self._limits.processes + 1)
        return None

    def kill(self) -> None:
        """Kill everything that the renderer has started, as far as known."""
        if self._group is not None:
            self._group.kill()
        self._tree.kill()

    def _pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int(self._pid_file.read_text())
        return None

    def _look_at_held(self) -> None:
        begin = time.monotonic()
        if begin < self._next_held_look:
            return
        self._held = self._holdings()
        self._next_held_look = begin + (time.monotonic() - begin) / _FOLDER_PART
        self._hidden_looks = self._hidden_looks + 1 if self._held.hidden else 0
        # A socket that nobody has open may have others in its own queue, and so on.
        nested = self._held.sent > 0 and self._held.hidden_sockets > 0
        sent = nested or self._held.sent > _MOST_SENT
        # Nor does a blocked call keep so many, after another thread has closed their descriptors.
        self._lost_sockets = [*self._lost_sockets, self._held.lost_sockets][-_LOOKS_IN_A_ROW:]
        lost = len(frozenset.intersection(*self._lost_sockets)) > _MOST_LOST
        self._sent_looks = self._sent_looks + 1 if sent or lost else 0

    def _holdings(self) -> Holdings:
        processes = [each.pid for each in self._tree.members]
        return holdings_of(processes, self._attributed.shared_bytes, self._sandboxed)

    def _unlinked(self) -> UnlinkedFiles:
        """Return the renderer's open files without a name. It is stopped meanwhile."""
        if (pid := self._pid()) is not None:
            self._tree = tree_of(pid, self._limits.processes, self._limits.memory_bytes)
        return _unlinked_of(self._holdings())

    def _memory_bytes(self) -> int:
        """Return the memory of all processes, plus unowned memory that no group is charged for."""
        tree, held = self._tree, self._held
        if self._group is not None:
            # It is charged for pipes and files in memory, and for connections.
            queues = max(0, held.socket_bytes - self._group.connection_bytes())
            return tree.memory_bytes + queues
        unmapped = max(0, held.shared_bytes - tree.shared_bytes)
        return tree.memory_bytes + unmapped + held.buffer_bytes

    def _too_much_held(self) -> Failure | None:
        if self._held.too_many:
            return Failure(
                "The renderer keeps so many files, pipes, sockets, mappings and locks open that"
                " what it uses cannot be measured.",
                True,
            )
        if self._sent_looks >= _LOOKS_IN_A_ROW:
            return Failure(
                "The renderer keeps open files in the queues of its sockets, so what it uses"
                " cannot be measured.",
                True,
            )
        if self._held.starving:
            return Failure(
                "The renderer's own network connections hold so much data that those of other"
                " programs on this machine would fail.",
                True,
            )
        if self._hidden_looks >= _LOOKS_IN_A_ROW and self._group is None:
            return Failure(
                "The renderer has a process that hides which files it keeps open, so how"
                " much memory it uses cannot be measured.",
                True,
            )
        return None

    def _too_much_attributed(self) -> Failure | None:
        """Return the failure for what no process accounts for: see `Backstop`."""
        # It is an estimate: the frame may succeed elsewhere.
        kernel_bytes, most = self._attributed.kernel_bytes, self._limits.memory_bytes
        if kernel_bytes > most:
            return Failure(
                "The renderer has made the operating system use about"
                f" {size(kernel_bytes)} of memory for itself; it may use {size(most)} on this"
                " machine.",
                False,
            )
        if self._attributed.files > most_files():
            return Failure(
                f"The renderer keeps about {self._attributed.files} files open, most of them in"
                " ways that cannot be seen. Other programs on this machine would soon be unable to"
                " open any.",
                False,
            )
        return None

    def _too_much_cpu(self) -> Failure | None:
        if self.cpu_seconds <= self._most_cpu:
            return None
        return Failure(
            f"The renderer used {self.cpu_seconds / 3600:.2f} hours of processor time; this "
            f"machine type allows {self._limits.frame_cpu_seconds / 3600:.2f} for a frame.",
            True,
        )

    def _machine_full(self) -> Failure | None:
        """Return whether the machine itself is running out of a resource."""
        left = psutil.virtual_memory().available
        if left < _LEAST_MEMORY and left + psutil.swap_memory().free < _LEAST_MEMORY:
            return Failure(
                "The render machine ran out of memory while this renderer used "
                f"{size(self._memory_bytes())}.",
                False,
            )
        with contextlib.suppress(OSError):
            free = psutil.disk_usage(str(self._disk)).free
            if free < self._limits.reserve_bytes:
                return Failure(
                    f"The render machine's disk has only {size(free)} left; a renderer must leave "
                    f"{size(self._limits.reserve_bytes)} free.",
                    False,
                )
            files = free_files(self._disk)
            if files is not None and files < self._limits.reserve_files:
                return Failure(
                    f"The render machine's disk has room for only {files} more files; a renderer"
                    f" must leave room for {self._limits.reserve_files}.",
                    False,
                )
        return None

    def _too_much_disk(self, pid: int) -> Failure | None:
        begin, limits = time.monotonic(), self._limits
        if not self._disk_watch.needs_count() and begin < self._next_folder_look:
            return None
        use = self._disk_watch.look(pid, _unlinked_of(self._held))
        found = use.folders
        self._next_folder_look = begin + (time.monotonic() - begin) / _FOLDER_PART
        if use.restless >= RESTLESS_TRIES:
            return Failure(
                "The renderer's processes cannot be paused to measure how much they have written.",
                use.woken,
            )
        if use.sure and use.bytes > limits.disk_bytes:
            return Failure(
                f"The renderer has written {size(use.bytes)}; this machine type allows "
                f"{size(limits.disk_bytes)} at a time.",
                True,
            )
        if use.unexplained_bytes > limits.disk_bytes:
            return Failure(
                f"{size(use.unexplained_bytes)} of the disk are taken by files that cannot be"
                " found, while the renderer has files open whose size cannot be measured. This"
                f" machine type allows {size(limits.disk_bytes)} at a time.",
                False,
            )
        if use.sure and found.files > limits.files:
            return Failure(
                f"The renderer has written more than {limits.files} files, the most that this "
                "machine type allows at a time.",
                True,
            )
        if found.largest_bytes >= limits.file_bytes:
            return file_too_large(limits)
        if found.hidden:
            return Failure(
                "The renderer has made a folder that cannot be opened, or folders nested"
                " too deep to reach, so how much it has written cannot be measured.",
                True,
            )
        return None


def _unlinked_of(held: Holdings) -> UnlinkedFiles:
    return UnlinkedFiles(held.disk_bytes, held.unmeasured)


def unmeasured(error: Exception) -> Failure:
    """Return the failure for a renderer whose usage cannot be measured."""
    return Failure(f"What the renderer uses cannot be measured: {error!r}.", False)


def file_too_large(limits: Limits) -> Failure:
    """Return the failure for a renderer that SIGXFSZ has ended."""
    return Failure(
        f"The renderer wrote a file of {size(limits.file_bytes)}, the most that this machine type "
        "allows.",
        True,
    )


def _too_much_memory(limits: Limits, used: int) -> Failure | None:
    if used <= limits.memory_bytes:
        return None
    # Another machine may have more.
    return Failure(
        f"The renderer used more than {size(limits.memory_bytes)} of memory, the most that it may "
        "have on this machine.",
        False,
    )


def _too_many_processes(limits: Limits, used: int) -> Failure | None:
    if used <= limits.processes:
        return None
    return Failure(
        f"The renderer started more than {limits.processes} processes and threads, the most that "
        "this machine type allows at a time.",
        True,
    )
