"""Bringing results home: a few workers that fetch, verify and rename into place.

The journal has the work; only ids are queued here. A download is looked up when its turn comes, so
a newer result, or another account's sign-in, takes effect then.
"""

import asyncio
import errno
import itertools
import logging
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from farm_protocol.backoff import BackOff
from farm_protocol.errors import ErrorCode
from farm_protocol.inside import FolderExchangedError
from farm_protocol.paths import UnsafePathError

from envoy.errors import (
    CorruptDownloadError,
    FarmAnswerError,
    FarmUnreachableError,
    OtherAccountError,
)
from envoy.farm.client import FarmClient
from envoy.farm.patience import Patience
from envoy.journal import Download, DownloadState, Journal
from envoy.journal.database import cannot_write, may_pass
from envoy.journal.downloads import no_longer
from envoy.process.slots import STANDS_SECONDS
from envoy.process.status_messages import Reason, StatusMessage, reason_of
from envoy.process.threads import in_thread
from envoy.process.waiting import WaitingRoom, farm_pause_seconds
from envoy.watch.lanes import Lanes
from envoy.watch.writing import PartFile, in_place_mtime, remove_leftover

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

PARALLEL = 4
MOST_CORRUPT = 3
MOST_FAILURES = 3
"""Consecutive failures of one result, before the others get their turn."""
LATER = BackOff(0.5, 600.0)
"""Before a result is requested again that the farm has failed to send."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Downloader:
    """The queue of downloads of the signed-in account."""

    def __init__(self, journal: Journal, farm: FarmClient, waiting: WaitingRoom) -> None:
        self._journal = journal
        self._farm = farm
        self._waiting = waiting
        self._lanes = Lanes()
        self._wake = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._partial: dict[int, tuple[str, int]] = {}
        self._setbacks: dict[int, int] = {}
        self._numbers = itertools.count()
        self._surplus = 0
        # One lock for each file being written; gone when nobody holds or awaits it.
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def start(self) -> None:
        """Start downloading what is pending in the journal."""
        await self.reload()
        for _ in range(PARALLEL):
            self._add_worker()

    def _add_worker(self) -> None:
        task = asyncio.create_task(self._work(next(self._numbers)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reload(self) -> None:
        """Queue what is pending for the account that is signed in now, and nothing else."""
        # Before anything is read: what the feed adds meanwhile stays queued.
        self._lanes.clear()
        account = self._farm.account
        if not account:
            return
        pending = await in_thread(self._journal.downloads.pending, account, self._farm.identity)
        if account == self._farm.account:
            self.add(pending)

    def add(self, pending: Iterable[tuple[int, str]]) -> None:
        """Queue downloads that are in the journal: (id, folder)."""
        for download_id, folder in pending:
            self._lanes.add(folder, download_id)
        task = asyncio.create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def bytes_in_flight(self) -> dict[str, int]:
        """Return the bytes received of unfinished files, by entry."""
        found: dict[str, int] = {}
        for entry_id, count in list(self._partial.values()):
            found[entry_id] = found.get(entry_id, 0) + count
        return found

    def pausing(self) -> dict[str, StatusMessage]:
        """Return why folders cannot be written, by folder."""
        return self._lanes.pausing()

    async def stop(self) -> None:
        """Leave everything as it is, for the next start."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _notify(self) -> None:
        async with self._wake:
            self._wake.notify_all()

    async def _work(self, number: int) -> None:
        while not self._surplus:
            folder, download_id = await self._take()
            try:
                await self._handle(number, folder, download_id)
            except Exception as error:
                if may_pass(error):
                    status = cannot_write(error)
                else:
                    log.exception("download %s failed", download_id)
                    status = StatusMessage(f"{error}", reason_of(error))
                self._lanes.failed(folder, download_id, status, _now())
            # The end of one may allow another: a paused folder is tried with one at a time.
            await self._notify()
        self._surplus -= 1

    async def _on_disk(
        self, folder: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return the result of a function that waits for the disk of a folder.

        An unresponsive disk blocks this worker for any time; another one takes its place, and the
        folder gets no further workers.
        """
        work = asyncio.create_task(in_thread(function, *args, **kwargs))
        try:
            done, _ = await asyncio.wait({work}, timeout=STANDS_SECONDS)
            if not done:
                silent = StatusMessage(f"The disk of {folder} does not answer.", Reason.DISK_SILENT)
                self._lanes.stands(folder, silent)
                self._add_worker()
                try:
                    await asyncio.wait({work})
                finally:
                    self._surplus += 1
            return work.result()
        finally:
            work.cancel()

    async def _take(self) -> tuple[str, int]:
        async with self._wake:
            while True:
                taken = self._lanes.take(_now())
                if taken:
                    return taken
                resume_at = self._lanes.next_resume()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(resume_at):
                        await self._wake.wait()

    async def _handle(self, number: int, folder: str, download_id: int) -> None:
        download = await in_thread(self._journal.downloads.get, download_id)
        if download is None:
            self._lanes.released(folder)
            return
        async with self._busy.setdefault(download.place, asyncio.Lock()):
            # Read again: a newer result may have come while another one was being written.
            download = await in_thread(self._journal.downloads.get, download_id)
            if (
                download is None
                or download.state is not DownloadState.PENDING
                or download.account != self._farm.account
            ):
                self._lanes.released(folder)
                return
            try:
                await self._bring(number, download)
            except OtherAccountError:
                # Still pending in the journal: queued again when its account signs in.
                self._lanes.released(folder)
            except (FarmAnswerError, FarmUnreachableError) as error:
                if isinstance(error, FarmAnswerError) and not error.may_pass:
                    await self._failed(download, error)
                else:
                    self._later(download, error)
                self._lanes.released(folder)
            except (UnsafePathError, CorruptDownloadError) as error:
                await self._failed(download, error)
                self._lanes.released(folder)
            except OSError as error:
                self._lanes.failed(folder, download_id, _cannot_write(folder, error), _now())
            else:
                self._setbacks.pop(download_id, None)
                self._lanes.succeeded(folder)
            finally:
                self._partial.pop(download_id, None)

    async def _failed(self, download: Download, error: Exception) -> None:
        await in_thread(self._journal.downloads.failed, download, _refused(download, error))

    def _later(self, download: Download, error: Exception) -> None:
        """Let other results go first: the farm may fail with only this one."""
        count = self._setbacks[download.id] = self._setbacks.get(download.id, 0) + 1
        who = f"result {download.id}"

        async def again() -> None:
            message = f"{download.relative} cannot be downloaded yet: {error} Trying again."
            self._waiting.tell(who, StatusMessage(message, reason_of(error)))
            try:
                await self._waiting.pause(LATER.spread(count, random.random()))  # noqa: S311
            finally:
                self._waiting.clear(who)
            self.add([(download.id, download.folder)])

        task = asyncio.create_task(again())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bring(self, number: int, download: Download) -> None:
        mtime_ns = await self._on_disk(download.folder, in_place_mtime, download)
        if mtime_ns is None:
            patience = Patience(
                self._farm,
                self._waiting,
                f"download {number}",
                download.account,
                waits_for_account=False,
                most_failures=MOST_FAILURES,
            )
            for attempt in range(1, MOST_CORRUPT + 1):
                try:
                    mtime_ns = await patience(lambda: self._fetch(download))
                    break
                except CorruptDownloadError:
                    if attempt == MOST_CORRUPT:
                        raise
                    await asyncio.sleep(farm_pause_seconds(attempt))
        else:
            await self._on_disk(download.folder, remove_leftover, download)
        assert mtime_ns is not None
        await in_thread(self._journal.downloads.done, download, mtime_ns)

    async def _fetch(self, download: Download) -> int:
        async with self._farm.blob(download.hash) as parts:
            file = await self._on_disk(download.folder, PartFile, download)
            received = 0
            try:
                async for part in parts:
                    await self._on_disk(download.folder, file.write, part)
                    received += len(part)
                    self._partial[download.id] = (download.entry_id, received)
                return await self._on_disk(download.folder, file.finish)
            finally:
                file.abandon()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _refused(download: Download, error: Exception) -> StatusMessage:
    if isinstance(error, FarmAnswerError) and error.body.code == ErrorCode.NOT_FOUND:
        return no_longer(download.relative)
    return StatusMessage(f"{download.relative} cannot be downloaded: {error}", reason_of(error))


def _cannot_write(folder: str, error: OSError) -> StatusMessage:
    if error.errno in _FULL:
        return StatusMessage(
            f"The disk of {folder} is full. Make room, and the downloads continue by themselves.",
            Reason.DISK_FULL,
        )
    if isinstance(error, FolderExchangedError):
        return StatusMessage(
            f"Nothing is written to {folder}: {error.filename} is now a symbolic link, which it"
            " was not when the job was submitted. Put the folder back and the downloads"
            " continue by themselves, or submit again if the results should go where the link"
            " points.",
            Reason.FOLDER_EXCHANGED,
        )
    reason = error.strerror or str(error)
    name = f" {error.filename}" if error.filename else ""
    return StatusMessage(
        f"Cannot write to {folder} ({reason}{name}). The downloads continue when that is"
        " possible again.",
        Reason.FOLDER,
    )
