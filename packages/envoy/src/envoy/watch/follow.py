"""Follows the farm's change feed, and turns changes into downloads and job states."""

import asyncio
import logging
from collections.abc import Iterator

from farm_protocol.changes import GoneOutput, Output
from farm_protocol.paths import UnsafePathError, canonical

from envoy.errors import FarmAnswerError
from envoy.farm.answers import News, RefusedOutput
from envoy.farm.client import FarmClient
from envoy.farm.patience import Patience
from envoy.journal import Entry, Journal, LostDownload, NewDownload, Watch
from envoy.journal.database import cannot_write, may_pass
from envoy.process.status_messages import Reason, StatusMessage, reason_of
from envoy.process.threads import in_thread
from envoy.process.waiting import WaitingRoom, farm_pause_seconds, pause_seconds
from envoy.watch.download import Downloader
from envoy.watch.match import destinations

log = logging.getLogger(__name__)

WAIT_SECONDS = 20.0
"""How long the farm holds a request without an answer."""
QUICK_SECONDS = 1.0
"""An empty answer that comes sooner means that the farm does not wait: then Envoy does."""
MOST_FAULTS = 20
"""Faults of a page of the feed that are logged."""


class Follower:
    """Reads the feed of the signed-in account, for ever."""

    def __init__(
        self, journal: Journal, farm: FarmClient, downloader: Downloader, waiting: WaitingRoom
    ) -> None:
        self._journal = journal
        self._farm = farm
        self._downloader = downloader
        self._waiting = waiting
        self._task: asyncio.Task[None] | None = None
        self._account = ""
        self._still = 0
        self.is_behind = True
        """Whether the farm may have told news that the journal does not hold yet."""

    def start(self) -> None:
        """Follow the account that is signed in now; called again after each sign-in."""
        account = self._farm.account
        if not account or (self._task and self._account == account):
            return
        if self._task:
            self._task.cancel()
        self._account = account
        self.is_behind = True
        self._task = asyncio.create_task(self._follow(account))

    async def stop(self) -> None:
        """Stop following; the cursor is in the journal."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self, account: str) -> None:
        patience = Patience(self._farm, self._waiting, "feed", account)
        failures = 0
        while True:
            try:
                await self._step(account, patience)
                failures = 0
            except FarmAnswerError as error:
                # Refused for good, for example by a farm that is too old: nothing else to do.
                failures += 1
                status = StatusMessage(f"Results cannot be watched: {error}", reason_of(error))
                self._waiting.tell("feed", status)
                await self._waiting.pause(farm_pause_seconds(failures))
            except Exception as error:
                failures += 1
                if may_pass(error):
                    self._waiting.tell("feed", cannot_write(error))
                    await self._waiting.pause(pause_seconds(failures))
                    continue
                log.exception("the change feed cannot be followed")
                await self._waiting.pause(farm_pause_seconds(failures))

    async def _step(self, account: str, patience: Patience) -> None:
        farm = self._farm.identity
        farm_id, cursor = await in_thread(self._journal.downloads.cursor, account, farm)
        began = asyncio.get_running_loop().time()
        news = await patience(lambda: self._farm.changes(cursor, WAIT_SECONDS))
        if farm_id and news.farm_id != farm_id:
            # A different database: its cursors are unrelated to ours.
            await in_thread(self._journal.downloads.apply, account, farm, news.farm_id, 0)
            await self._waiting.pause(QUICK_SECONDS)
            return
        # Held from before the first part of a page is stored until all of it is.
        self.is_behind = self.is_behind or news.more
        await self._apply(account, news)
        self.is_behind = news.more
        for fault in news.faults[:MOST_FAULTS]:
            log.warning("%s", fault)
        has_news = bool(
            news.outputs or news.jobs or news.refused or news.gone or news.faults or news.more
        )
        took = asyncio.get_running_loop().time() - began
        if has_news and news.cursor <= cursor:
            self._still += 1
            still = StatusMessage("The farm keeps sending the same changes.", Reason.FARM_TROUBLE)
            self._waiting.tell("feed", still)
            await self._waiting.pause(max(QUICK_SECONDS, farm_pause_seconds(self._still)))
            return
        self._still = 0
        if not has_news and took < QUICK_SECONDS:
            await self._waiting.pause(QUICK_SECONDS)

    async def _apply(self, account: str, news: News) -> None:
        downloads, lost = await in_thread(self._downloads, account, news)
        pending = await in_thread(
            self._journal.downloads.apply,
            account,
            self._farm.identity,
            news.farm_id,
            news.cursor,
            downloads,
            news.jobs,
            lost,
        )
        self._downloader.add(pending)

    def _downloads(self, account: str, news: News) -> tuple[list[NewDownload], list[LostDownload]]:
        """Return the downloads that results cause, and those that are no longer possible.

        Of several results for the same file of an entry, the last one counts.
        """
        wanted = _Wanted(self._journal, account, self._farm.identity)
        found: dict[tuple[str, str, str], NewDownload] = {}
        results: list[Output | RefusedOutput] = [*news.outputs, *news.refused]
        for output in results:
            for folder, relative in wanted.places(output):
                download = _new_download(output, folder, relative)
                found[output.submission_id, folder, relative] = download
        lost = [
            LostDownload(gone.submission_id, folder, relative)
            for gone in news.gone
            for folder, relative in wanted.places(gone)
        ]
        return list(found.values()), lost


class _Wanted:
    """Where results of an account's submissions go, while one page of the feed is read."""

    def __init__(self, journal: Journal, account: str, farm: str) -> None:
        self._journal = journal
        self._account = account
        self._farm = farm
        self._entries: dict[str, tuple[Entry, list[Watch]] | None] = {}

    def places(self, output: Output | RefusedOutput | GoneOutput) -> Iterator[tuple[str, str]]:
        """Yield (local folder, path below it) for each watch that wants a result."""
        entry_id = output.submission_id
        if entry_id not in self._entries:
            self._entries[entry_id] = self._entry(entry_id)
        found = self._entries[entry_id]
        if found:
            entry, watches = found
            yield from destinations(output.path, entry.output_folder, watches)

    def _entry(self, entry_id: str) -> tuple[Entry, list[Watch]] | None:
        entry = self._journal.submissions.get(entry_id)
        if entry is None or entry.account != self._account or not entry.is_for(self._farm):
            return None
        return entry, self._journal.submissions.watches(entry_id)


def _new_download(output: Output | RefusedOutput, folder: str, relative: str) -> NewDownload:
    if isinstance(output, RefusedOutput):
        refused = StatusMessage(output.message, Reason.REFUSED)
        return NewDownload(output.submission_id, folder, relative, "", 0, refused)
    refusal: StatusMessage | None = None
    try:
        # The exact text goes into the journal, so nothing may be left to be normalised later.
        if canonical(relative) != relative:
            message = f"A result was refused: '{relative}' is not a relative path."
            refusal = StatusMessage(message, Reason.UNSAFE_PATH)
    except UnsafePathError as error:
        refusal = StatusMessage(f"A result was refused: {error}", Reason.UNSAFE_PATH)
    return NewDownload(output.submission_id, folder, relative, output.hash, output.size, refusal)
