"""Results to bring home, and how far the change feed was read."""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from farm_protocol.jobs import Job

from envoy.journal.damage import Damage
from envoy.journal.database import Database
from envoy.journal.places import place_of
from envoy.process.status_messages import NO_MESSAGE, Reason, StatusMessage

MOST_RESULTS = 1_000_000
"""Of one entry and its watches; what a farm tells of more is left out."""
_AFTER_OTHERS = 1_000_000
"""Position of a job that the farm has made of its own accord: a submission has fewer."""
PORTION = 500
"""Results that are recorded before others may use the journal."""
PAUSE_SECONDS = 0.001
"""For those: who frees a lock and takes it again at once leaves nobody a chance."""


class DownloadState(StrEnum):
    """``replaced``: the file is that of a submission that was made later, and stays so."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class NewDownload:
    """A result that matched a watch.

    Attributes:
        relative: checked path below ``folder``.
        refusal: why it is not downloaded; None: it is.
    """

    entry_id: str
    folder: str
    relative: str
    hash: str
    size: int
    refusal: StatusMessage | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A download, wherever it stands. ``relative``: checked path below ``folder``."""

    hash: str
    folder: str
    relative: str
    state: DownloadState


@dataclass(frozen=True, slots=True)
class LostDownload:
    """A result that matched a watch, and that the farm no longer has."""

    entry_id: str
    folder: str
    relative: str


@dataclass(frozen=True, slots=True)
class Download:
    """One result on its way.

    Attributes:
        account: whose result it is.
        folder: of the watch, as its user named it.
        relative: checked path below it.
        written_mtime_ns: modification time of the file when Envoy last wrote it; 0: never.
        real_folder: where ``folder`` led when the watch was accepted, which is where to write; ""
            when that is not known.
        place: the same for all downloads that write this file; see `envoy.journal.places`.
    """

    id: int
    entry_id: str
    account: str
    folder: str
    relative: str
    hash: str
    size: int
    state: DownloadState
    written_mtime_ns: int
    real_folder: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class DownloadCounts:
    """Files and bytes of one entry's downloads.

    Attributes:
        files_done: in place, or replaced.
        message, reason: why one of them failed.
    """

    files_total: int = 0
    files_done: int = 0
    files_failed: int = 0
    files_replaced: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    message: str = ""
    reason: Reason = Reason.NONE

    @property
    def files_left(self) -> int:
        """Those that are still to come."""
        return self.files_total - self.files_done - self.files_failed


@dataclass(frozen=True, slots=True)
class _StoredCounts:
    """The `DownloadCounts` of an entry, as SQLite computes them."""

    entry_id: str
    files_total: int
    files_done: int
    files_failed: int
    files_replaced: int
    bytes_done: float
    bytes_total: float
    message: str
    reason: str


class Downloads:
    """The tables ``downloads`` and ``feeds``."""

    def __init__(self, database: Database, damage: Damage) -> None:
        self._database = database
        self._damage = damage
        # Of entries that results came for; a result that came twice counts twice.
        self._results: dict[str, int] = {}

    def cursor(self, account: str, farm: str) -> tuple[str, int]:
        """Return (farm id, cursor) of the account's feed; ("", 0) when it was never read.

        Parameters:
            farm: `FarmClient.identity`; what a farm says of itself tells only its own databases
                apart.
        """
        # An older Envoy wrote it down without the farm.
        for key in (_feed(account, farm), account):
            for farm_id, cursor in self._database.read(
                "SELECT farm_id, cursor FROM feeds WHERE account = ?", (key,)
            ):
                return str(farm_id), max(0, int(str(cursor)))
        return "", 0

    def apply(
        self,
        account: str,
        farm: str,
        farm_id: str,
        cursor: int,
        outputs: Sequence[NewDownload] = (),
        jobs: Iterable[Job] = (),
        lost: Iterable[LostDownload] = (),
    ) -> list[tuple[int, str]]:
        """Record one answer of the feed with its cursor; returns (id, folder) to download.

        A row that exists goes back to ``pending`` whatever its hash: whether the file is still
        there is for the download to find out. One that waits for what is ``lost`` has failed; what
        is here already stays.
        """
        pending: dict[int, str] = {}
        full: set[str] = set()
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE downloads SET state = :state, message = :message, reason = :reason"
                " WHERE entry_id = :entry AND folder = :folder AND relative = :relative"
                " AND state = :pending",
                (
                    {
                        "state": DownloadState.FAILED,
                        "message": no_longer(each.relative).message,
                        "reason": no_longer(each.relative).reason,
                        "entry": each.entry_id,
                        "folder": each.folder,
                        "relative": each.relative,
                        "pending": DownloadState.PENDING,
                    }
                    for each in lost
                ),
            )
        # If the cursor is not recorded after a portion, the farm sends it, and it is recorded,
        # again.
        for start in range(0, len(outputs), PORTION):
            with self._database.transaction() as connection:
                for output in outputs[start : start + PORTION]:
                    if output.entry_id in full or not self._has_room(output.entry_id):
                        full.add(output.entry_id)
                        continue
                    row_id, state = _record(connection, output)
                    if state is DownloadState.PENDING:
                        pending[row_id] = output.folder
            time.sleep(PAUSE_SECONDS)
        with self._database.transaction() as connection:
            _record_jobs(connection, account, farm, jobs)
            connection.execute(
                "INSERT INTO feeds VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE SET"
                " farm_id = excluded.farm_id, cursor = excluded.cursor",
                (_feed(account, farm), farm_id, cursor),
            )
        return list(pending.items())

    def _has_room(self, entry_id: str) -> bool:
        """Return whether an entry may have another result, and count that."""
        count = self._results.get(entry_id, MOST_RESULTS)
        if count >= MOST_RESULTS:
            ((found,),) = self._database.read(
                "SELECT count(*) FROM downloads WHERE entry_id = ?", (entry_id,)
            )
            count = int(str(found))
        self._results[entry_id] = count + 1
        return count < MOST_RESULTS

    def pending(self, account: str, farm: str) -> list[tuple[int, str]]:
        """Return (id, folder) of all that is still to download from a farm, oldest first."""
        rows = self._database.read(
            "SELECT downloads.id, folder FROM downloads JOIN entries ON entries.id = entry_id"
            " WHERE downloads.state = ? AND account = ? AND farm IN ('', ?)"
            " ORDER BY downloads.id",
            (DownloadState.PENDING, account, farm),
        )
        return [(int(str(row_id)), str(folder)) for row_id, folder in rows]

    def get(self, download_id: int) -> Download | None:
        """Return one download, or None."""
        rows = self._database.read_as(
            Download,
            "SELECT downloads.id AS id, entry_id, account, folder, relative, hash, size,"
            " downloads.state AS state, written_mtime_ns,"
            " coalesce((SELECT max(real_folder) FROM watches WHERE"
            " watches.entry_id = downloads.entry_id AND watches.folder = downloads.folder), '')"
            " AS real_folder, place FROM downloads JOIN entries ON entries.id = entry_id"
            " WHERE downloads.id = ?",
            (download_id,),
        )
        for row in rows:
            try:
                # A relative one would be that of the folder in which Envoy was started.
                if not Path(row.real_folder or row.folder).is_absolute():
                    raise ValueError("its folder is not an absolute path")  # noqa: TRY301
                return replace(row, state=DownloadState(row.state))
            except ValueError as error:
                self._damage.note("download", row.relative, error)
        return None

    def of_entry(self, entry_id: str) -> list[Result]:
        """Return an entry's downloads, as far as it is known where each is."""
        rows = self._database.read(
            "SELECT hash, folder, relative, state FROM downloads WHERE entry_id = ?", (entry_id,)
        )
        found: list[Result] = []
        for digest, folder, relative, state in rows:
            try:
                state = DownloadState(str(state))
                found.append(Result(str(digest), str(folder), str(relative), state))
            except ValueError as error:
                self._damage.note("download", relative, error)
        return found

    def replaced(self, entry_id: str, most: int) -> list[str]:
        """Return results of an entry whose files are those of later submissions, by path."""
        rows = self._database.read(
            "SELECT DISTINCT relative FROM downloads WHERE entry_id = ? AND state = ?"
            " ORDER BY relative LIMIT ?",
            (entry_id, DownloadState.REPLACED, most),
        )
        return [str(relative) for (relative,) in rows]

    def folders(self) -> list[str]:
        """Return the local folders that results were ever to be downloaded to."""
        return [str(f) for (f,) in self._database.read("SELECT DISTINCT folder FROM watches")]

    def written(self, folder: str) -> dict[str, int]:
        """Return the files that Envoy has written in a folder: relative path -> mtime in ns."""
        rows = self._database.read(
            "SELECT relative, written_mtime_ns FROM downloads WHERE folder = ? AND state = ?",
            (folder, DownloadState.DONE),
        )
        return {str(relative): int(str(mtime_ns)) for relative, mtime_ns in rows}

    def done(self, download: Download, mtime_ns: int) -> None:
        """Record that the file is in place; does nothing when a newer result came meanwhile.

        It may have been lost to the farm while its last bytes were on their way.
        """
        self._settle(download, DownloadState.DONE, NO_MESSAGE, mtime_ns, DownloadState.FAILED)

    def failed(self, download: Download, why: StatusMessage) -> None:
        """Record that this result cannot be had."""
        self._settle(download, DownloadState.FAILED, why, 0)

    def counts(self, entry_id: str | None = None) -> dict[str, DownloadCounts]:
        """Return how the downloads of each entry stand, or of one entry that has any."""
        done = f"state IN ('{DownloadState.DONE}', '{DownloadState.REPLACED}')"
        where = "" if entry_id is None else " WHERE entry_id = ?"
        rows = self._database.read_as(
            _StoredCounts,
            "SELECT entry_id, count(*) AS files_total,"  # noqa: S608 - constants of this module
            f" sum({done}) AS files_done, sum(state = '{DownloadState.FAILED}') AS files_failed,"
            f" sum(state = '{DownloadState.REPLACED}') AS files_replaced,"
            # total(), which is a float: sum() raises when it is too large for 64 bits.
            f" total(CASE WHEN {done} THEN size ELSE 0 END) AS bytes_done,"
            # Beside the one max(), SQLite answers the reason of the row that it is from.
            " total(size) AS bytes_total, max(message) AS message, reason"
            f" FROM downloads{where} GROUP BY entry_id",
            () if entry_id is None else (entry_id,),
        )
        return {
            row.entry_id: DownloadCounts(
                files_total=row.files_total,
                files_done=row.files_done,
                files_failed=row.files_failed,
                files_replaced=row.files_replaced,
                bytes_done=int(row.bytes_done),
                bytes_total=int(row.bytes_total),
                message=row.message,
                reason=Reason(row.reason),
            )
            for row in rows
        }

    def _settle(
        self,
        download: Download,
        state: DownloadState,
        status: StatusMessage,
        mtime_ns: int,
        also_from: DownloadState = DownloadState.PENDING,
    ) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE downloads SET state = :state, message = :message, reason = :reason,"
                " written_mtime_ns = :mtime_ns"
                " WHERE id = :id AND hash = :hash AND state IN (:pending, :also_from)",
                {
                    "state": state,
                    "message": status.message,
                    "reason": status.reason,
                    "mtime_ns": mtime_ns,
                    "id": download.id,
                    "hash": download.hash,
                    "pending": DownloadState.PENDING,
                    "also_from": also_from,
                },
            )


def _record_jobs(
    connection: sqlite3.Connection, account: str, farm: str, jobs: Iterable[Job]
) -> None:
    """Record jobs of the account's own entries: of each no more than were submitted."""
    room: dict[str, int] = {}
    for job in jobs:
        entry_id = job.submission_id
        updated = connection.execute(
            "UPDATE jobs SET body = ? WHERE id = ? AND entry_id = (SELECT id FROM entries"
            " WHERE id = ? AND account = ? AND farm IN ('', ?))",
            (job.model_dump_json(), job.id, entry_id, account, farm),
        )
        if updated.rowcount:
            continue
        if entry_id not in room:
            room[entry_id] = _room_for_jobs(connection, account, farm, entry_id)
        if room[entry_id] > 0:
            room[entry_id] -= connection.execute(
                "INSERT INTO jobs (id, entry_id, position, body) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (job.id, entry_id, _AFTER_OTHERS, job.model_dump_json()),
            ).rowcount


def _room_for_jobs(connection: sqlite3.Connection, account: str, farm: str, entry_id: str) -> int:
    for submitted, known in connection.execute(
        "SELECT CASE WHEN json_valid(spec) THEN json_array_length(spec, '$.jobs') END,"
        " (SELECT count(*) FROM jobs WHERE entry_id = entries.id) FROM entries"
        " WHERE id = ? AND account = ? AND farm IN ('', ?)",
        (entry_id, account, farm),
    ):
        return int(submitted or 0) - int(known)
    return 0


def _record(connection: sqlite3.Connection, output: NewDownload) -> tuple[int, DownloadState]:
    """Record one result; returns its id, and how it stands.

    Of several submissions' results for one file that of the latest stays, whenever it arrives.
    """
    place = _place(connection, output)
    # The plus keeps SQLite from looking through all that has a state.
    newer = connection.execute(
        "SELECT 1 FROM downloads JOIN entries ON entries.id = entry_id"
        " WHERE place = :place AND entry_id <> :entry AND +downloads.state IN (:pending, :done)"
        " AND position > (SELECT position FROM entries WHERE id = :entry) LIMIT 1",
        {
            "place": place,
            "entry": output.entry_id,
            "pending": DownloadState.PENDING,
            "done": DownloadState.DONE,
        },
    ).fetchone()
    is_refused = output.refusal is not None
    state = DownloadState.FAILED if is_refused else DownloadState.PENDING
    if newer and not is_refused:
        state = DownloadState.REPLACED
    if not newer:
        connection.execute(
            "UPDATE downloads SET state = ? WHERE place = ? AND entry_id <> ? AND +state = ?",
            (DownloadState.REPLACED, place, output.entry_id, DownloadState.PENDING),
        )
    status = output.refusal or NO_MESSAGE
    ((row_id,),) = connection.execute(
        "INSERT INTO downloads (entry_id, folder, relative, place, hash, size, state,"
        " message, reason, written_mtime_ns)"
        " VALUES (:entry, :folder, :relative, :place, :hash, :size, :state, :message, :reason, 0)"
        " ON CONFLICT (entry_id, folder, relative) DO UPDATE SET hash = excluded.hash,"
        " size = excluded.size, state = excluded.state, message = excluded.message,"
        " reason = excluded.reason,"
        " written_mtime_ns = CASE WHEN hash = excluded.hash"
        " THEN written_mtime_ns ELSE 0 END RETURNING id",
        {
            "entry": output.entry_id,
            "folder": output.folder,
            "relative": output.relative,
            "place": place,
            "hash": output.hash,
            "size": output.size,
            "state": state,
            "message": status.message,
            "reason": status.reason,
        },
    ).fetchall()
    return int(row_id), state


def _place(connection: sqlite3.Connection, output: NewDownload) -> str:
    """Return where a result goes: to where its folder led when the watch was accepted."""
    ((real,),) = connection.execute(
        "SELECT max(real_folder) FROM watches WHERE entry_id = ? AND folder = ?",
        (output.entry_id, output.folder),
    ).fetchall()
    return place_of(real or output.folder, output.relative)


def no_longer(relative: str) -> StatusMessage:
    """Return what there is to say of a result that was deleted before it could be fetched."""
    return StatusMessage(f"The farm no longer has {relative}.", Reason.GONE)


def _feed(account: str, farm: str) -> str:
    """Return the key of a feed. No e-mail address has a line break."""
    return f"{account}\n{farm}"
