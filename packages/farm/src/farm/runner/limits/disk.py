"""How much a renderer has written, so that it cannot hide it from the count.

What is open and has no name (`holdings`) and what lies in folders (`folders`) is counted while the
renderer goes on. Where that leaves a doubt, it is counted once more with the renderer held still
(`stillness`): when folders were changed meanwhile, now and then; when the disk has lost more than
the count can explain, at once. Others may have filled the disk: that costs the renderer a moment,
and decides nothing. Only where a renderer keeps files of which nobody tells the size, what the disk
loses without an explanation is its own.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from farm.runner.limits.amounts import Limits
from farm.runner.limits.folders import TICK_SECONDS, FolderUse, folder_use
from farm.runner.limits.stillness import held_still

_DOUBT_SECONDS = 10.0
"""How long renderers that change folders all the time, as honest ones may, go without being held
still. More than ten times as long as it takes: see `farm.runner.limits.watch`."""
_SETTLED_TICK = 0.01
"""Seconds. Of those held still, nobody has changed anything for longer."""
RESTLESS_TRIES = 3
"""So many times in a row a renderer must not let itself be held still: one may be slow to stop."""


@dataclass(frozen=True)
class Nameless:
    """What a renderer has in files without a name.

    Attributes:
        bytes: as far as it can be told.
        unmeasured: there are files of which only a part can.
    """

    bytes: int = 0
    unmeasured: bool = False


@dataclass(frozen=True)
class DiskUse:
    """What a renderer has written.

    Attributes:
        folders: what has a name.
        nameless: what has none any more.
        sure: nothing can have been hidden, or counted twice.
        woken: the renderer has itself continued when it is stopped.
        restless: how often in a row it did not let itself be held still.
        unexplained_bytes: what the disk has lost besides, while there are files of which only a
            part can be measured.
    """

    folders: FolderUse
    nameless: Nameless
    sure: bool
    woken: bool = False
    restless: int = 0
    unexplained_bytes: int = 0

    @property
    def bytes(self) -> int:
        """All bytes that the renderer has written."""
        return self.folders.disk_bytes + self.nameless.bytes


class Doubt:
    """Decides when a count must be made sure. Pure: it is told numbers and times."""

    def __init__(self, limits: Limits, now: float, free: int) -> None:
        """Begin. ``free``: bytes that the disk has left."""
        self._limits = limits
        self._sure_at, self._free, self._lost = now, free, 0
        self._sure_bytes = 0

    def looked(self, free: int) -> None:
        """Note what the disk has left. What others give back makes up for nothing."""
        self._lost += max(0, self._free - free)
        self._free = free

    def about(self, use: DiskUse, now: float) -> bool:
        """Return whether to count again, with the renderer held still."""
        limits = self._limits
        unexplained = self._lost - max(0, use.bytes - self._sure_bytes)
        if unexplained > max(0, limits.disk_bytes - self._sure_bytes) / 2:
            return True
        if use.sure:
            self._sure_at = now
            return False
        # Something may have been counted twice.
        much = use.bytes > limits.disk_bytes or use.folders.files > limits.files
        return much or now - self._sure_at > _DOUBT_SECONDS

    def settled(self, use: DiskUse, now: float) -> None:
        """Note a count that is certain: what is lost counts anew from here."""
        self._sure_at, self._sure_bytes, self._lost = now, use.bytes, 0


class Loss:
    """What a disk has lost that files do not explain. Pure: it is told numbers."""

    def __init__(self, free: int) -> None:
        """Begin. ``free``: bytes that the disk has left."""
        self._free, self._used = free, 0
        self.bytes = 0

    def looked(self, free: int, used: int, measured: bool) -> None:
        """Note what the disk has left, and what of it files use.

        Parameters:
            measured: no file can use more than that: what else is lost is somebody else's.
        """
        lost = self._free - free - (used - self._used)
        self.bytes = 0 if measured else max(0, self.bytes + lost)
        self._free, self._used = free, used


class DiskWatch:
    """Counts what one renderer has written."""

    def __init__(
        self,
        limits: Limits,
        place: Path,
        folders: Iterable[Path],
        nameless: Callable[[], Nameless],
        staged: Path | None = None,
    ) -> None:
        """Prepare, before the renderer starts.

        Parameters:
            place: folder of the runner's own on the disk where all of these lie.
            folders: that the renderer writes into.
            nameless: returns what it has in files without a name, now.
            staged: a folder that holds files already, into which the renderer may write, too; what
                is there now does not count.
        """
        self._limits, self._folders, self._nameless = limits, list(folders), nameless
        self._staged = () if staged is None else (staged,)
        self._before = folder_use(self._staged, sys.maxsize)
        self._place, self._last_free = place, 0
        free = self._free()
        self._doubt, self._loss = Doubt(limits, time.monotonic(), free), Loss(free)
        self._restless = 0
        # Since the last count: what the disk had left, what it has lost, what the renderer had.
        self._seen_free, self._lost, self._counted = free, 0, 0

    def must_count(self) -> bool:
        """Return whether the disk has lost more since the last count than the renderer had left.

        To be asked at each look: what counts takes long where there are many folders.
        """
        free = self._free()
        # What is given back makes up for nothing.
        self._lost += max(0, self._seen_free - free)
        self._seen_free = free
        return self._is_lost()

    def _is_lost(self) -> bool:
        return self._lost > max(0, self._limits.disk_bytes - self._counted)

    def look(self, pid: int, nameless: Nameless) -> DiskUse:
        """Return what the renderer has written.

        Parameters:
            pid: of its first process.
            nameless: what it had in files without a name, when they were last looked at.
        """
        self._doubt.looked(self._free())
        # Where much is lost, nothing more is to be written while it is counted.
        use = None if self._is_lost() else self._look_at_moving(nameless)
        if use is None or self._doubt.about(use, time.monotonic()):
            self._free()
            use = self._look_at_still(pid)
            if use.sure:
                self._doubt.settled(use, time.monotonic())
        # Where much is lost, who does not keep still is counted again at the next look.
        if use.sure or not self._is_lost():
            self._seen_free, self._lost, self._counted = self._last_free, 0, use.bytes
        unmeasured = use.nameless.unmeasured
        self._loss.looked(self._last_free, use.bytes, use.sure and not unmeasured)
        return replace(use, unexplained_bytes=self._loss.bytes if unmeasured else 0)

    def _look_at_moving(self, nameless: Nameless) -> DiskUse:
        found = self._found()
        return DiskUse(found, nameless, sure=not found.changed)

    def _look_at_still(self, pid: int) -> DiskUse:
        with held_still(pid) as stillness:
            found = self._found(_SETTLED_TICK)
            nameless = self._nameless()
        self._restless = 0 if stillness.kept else self._restless + 1
        # Also who is held still may see a change: the runner itself takes results away.
        sure = stillness.kept and not found.changed
        return DiskUse(found, nameless, sure, stillness.woken, self._restless)

    def _found(self, tick: float = TICK_SECONDS) -> FolderUse:
        found = folder_use(self._folders, self._limits.files, tick)
        before = self._before
        now = folder_use(self._staged, before.files + self._limits.files, tick)
        return FolderUse(
            found.disk_bytes + max(0, now.disk_bytes - before.disk_bytes),
            found.files + max(0, now.files - before.files),
            # A file that is larger than any that it may write was there before.
            max(
                found.largest_bytes, now.largest_bytes * (now.largest_bytes > before.largest_bytes)
            ),
            found.hidden or (now.hidden if not before.hidden else ""),
            found.changed or now.changed,
        )

    def _free(self) -> int:
        with contextlib.suppress(OSError):
            self._last_free = psutil.disk_usage(str(self._place)).free
        return self._last_free
