"""Brings accepted entries to the farm, in the background.

Entries of one project are sent one by one, in the order of their acceptance: a submission without
upload relies on the files of the upload before it. Projects do not wait for each other.
"""

import asyncio
import itertools
import logging
import sqlite3
from collections import deque
from dataclasses import replace

from farm_protocol.errors import ErrorCode
from farm_protocol.jobs import SubmissionSpec
from pydantic import ValidationError

from envoy.errors import FarmAnswerError, LocalFileError, StartError
from envoy.farm.calls import EMBEDDED
from envoy.farm.client import FarmClient
from envoy.farm.patience import Patience
from envoy.journal import Entry, EntryState, Journal
from envoy.journal.database import cannot_write, may_pass
from envoy.process.status_messages import NO_MESSAGE, Reason, StatusMessage, reason_of
from envoy.process.threads import in_thread
from envoy.process.waiting import WaitingRoom, farm_pause_seconds, pause_seconds
from envoy.upload.progress import Progress
from envoy.upload.transfer import Sent, Transfer

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 20
"""To have the project to itself, before a submission takes it as it is: some four minutes."""
MOST_NAMED = 20
"""Changed files that the warnings name; the others are counted."""


class Uploader:
    """The queue of accepted entries, one lane for each account and project."""

    def __init__(
        self, journal: Journal, farm: FarmClient, transfer: Transfer, waiting: WaitingRoom
    ) -> None:
        self._journal = journal
        self._farm = farm
        self._transfer = transfer
        self._waiting = waiting
        self._lanes: dict[tuple[str, str], deque[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._progress: dict[str, Progress] = {}
        # Work in progress, by entry.
        self._at_work: dict[str, asyncio.Task[None]] = {}

    async def resume(self) -> None:
        """Continue everything that was interrupted, except for entries of other farms."""
        for entry in await in_thread(self._interrupted):
            self.add(entry)

    def _interrupted(self) -> list[Entry]:
        found: list[Entry] = []
        for entry in self._journal.submissions.unfinished():
            is_ours = entry.is_for(self._farm.identity)
            status = NO_MESSAGE if is_ours else _waits_for(entry.farm)
            # Written only if it is new: Envoy must also start on a full disk.
            if status != entry.status:
                self._journal.submissions.set_state(entry.id, entry.state, status)
            if is_ours:
                found.append(entry)
        return found

    def add(self, entry: Entry) -> None:
        """Work on an entry that the journal holds."""
        key = (entry.account, entry.project)
        if key in self._lanes:
            self._lanes[key].append(entry.id)
            return
        self._lanes[key] = deque([entry.id])
        task = asyncio.create_task(self._work(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def progress(self, entry_id: str) -> Progress | None:
        """Return the progress of an entry; None when it is not being worked on."""
        return self._progress.get(entry_id)

    async def cancel(self, entry: Entry) -> bool:
        """End an entry that is uploading; returns False when it is not, or no longer."""
        why = StatusMessage(
            "The upload was stopped before the submission was complete.", Reason.STOPPED
        )
        if not await in_thread(self._journal.submissions.stop, entry.id, why):
            return False
        if task := self._at_work.get(entry.id):
            task.cancel()
        return True

    async def stop(self) -> None:
        """Leave everything as it is, for the next start."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, key: tuple[str, str]) -> None:
        lane = self._lanes[key]
        failures = 0
        who = f"journal {key}"
        try:
            while lane:
                try:
                    entry = await in_thread(self._journal.submissions.get, lane[0])
                    if entry and entry.state.is_open:
                        await self._finish_unless_cancelled(entry)
                except (sqlite3.Error, StartError) as error:
                    # The journal still has the work. The entries behind it would fare no better.
                    failures += 1
                    if failures == 1:
                        log.exception("entry %s waits", lane[0])
                    damaged = StatusMessage(f"{error}", reason_of(error))
                    status = cannot_write(error) if may_pass(error) else damaged
                    self._waiting.tell(who, status)
                    await self._waiting.pause(pause_seconds(failures))
                else:
                    failures = 0
                    self._waiting.clear(who)
                    lane.popleft()
        finally:
            self._waiting.clear(who)
            del self._lanes[key]

    async def _finish_unless_cancelled(self, entry: Entry) -> None:
        task = self._at_work[entry.id] = asyncio.create_task(self._finish(entry))
        try:
            # This does not raise the task's exception or cancellation.
            await asyncio.wait({task})
        finally:
            del self._at_work[entry.id]
            task.cancel()  # This task itself is being cancelled.
        if not task.cancelled():
            task.result()

    async def _finish(self, entry: Entry) -> None:
        set_state = self._journal.submissions.set_state
        try:
            await self._bring(entry)
        except (LocalFileError, FarmAnswerError) as error:
            status = StatusMessage(str(error), reason_of(error))
            await in_thread(set_state, entry.id, EntryState.FAILED, status)
        except Exception as error:
            if may_pass(error):
                raise
            # A bug of ours must not stop the entries behind it.
            log.exception("entry %s failed", entry.id)
            message = f"Envoy failed unexpectedly ({type(error).__name__}: {error})."
            status = StatusMessage(message, Reason.UNEXPECTED)
            await in_thread(set_state, entry.id, EntryState.FAILED, status)
        finally:
            self._progress.pop(entry.id, None)

    async def _bring(self, entry: Entry) -> None:
        """Send an entry's files, and submit it as soon as the project has exactly these.

        Another Envoy of the account may send other files of the same names at the same time. Each
        submission is to have its own, so whoever finds the project changed sends them again; the
        farm has their bytes by then.
        """
        submissions = self._journal.submissions
        patience = Patience(self._farm, self._waiting, f"upload {entry.id}", entry.account)
        for attempt in itertools.count(1):
            if entry.state is EntryState.UPLOADING:
                sent = await self._send(entry, patience)
                if not entry.spec:
                    await in_thread(submissions.finish, entry, EntryState.UPLOADED)
                    return
                is_last = attempt >= MOST_ATTEMPTS
                if not sent.is_alone and not is_last:
                    await self._pause(entry, attempt)
                    continue
                revision = None if is_last else sent.revision
                warnings = [*entry.warnings, *_warnings(sent)]
                if is_last:
                    warnings.append(
                        f"Another Envoy kept changing files of the project '{entry.project}'"
                        " during this submission, so the frames may show some of its files."
                        " Submit again when it has finished."
                    )
                entry = replace(
                    entry,
                    state=EntryState.SUBMITTING,
                    revision=revision,
                    warnings=tuple(dict.fromkeys(warnings)),
                )
                if not await in_thread(submissions.sent, entry):
                    return
            if await self._submit(entry, patience):
                return
            if not await in_thread(submissions.set_state, entry.id, EntryState.UPLOADING):
                return
            entry = replace(entry, state=EntryState.UPLOADING)
            await self._pause(entry, attempt)

    async def _send(self, entry: Entry, patience: Patience) -> Sent:
        files = await in_thread(self._journal.submissions.files, entry.id)
        folders = await in_thread(self._journal.submissions.folders, entry.id)
        self._progress[entry.id] = progress = Progress(files)
        return await self._transfer.send(entry.project, files, folders, patience, progress)

    async def _submit(self, entry: Entry, patience: Patience) -> bool:
        """Submit an entry whose files are sent; returns False when they must be sent again."""
        submissions = self._journal.submissions
        try:
            spec = SubmissionSpec.model_validate_json(entry.spec)
        except ValidationError:
            message = "What Envoy remembers of this submission is damaged. Submit it again."
            damaged = StatusMessage(message, Reason.DAMAGED)
            await in_thread(submissions.set_state, entry.id, EntryState.FAILED, damaged)
            return True
        spec = spec.model_copy(update={"revision": entry.revision})
        try:
            submission = await patience(lambda: self._farm.submit(spec))
        except FarmAnswerError as error:
            if error.body.code != ErrorCode.PROJECT_CHANGED or entry.revision is None:
                raise
            return False
        jobs = submission.jobs[: len(spec.jobs)]
        await in_thread(submissions.finish, entry, EntryState.SUBMITTED, jobs)
        return True

    async def _pause(self, entry: Entry, attempt: int) -> None:
        """Leave another Envoy time, with a random part: it may be waiting for this one."""
        who = f"project {entry.id}"
        status = StatusMessage(
            f"Another Envoy is changing files of the project '{entry.project}'. Those of this"
            " submission are then checked again.",
            Reason.PROJECT_CHANGED,
        )
        self._waiting.tell(who, status)
        try:
            await self._waiting.pause(farm_pause_seconds(attempt))
        finally:
            self._waiting.clear(who)


def _warnings(sent: Sent) -> list[str]:
    """Return what to say about files that were saved again since they were submitted."""
    named, others = sent.changed[:MOST_NAMED], len(sent.changed) - MOST_NAMED
    found = [
        f"{path} has changed since it was submitted, and before it was uploaded. The frames show"
        " the newer version."
        for path in named
    ]
    if others > 0:
        found.append(
            f"{others} more files have changed since they were submitted. The frames show the"
            " newer versions."
        )
    return found


def _waits_for(farm: str) -> StatusMessage:
    name = "of this machine" if farm == EMBEDDED else f"at {farm}"
    return StatusMessage(
        f"This submission is for the farm {name}. It continues when Envoy works with that"
        " farm again.",
        Reason.OTHER_FARM,
    )
