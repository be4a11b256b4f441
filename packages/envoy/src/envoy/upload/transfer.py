"""Sends one entry's files: hash, ask what is missing, send only that, put the manifest.

Files go in batches, and the next batch is hashed while the last one is being sent. Nothing is
remembered between attempts: the farm says what it has, so an interrupted upload simply runs again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from farm_protocol.backoff import BackOff
from farm_protocol.errors import ErrorCode
from farm_protocol.files import BlobRef, FileEntry, ProjectRevision, Ticket

from envoy.errors import FarmAnswerError, FileChangedError
from envoy.farm.client import FarmClient
from envoy.farm.patience import Patience
from envoy.journal import UploadFile, UploadFolder
from envoy.process.local_files import stuck
from envoy.process.slots import STANDS_SECONDS, STUCK_SECONDS, Slots, Turn
from envoy.process.threads import in_thread
from envoy.upload.gone import gone, topmost
from envoy.upload.hash_cache import HashCache, Hashed, hash_again
from envoy.upload.progress import Progress

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_FILES = 500
BATCH_BYTES = 256 * 1024 * 1024
HASH_TOGETHER = 32
HASH_THREADS = 2
LONG_SECONDS = 5.0
"""After so long, the others no longer wait for the hash of a file."""
PARALLEL = 4
MOST_LISTED = 4_000_000
"""Limit on files that a farm may report in folders that are sent; nothing beyond them is removed.
"""
AGAIN = BackOff(0.2, 6.4)
"""Before retrying a file that has changed while it was being sent."""
MOST_CHANGES = 5
"""A file that changes this often during its upload fails."""


@dataclass(slots=True)
class Sent:
    """What came of sending an entry's files.

    Attributes:
        revision: of the project; None: an older farm does not say.
        is_alone: nobody else has changed the project meanwhile, as far as the farm says.
        changed: local paths of files that are no longer as they were when they were accepted.
    """

    revision: int | None = None
    is_alone: bool = True
    changed: list[str] = field(default_factory=list)

    def note(self, answer: ProjectRevision | None) -> None:
        """Note the answer to a change of the project."""
        if answer is None:
            return
        if self.revision is not None and self.revision != answer.revision - answer.changes:
            self.is_alone = False
        self.revision = answer.revision


class Transfer:
    """Sends files. One instance serves all entries, so that its limits hold for all together.

    Stalled files, whose disk does not answer, do not count: those of other entries continue
    meanwhile.
    """

    def __init__(self, farm: FarmClient, hashes: HashCache) -> None:
        self._farm = farm
        self._hashes = hashes
        # A large file is a batch of its own, so an entry has at most two of them in progress.
        self._hashing = Slots(HASH_THREADS, LONG_SECONDS)
        self._sending = Slots(PARALLEL)

    async def send(
        self,
        project: str,
        files: Sequence[UploadFile],
        folders: Sequence[UploadFolder],
        patience: Patience,
        progress: Progress,
    ) -> Sent:
        """Return when the farm has all files and the project's manifest names them.

        Parameters:
            folders: those of which the project keeps nothing else.

        Raises:
            LocalFileError: names a file that is gone, cannot be read or keeps changing.
            FarmAnswerError: the farm refused for good.
        """
        sent = Sent()
        # First: a former file may be a folder now.
        await self._remove_gone(project, files, folders, patience, sent)
        await self._send(project, files, patience, progress, sent)
        return sent

    async def _remove_gone(
        self,
        project: str,
        files: Sequence[UploadFile],
        folders: Sequence[UploadFolder],
        patience: Patience,
        sent: Sent,
    ) -> None:
        wanted = {file.remote for file in files}
        seen = 0
        for folder in topmost(folders):
            more, after = True, ""
            while more:
                page = partial(self._farm.manifest_page, project, folder, after)
                there = await patience(page)
                seen += len(there.files)
                if seen > MOST_LISTED:
                    log.warning("the farm's list of files in %s never ends", folder)
                    return
                unsent = [file.path for file in there.files if file.path not in wanted]
                paths = await in_thread(gone, folders, unsent)
                if paths:
                    sent.note(await patience(partial(self._farm.remove_files, project, paths)))
                more, after = there.more, there.files[-1].path if there.files else ""

    async def _send(
        self,
        project: str,
        files: Sequence[UploadFile],
        patience: Patience,
        progress: Progress,
        sent: Sent,
    ) -> None:
        ahead: asyncio.Task[list[Hashed]] | None = None
        try:
            for batch in _batches(files):
                hashing = asyncio.create_task(self._hash(batch))
                # An error of a batch that nobody awaits any more is not worth a log line.
                hashing.add_done_callback(lambda task: task.cancelled() or task.exception())
                if ahead:
                    previous, ahead = await ahead, hashing
                    await self._send_batch(project, previous, patience, progress, sent)
                ahead = hashing
            if ahead:
                await self._send_batch(project, await ahead, patience, progress, sent)
        finally:
            if ahead:
                ahead.cancel()

    async def _hash(self, batch: Sequence[UploadFile]) -> list[Hashed]:
        async def part(files: Sequence[UploadFile]) -> list[Hashed]:
            async with self._hashing.turn() as turn:
                return await _moving(in_thread(self._hashes.hash_all, files, turn.moved), turn)

        starts = range(0, len(batch), HASH_TOGETHER)
        parts = [part(batch[start : start + HASH_TOGETHER]) for start in starts]
        return [hashed for done in await asyncio.gather(*parts) for hashed in done]

    async def _send_batch(
        self,
        project: str,
        batch: list[Hashed],
        patience: Patience,
        progress: Progress,
        sent: Sent,
    ) -> None:
        current = {hashed.remote: hashed for hashed in batch}
        changes: dict[str, int] = {}
        unsure = batch
        while unsure:
            refs = list({h.hash: BlobRef(hash=h.hash, size=h.size) for h in unsure}.values())
            tickets = {t.hash: t for t in await patience(partial(self._farm.missing, refs))}
            senders = {h.hash: h for h in unsure if h.hash in tickets}
            for hashed in unsure:
                if hashed.hash not in tickets:
                    progress.complete(hashed.remote)
            changed: list[Hashed] = []

            async def send(
                hashed: Hashed,
                tickets: dict[str, Ticket] = tickets,
                changed: list[Hashed] = changed,
            ) -> None:
                if not await self._put(hashed, tickets[hashed.hash], patience, progress):
                    changed.append(hashed)

            await parallel(PARALLEL, senders.values(), send)
            lost = {hashed.hash for hashed in changed}
            unsure = [h for h in unsure if h.hash in lost]
            for hashed in list(current.values()):
                if hashed.hash in tickets and hashed.hash not in lost:
                    progress.complete(hashed.remote)
            for hashed in changed:
                unsure.remove(hashed)
                unsure.append(await self._hash_changed(hashed, changes, progress))
            current |= {hashed.remote: hashed for hashed in unsure}
        entries = [
            FileEntry(path=h.remote, hash=h.hash, size=h.size, mtime_ns=h.mtime_ns)
            for h in current.values()
        ]
        sent.note(await patience(lambda: self._farm.put_manifest(project, entries)))
        sent.changed += [str(h.local) for h in current.values() if h.has_changed]

    async def _put(
        self, hashed: Hashed, ticket: Ticket, patience: Patience, progress: Progress
    ) -> bool:
        """Send one blob; False when the file no longer has the hashed content."""

        async def put() -> None:
            # Held for one attempt only: waiting for a sign-in must not block the others.
            async with self._sending.turn() as turn:
                progress.restart(hashed.remote)

                def sent(count: int) -> None:
                    turn.moved()
                    progress.sent(hashed.remote, count)

                await self._farm.put_blob(ticket, hashed.local, hashed.root, hashed.size, sent)

        try:
            await patience(put)
        except FileChangedError:
            return False
        except FarmAnswerError as error:
            if error.body.code != ErrorCode.HASH_MISMATCH:
                raise
            return False
        return True

    async def _hash_changed(
        self, hashed: Hashed, changes: dict[str, int], progress: Progress
    ) -> Hashed:
        count = changes[hashed.remote] = changes.get(hashed.remote, 0) + 1
        if count > MOST_CHANGES:
            raise FileChangedError(
                f"The file {hashed.local} keeps changing while it is being sent. Submit again when"
                " the program that writes it has finished."
            )
        await asyncio.sleep(AGAIN.after(count))
        async with self._hashing.turn() as turn:
            again = await _moving(in_thread(hash_again, hashed, turn.moved), turn)
        progress.resize(again.remote, again.size)
        return again


async def _moving(work: Coroutine[Any, Any, T], turn: Turn) -> T:
    """Return the result of reading files. Raises LocalFileError when one does not answer at all."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=STANDS_SECONDS)
            if turn.still_seconds > STUCK_SECONDS:
                raise stuck(turn.what)
        return task.result()
    finally:
        task.cancel()


async def parallel(workers: int, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Run ``work`` on all items, a few at a time; the first error cancels the rest and is raised.

    Unlike a TaskGroup it raises that error itself, not a group of one.
    """
    left: Iterator[T] = iter(items)

    async def run() -> None:
        for item in left:
            await work(item)

    tasks = [asyncio.create_task(run()) for _ in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _batches(files: Sequence[UploadFile]) -> Iterator[list[UploadFile]]:
    batch: list[UploadFile] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.size
        if len(batch) >= BATCH_FILES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
