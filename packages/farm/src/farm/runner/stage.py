"""Bring a project's files into the work folder, each at its remote path.

From a store on the same disk a file is linked, not copied, when that is safe: a scene may carry
programs, and a process that may write to a hard link changes the stored blob itself. Blobs are mode
0400, which stops everyone but their owner's chmod and root. So: as root, or when a blob is
writable, the file is cloned (reflink) or copied. Against the owner's own chmod the sandbox helps:
in it the project is read-only. Without one, only that scenes run with Python switched off.
"""

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from farm_protocol.files import FileEntry
from farm_protocol.hashing import CHUNK_BYTES, hash_file
from farm_protocol.paths import UnsafePathError, local_target
from farm_protocol.runner import (
    HEARTBEAT_SECONDS,
    MOST_TICKETS,
    DiskSource,
    RunnerCommand,
    TicketSource,
)

from farm.runner.farm_client import Farm, FarmGoneError, RefusedError

_DOWNLOADS = 4
_FICLONE = 0x40049409  # linux/fs.h: share the extents of another file


class StageError(Exception):
    """The project could not be brought here. ``str()`` is a message for people.

    Attributes:
        permanent: another try would fail in the same way.
    """

    def __init__(self, message: str, permanent: bool = False) -> None:
        """Keep the message and whether trying again cannot help."""
        super().__init__(message)
        self.permanent = permanent


class InterruptedStageError(Exception):
    """The runner was told to end while it staged."""


def stage(
    files: Sequence[FileEntry],
    folder: Path,
    farm: Farm,
    source: DiskSource | TicketSource,
    stopping: threading.Event,
) -> None:
    """Put every file of a manifest below ``folder``.

    Parameters:
        source: where the bytes are.
        stopping: when set, `InterruptedStageError` is raised before the next file.

    Raises:
        StageError: the disk is full, a blob is missing or damaged, or a path is not allowed.
        InterruptedStageError: the runner is to end, as `stopping` or the farm says.
        farm.runner.farm_client.ReportError: the farm is gone.
    """
    progress = _Progress(farm)

    def one(entry: FileEntry, fetch: Callable[[FileEntry, Path], None]) -> None:
        if stopping.is_set():
            raise InterruptedStageError
        progress.told()
        try:
            target = local_target(folder, entry.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch(entry, target)
        except UnsafePathError as error:
            raise StageError(f"The project has a path that is not allowed: {error}", True) from None
        except OSError as error:
            raise StageError(explain(error, f"{entry.path} could not be staged")) from error

    if isinstance(source, DiskSource):
        link = partial(_from_store, Path(source.folder), progress)
        for entry in files:
            one(entry, link)
        return
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        for start in range(0, len(files), MOST_TICKETS):
            some = files[start : start + MOST_TICKETS]
            fetch = partial(_download, farm, _tickets(farm, some), progress)
            # list(): raises the first error, and leaving the block waits for the rest.
            list(pool.map(partial(one, fetch=fetch), some))


class _Progress:
    """Tells the farm now and then that staging goes on: a runner that hangs tells nothing."""

    def __init__(self, farm: Farm) -> None:
        """Nothing is told before a while has passed."""
        self._farm = farm
        self._lock = threading.Lock()
        self._next = time.monotonic() + HEARTBEAT_SECONDS

    def told(self) -> None:
        """Something was done. Raises InterruptedStageError when the farm has other wishes."""
        with self._lock:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + HEARTBEAT_SECONDS
        # The farm may be away, or too old to know this call; what is to be done shows later.
        with contextlib.suppress(FarmGoneError, RefusedError):
            if self._farm.ready_soon() is not RunnerCommand.CONTINUE:
                raise InterruptedStageError


def explain(error: OSError, otherwise: str) -> str:
    """Return a message about an error of the file system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk of the render machine is full."
    return f"{otherwise}: {error.strerror or error}."


def _from_store(store: Path, progress: _Progress, entry: FileEntry, target: Path) -> None:
    blob = store / entry.hash[:2] / entry.hash
    try:
        status = blob.stat()
    except FileNotFoundError:
        raise StageError(f"The farm's store has lost the bytes of {entry.path}.", True) from None
    # Not hashed: the farm verified it when it came, and a copy's price would be paid twice.
    if status.st_size != entry.size:
        raise StageError(f"The farm's store has damaged bytes of {entry.path}.", True)
    if _link_is_safe(status):
        try:
            os.link(blob, target)
        except OSError as error:
            # Another disk, too many links, or a file system without them.
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
                raise
        else:
            return
    if not _clone(blob, target):
        with blob.open("rb") as source, target.open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                file.write(chunk)
                progress.told()


def _link_is_safe(status: os.stat_result) -> bool:
    writable = status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    return not writable and hasattr(os, "geteuid") and os.geteuid() != 0


def _clone(source: Path, target: Path) -> bool:
    """Share the bytes by copy-on-write where the file system can (btrfs, XFS)."""
    try:
        import fcntl
    except ImportError:
        return False
    with source.open("rb") as blob, target.open("wb") as file:
        try:
            fcntl.ioctl(file.fileno(), _FICLONE, blob.fileno())
        except OSError:
            return False
    return True


def _tickets(farm: Farm, entries: Sequence[FileEntry]) -> dict[str, str]:
    try:
        return farm.tickets({entry.hash for entry in entries})
    except RefusedError as error:
        # The project may have changed since the runner was told of its files.
        raise StageError(f"The project's files cannot be fetched: {error}") from error


def _download(
    farm: Farm, tickets: dict[str, str], progress: _Progress, entry: FileEntry, target: Path
) -> None:
    wrong = ""
    for _attempt in range(2):
        if wrong:  # The ticket may have been too old, or what it led to damaged.
            tickets = _tickets(farm, [entry])
        try:
            farm.download(tickets[entry.hash], entry.size, target, progress.told)
        except RefusedError as error:
            wrong = f"{entry.path} cannot be fetched: {error}"
        else:
            if hash_file(target) == (entry.hash, entry.size):
                return
            wrong = f"{entry.path} arrived damaged, twice."
    raise StageError(wrong)
