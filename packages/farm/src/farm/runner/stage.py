"""Brings a project's files into the work folder, each at its remote path.

A renderer may write to these files as on the artist's machine: some programs open input files for
writing, and others bake or cache beside their scene. It must never write to a blob of the farm. So
a file from a store on the same disk is linked only where the kernel keeps the renderer's changes
separate (`farm.confine.layers`). Elsewhere it is cloned (reflink) or copied.
"""

import contextlib
import errno
import os
import shutil
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
from farm.runner.limits.usage import free_files

_DOWNLOADS = 4
_RESERVE_BYTES, _RESERVED_PART = 1 << 30, 20
_RESERVED_FILES = 1000
"""Inodes that must stay free: fewer than renderers have to leave free."""
"""Disk space that must stay free, at most this part of the disk: a farm on it needs that space."""
_FICLONE = 0x40049409  # linux/fs.h: share the extents of another file


class StageError(Exception):
    """The project could not be brought here. ``str()`` is a message for people.

    Attributes:
        permanent: a retry would fail in the same way.
    """

    def __init__(self, message: str, permanent: bool = False) -> None:
        """Store the message and whether retrying cannot help."""
        super().__init__(message)
        self.permanent = permanent


class InterruptedStageError(Exception):
    """The runner was told to end during staging."""


def stage(
    files: Sequence[FileEntry],
    folder: Path,
    farm: Farm,
    source: DiskSource | TicketSource,
    stopping: threading.Event,
    linked: bool = False,
) -> None:
    """Put every file of a manifest below ``folder``, writable by its owner.

    Parameters:
        source: where the bytes come from.
        linked: they may be the store's own files, since nobody changes them here.
        stopping: when set, `InterruptedStageError` is raised soon.

    Raises:
        StageError: the disk is full, a blob is missing or damaged, or a path is not allowed.
        InterruptedStageError: `stopping` or the farm tells the runner to end.
        farm.runner.farm_client.ReportError: the farm is gone.
    """
    progress = _Progress(farm, stopping)

    def one(entry: FileEntry, fetch: Callable[[FileEntry, Path], None]) -> None:
        progress.report()
        try:
            target = local_target(folder, entry.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch(entry, target)
        except UnsafePathError as error:
            raise StageError(f"The project has a path that is not allowed: {error}", True) from None
        except OSError as error:
            raise StageError(explain(error, f"{entry.path} could not be staged")) from error

    if isinstance(source, DiskSource):
        link = partial(_from_store, Path(source.folder), progress, linked)
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
    """Reports to the farm now and then that staging continues: a hung runner is silent."""

    def __init__(self, farm: Farm, stopping: threading.Event) -> None:
        """Nothing is reported before some time has passed."""
        self._farm, self._stopping = farm, stopping
        self._lock = threading.Lock()
        self._next = time.monotonic() + HEARTBEAT_SECONDS

    def report(self) -> None:
        """Note progress. Raises InterruptedStageError: the runner must end."""
        if self._stopping.is_set():
            raise InterruptedStageError
        with self._lock:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + HEARTBEAT_SECONDS
        keep_waiting(self._farm)


def keep_waiting(farm: Farm) -> None:
    """Report to the farm that a runner is at work. Raises InterruptedStageError: it must end."""
    # The farm may be away, or too old for this call; the consequences show later.
    with contextlib.suppress(FarmGoneError, RefusedError):
        if farm.ready_soon() is not RunnerCommand.CONTINUE:
            raise InterruptedStageError


def explain(error: OSError, otherwise: str) -> str:
    """Return a message about an error of the file system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk of the render machine is full."
    return f"{otherwise}: {error.strerror or error}."


def _from_store(
    store: Path, progress: _Progress, linked: bool, entry: FileEntry, target: Path
) -> None:
    blob = store / entry.hash[:2] / entry.hash
    try:
        status = blob.stat()
    except FileNotFoundError:
        raise StageError(
            f"The farm has lost its copy of {entry.path}."
            " An administrator can restore it from a backup.",
            True,
        ) from None
    # Not hashed: the farm verified it on upload; reading it again would double the cost of the
    # copy.
    if status.st_size != entry.size:
        raise StageError(
            f"The farm's copy of {entry.path} is damaged."
            " An administrator can restore it from a backup.",
            True,
        )
    if linked:
        try:
            if not status.st_mode & stat.S_IWUSR:
                # Programs could not open it for writing. Older farms stored blobs like this.
                blob.chmod(0o600)
            os.link(blob, target)
        except OSError as error:
            # Another disk, too many links, or a file system without them.
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
                raise
        else:
            return
    if not _clone(blob, target):
        _look_for_room(target.parent, entry.size)
        with blob.open("rb") as source, target.open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                file.write(chunk)
                progress.report()


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


def _look_for_room(folder: Path, size: int) -> None:
    """Raise OSError like a full disk, while a little space is still left."""
    disk, files = shutil.disk_usage(folder), free_files(folder)
    few = files is not None and files < _RESERVED_FILES
    if few or disk.free - size < min(_RESERVE_BYTES, disk.total // _RESERVED_PART):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _tickets(farm: Farm, entries: Sequence[FileEntry]) -> dict[str, str]:
    try:
        return farm.tickets({entry.hash for entry in entries})
    except RefusedError as error:
        # The project may have changed since the runner got the list of its files.
        raise StageError(f"The project's files cannot be fetched: {error}") from error


def _download(
    farm: Farm, tickets: dict[str, str], progress: _Progress, entry: FileEntry, target: Path
) -> None:
    wrong = ""
    _look_for_room(target.parent, entry.size)
    for _attempt in range(2):
        if wrong:  # The ticket may have expired, or the bytes behind it may be damaged.
            tickets = _tickets(farm, [entry])
        try:
            farm.download(tickets[entry.hash], entry.size, target, progress.report)
        except RefusedError as error:
            wrong = f"{entry.path} cannot be fetched: {error}"
        else:
            if hash_file(target, progress.report) == (entry.hash, entry.size):
                return
            wrong = f"{entry.path} arrived damaged twice."
    raise StageError(wrong)
