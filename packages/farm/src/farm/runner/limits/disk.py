"""Disk usage of a renderer, measured so that it cannot hide any of it.

Open unlinked files (`holdings`) and files in folders (`folders`) are counted while the renderer
runs. If the result is doubtful, they are counted again with the renderer stopped (`stillness`): now
and then, if folders changed meanwhile; at once, if the disk has lost more space than the count
explains. Other programs may have filled the disk: that costs the renderer a moment, and has no
consequences. Only if a renderer keeps files of unknown size is unexplained loss attributed to it.
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
"""How long renderers that keep changing folders, as legitimate ones may, run without being stopped.
More than ten times as long as a stop: see `farm.runner.limits.watch`.
"""
_SETTLED_TICK = 0.01
"""Seconds. Stopped processes have changed nothing for longer."""
RESTLESS_TRIES = 3
"""A renderer that evades being stopped this often in succession is ended: it may just be slow."""


@dataclass(frozen=True)
class UnlinkedFiles:
    """A renderer's open files without a name.

    Attributes:
        bytes: as far as they can be measured.
        unmeasured: some files can only partly be measured.
    """

    bytes: int = 0
    unmeasured: bool = False


@dataclass(frozen=True)
class DiskUse:
    """What a renderer has written.

    Attributes:
        folders: files with a name.
        unlinked: files without one.
        sure: nothing can be hidden, or counted twice.
        woken: the renderer continues after it was stopped.
        restless: how many consecutive times it evaded being stopped.
        unexplained_bytes: further losses of the disk, while some files can only partly be measured.
    """

    folders: FolderUse
    unlinked: UnlinkedFiles
    sure: bool
    woken: bool = False
    restless: int = 0
    unexplained_bytes: int = 0

    @property
    def bytes(self) -> int:
        """All bytes that the renderer has written."""
        return self.folders.disk_bytes + self.unlinked.bytes


class RecountPolicy:
    """Decides when to count again, for certain: numbers and times in, decisions out."""

    def __init__(self, limits: Limits, now: float, free: int) -> None:
        """Measure from here. ``free``: bytes that the disk has left."""
        self._limits = limits
        self._sure_at, self._free, self._lost = now, free, 0
        self._sure_bytes = 0

    def note_free(self, free: int) -> None:
        """Note the disk's free space. Space that others free does not compensate."""
        self._lost += max(0, self._free - free)
        self._free = free

    def is_needed(self, use: DiskUse, now: float) -> bool:
        """Return whether to count again, with the renderer stopped."""
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

    def note_certain(self, use: DiskUse, now: float) -> None:
        """Note a certain count: losses are counted from here."""
        self._sure_at, self._sure_bytes, self._lost = now, use.bytes, 0


class UnexplainedLoss:
    """Losses of a disk that files do not explain: numbers in, numbers out."""

    def __init__(self, free: int) -> None:
        """Measure from here. ``free``: bytes that the disk has left."""
        self._free, self._used = free, 0
        self.bytes = 0

    def update(self, free: int, used: int, measured: bool) -> None:
        """Note the disk's free space, and how much files use.

        Parameters:
            measured: no file can use more than that: other losses are somebody else's.
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
        unlinked: Callable[[], UnlinkedFiles],
        staged: Path | None = None,
    ) -> None:
        """Prepare, before the renderer starts.

        Parameters:
            place: the runner's own folder, on the same disk as all of these.
            folders: folders that the renderer writes into.
            unlinked: returns what it has in files without a name, now.
            staged: a folder with files, into which the renderer may write, too; its present content
                does not count.
        """
        self._limits, self._folders, self._unlinked = limits, list(folders), unlinked
        self._staged = () if staged is None else (staged,)
        self._before = folder_use(self._staged, sys.maxsize)
        self._place, self._last_free = place, 0
        free = self._free()
        self._recount, self._loss = (
            RecountPolicy(limits, time.monotonic(), free),
            UnexplainedLoss(free),
        )
        self._restless = 0
        # Since the last count: free disk space, lost disk space, and bytes of the renderer.
        self._seen_free, self._lost, self._counted = free, 0, 0

    def needs_count(self) -> bool:
        """Return whether the disk has lost more since the last count than the renderer's remaining
        limit.

        Cheap enough for each look: counting takes long with many folders.
        """
        free = self._free()
        # Freed space does not compensate.
        self._lost += max(0, self._seen_free - free)
        self._seen_free = free
        return self._is_lost()

    def _is_lost(self) -> bool:
        return self._lost > max(0, self._limits.disk_bytes - self._counted)

    def look(self, pid: int, unlinked: UnlinkedFiles) -> DiskUse:
        """Return what the renderer has written.

        Parameters:
            pid: of its first process.
            unlinked: its open files without a name, when they were last examined.
        """
        self._recount.note_free(self._free())
        # After a large loss, nothing more may be written during the count.
        use = None if self._is_lost() else self._look_at_moving(unlinked)
        if use is None or self._recount.is_needed(use, time.monotonic()):
            self._free()
            use = self._look_at_still(pid)
            if use.sure:
                self._recount.note_certain(use, time.monotonic())
        # After a large loss, a renderer that evades being stopped is counted again at the next
        # look.
        if use.sure or not self._is_lost():
            self._seen_free, self._lost, self._counted = self._last_free, 0, use.bytes
        unmeasured = use.unlinked.unmeasured
        self._loss.update(self._last_free, use.bytes, use.sure and not unmeasured)
        return replace(use, unexplained_bytes=self._loss.bytes if unmeasured else 0)

    def _look_at_moving(self, unlinked: UnlinkedFiles) -> DiskUse:
        found = self._found()
        return DiskUse(found, unlinked, sure=not found.changed)

    def _look_at_still(self, pid: int) -> DiskUse:
        with held_still(pid) as stillness:
            found = self._found(_SETTLED_TICK)
            unlinked = self._unlinked()
        self._restless = 0 if stillness.kept else self._restless + 1
        # Folders may change even then: the runner itself takes results away.
        sure = stillness.kept and not found.changed
        return DiskUse(found, unlinked, sure, stillness.woken, self._restless)

    def _found(self, tick: float = TICK_SECONDS) -> FolderUse:
        found = folder_use(self._folders, self._limits.files, tick)
        before = self._before
        now = folder_use(self._staged, before.files + self._limits.files, tick)
        return FolderUse(
            found.disk_bytes + max(0, now.disk_bytes - before.disk_bytes),
            found.files + max(0, now.files - before.files),
            # A file larger than any that it may write existed before.
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
