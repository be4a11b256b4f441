"""Room for blobs: the free space that a disk keeps, and what one account may take of the rest.

A full disk stops everybody: the database cannot write either. So the last bytes are not given to
blobs. Uploads are refused first; results, for which machine time was paid, may take half of the
reserve, and two thirds of a shared disk where uploads of one account may take one half. Refusals
come before a byte is read, and clients retry by themselves.
"""

import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from farm.errors import QuotaExceededError, StorageFullError

LARGEST_RESERVE = 1 << 30
RESERVED_PART = 20
"""Kept free unless a setting says more: a gibibyte, or a twentieth of a smaller disk."""

AHEAD_BYTES = 16 << 20
"""Room that a result has beyond what has arrived of it. It has no quota, so announcing one without
sending it must not reserve the disk.
"""

_GRANTED_PART = 4
"""Temporary files take no more than this fraction of the space that is free for them."""

_RESERVED_FILES_PART = 50
"""The 50th part of the disk's inodes stays free, too, so that an account with very many small files
cannot prevent all others from creating any."""

_NO_DISK = 1 << 62
"""Free bytes of stores without a disk: more than anybody uploads."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What an account may store. Bytes; 0: not set.

    Attributes:
        stored: what it stores now.
        max_stored: limit of its plan, including uploads in progress. If it is not set, the only
            account of a farm may use all space, and any other account half of what the others have
            left.
        max_in_flight: limit of uploads in progress: announced, but not completely stored.
        alone: it is the farm's only account.
    """

    stored: int
    max_stored: int
    max_in_flight: int
    alone: bool


class Room:
    """The room on the disk of the database, and on that of the blobs, often the same one."""

    def __init__(self, data_dir: Path, blobs: Path | None, reserve: int | None = None) -> None:
        """Watch the disks of these existing folders.

        Parameters:
            blobs: what `farm.stores.port.Store.folder` returns; None: blobs use no disk of this
                machine, so only quotas limit them.
            reserve: bytes that stay free on each disk; None: see `LARGEST_RESERVE`.
        """
        self._data_dir = data_dir
        self._blobs = blobs
        self._folders = [data_dir] if blobs is None else [data_dir, blobs]
        self._given = reserve
        self._lock = threading.Lock()
        # Announced, and not yet on disk.
        self._coming: Counter[str] = Counter()
        # Announced, and not yet counted as stored, however much has arrived.
        self._on_the_way: Counter[str] = Counter()
        # The part of it that has arrived.
        self._arrived: Counter[str] = Counter()
        # Lent for temporary files, however much of it is written.
        self._granted = 0
        self._was_full = False

    @property
    def reserve(self) -> int:
        """Bytes that stay free."""
        if self._given is not None:
            return self._given
        smallest = min(shutil.disk_usage(each).total for each in self._folders)
        return min(LARGEST_RESERVE, smallest // RESERVED_PART)

    @property
    def left(self) -> int:
        """Bytes that blobs may still take. An account that stores as many has its share: half."""
        if self._blobs is None:
            return _NO_DISK
        return _free_on(self._blobs) - self.reserve * 3 // 4

    def is_full(self) -> bool:
        """Return whether there is hardly room for results: then nothing should be rendered.

        Once it is so, it stays so until there is room for uploads again.
        """
        reserve = self.reserve
        free = min(_free_on(each) for each in self._folders)
        self._was_full = free < reserve if self._was_full else free < reserve * 3 // 4
        return self._was_full

    def check(self, account_id: str, size: int, quota: Quota | None) -> None:
        """Check whether so many bytes may come; see `taken`."""
        with self._lock:
            self._check(account_id, size, quota, self._on_the_way[account_id])

    def check_rows(self, account_id: str, size: int, quota: Quota) -> None:
        """Check whether the account may use this many more bytes in the database.

        The disk's reserve is for exactly these.
        """
        self.check_growth(size)
        with self._lock:
            mine = quota.stored + self._on_the_way[account_id]
            self._check_plan(size, mine, quota)
            self._check_share(size, mine, quota, self._free())

    def check_growth(self, size: int) -> None:
        """Check whether the database may grow by so many bytes, for whomever.

        A quarter of the reserve is for its own writes. Raises StorageFullError.
        """
        reserve = self.reserve
        if _free_on(self._data_dir) - size < reserve // 4:
            raise _full(size, reserve)

    def check_passing(self, size: int) -> None:
        """Check whether so many bytes may be stored temporarily beside the database.

        The farm's own files must never cause jobs to be suspended (see `is_full`). Since that
        happens below three quarters of the reserve, this leaves seven eighths of it. Raises
        StorageFullError.
        """
        reserve = self.reserve
        if _free_on(self._data_dir) - size < reserve * 7 // 8:
            raise _full(size, reserve)

    def check_result(self, account_id: str, size: int, quota: Quota) -> None:
        """Look whether a result that is `announced` leaves others enough of the disk.

        It may be more than the account's share, for what was being rendered when that was used up;
        but without an end neither those that no frame names nor those of a runner that does not
        stop may take what others need. Announcing reserves nothing, so this is to be repeated while
        the result arrives: others' do so, too. Raises QuotaExceededError.
        """
        with self._lock:
            announced = self._on_the_way[account_id]
        self._check_results(account_id, size, quota.stored + announced - size, quota)

    def check_result_rows(self, account_id: str, size: int, quota: Quota) -> None:
        """Check whether what a runner reports may take so many bytes in the database.

        Raises StorageFullError, QuotaExceededError.
        """
        self.check_growth(size)
        self._check_results(account_id, size, quota.stored, quota)

    def _check_results(self, account_id: str, size: int, mine: int, quota: Quota) -> None:
        if quota.alone:
            return
        with self._lock:
            others = self._coming.total() - self._coming[account_id]
            here = quota.stored + self._arrived[account_id]
        most = max(quota.max_stored, (here + self.left - others) * 2 // 3)
        if mine + size > most:
            raise _no_room(size, mine, f"with results it may take {shown(most)} of the farm's disk")

    @contextmanager
    def granted(self, size: int) -> Iterator[int]:
        """Reserve room for temporary files beside the database; yields how many of the bytes it
        got.
        """
        with self._lock:
            granted = max(0, min(size, self._for_temporary() // _GRANTED_PART))
            self._granted += granted
        try:
            yield granted
        finally:
            with self._lock:
                self._granted -= granted

    @contextmanager
    def announced(self, account_id: str, size: int) -> Iterator[int]:
        """Count an upload until it is stored; yields the bytes in transit including it.

        Call this before reading what is stored, so that bytes arriving in between are counted.
        """
        with self._lock:
            self._on_the_way[account_id] += size
            on_the_way = self._on_the_way[account_id]
        try:
            yield on_the_way
        finally:
            with self._lock:
                self._on_the_way -= Counter({account_id: size})

    @contextmanager
    def taken(
        self, account_id: str, size: int, quota: Quota | None, on_the_way: int = 0
    ) -> Iterator[Callable[[int], None]]:
        """Reserve room for announced bytes; yields what to call with those that have arrived.

        Parameters:
            quota: None: for a result, which only the disk limits. It is refused if there is no room
                for all of it, and then has `AHEAD_BYTES`.
            on_the_way: what `announced` has yielded; it counts these bytes, too.

        Raises:
            StorageFullError: the disk has no room for them; for a result also raised by the yielded
                function.
            QuotaExceededError: the account has no room left.
        """
        with self._lock:
            others = max(0, on_the_way - size)
            self._check(account_id, size, quota, others)
            if quota is not None and 0 < quota.max_in_flight < others + size:
                raise QuotaExceededError(
                    f"Your account may have at most {shown(quota.max_in_flight)} in transit"
                    " at a time. The upload continues when some of it has arrived."
                )
            kept = size if quota is not None else min(size, AHEAD_BYTES)
            self._coming[account_id] += kept
        left = size
        here = 0

        def arrived(count: int) -> None:
            nonlocal left, kept, here
            with self._lock:
                here += count
                self._arrived[account_id] += count
                left -= min(count, left)
                come = min(count, kept)
                kept -= come
                self._coming[account_id] -= come
                if kept < min(left, AHEAD_BYTES // 2):
                    more = min(left, AHEAD_BYTES) - kept
                    self._check(account_id, more, None, 0)
                    kept += more
                    self._coming[account_id] += more

        try:
            yield arrived
        finally:
            with self._lock:
                self._coming -= Counter({account_id: kept})
                self._arrived -= Counter({account_id: here})

    def _check(self, account_id: str, size: int, quota: Quota | None, on_the_way: int) -> None:
        mine = 0 if quota is None else quota.stored + on_the_way
        if quota is not None:
            self._check_plan(size, mine, quota)
        free, reserve = self._free(), self.reserve
        if free - size < (reserve // 2 if quota is None else reserve):
            raise _full(size, reserve)
        if quota is not None:
            self._check_share(size, mine, quota, free)

    def _free(self) -> int:
        """Return the bytes that are free for blobs."""
        if self._blobs is None:
            return _NO_DISK
        return _free_on(self._blobs) - self._coming.total() - self._granted

    def _for_temporary(self) -> int:
        """Return the bytes that are free for temporary files."""
        coming = 0 if self._blobs is None else self._coming.total()
        return _free_on(self._data_dir) - coming - self._granted - self.reserve

    def _check_plan(self, size: int, mine: int, quota: Quota) -> None:
        if 0 < quota.max_stored < mine + size:
            raise _no_room(size, mine, f"its plan allows {shown(quota.max_stored)}")

    def _check_share(self, size: int, mine: int, quota: Quota, free: int) -> None:
        if quota.max_stored or quota.alone:
            return
        share = (mine + free - self.reserve) // 2
        if mine + size > share:
            raise _no_room(size, mine, f"its share of the farm's disk is {shown(share)}")


def _full(size: int, reserve: int) -> StorageFullError:
    return StorageFullError(
        f"There is no space for {shown(size)} on the farm's disk, which keeps {shown(reserve)} free"
        " for its database. Work continues when there is space."
    )


def _no_room(size: int, mine: int, limit: str) -> QuotaExceededError:
    return QuotaExceededError(
        f"There is no space for {shown(size)}: your account already stores {shown(mine)} on"
        f" the farm, and {limit}. Work continues when an administrator frees some space or"
        " gives you a larger plan."
    )


def shown(size: int) -> str:
    """Return a number of bytes for people."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{max(size, 0)} bytes"


def _free_on(folder: Path) -> int:
    """Return the free bytes of a disk: 0 when it hardly has room for another file."""
    if hasattr(os, "statvfs"):
        disk = os.statvfs(folder)
        # Some file systems do not report such a number (btrfs).
        if disk.f_favail < disk.f_files // _RESERVED_FILES_PART:
            return 0
    return shutil.disk_usage(folder).free
