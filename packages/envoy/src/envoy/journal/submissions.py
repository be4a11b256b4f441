"""What was accepted: entries with their files, watches and jobs.

An entry is either a submission (with a spec) or a bare upload (``POST /upload``; its spec is "").
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum

from farm_protocol.jobs import Job
from farm_protocol.text import valid_text
from pydantic import TypeAdapter, ValidationError

from envoy.journal.damage import Damage
from envoy.journal.database import Database
from envoy.process.status_messages import NO_MESSAGE, Reason, StatusMessage


class EntryState(StrEnum):
    """uploading -> submitting -> submitted; a bare upload ends in ``uploaded``; any may fail.

    Its user may stop it while it is uploading.
    """

    UPLOADING = "uploading"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    UPLOADED = "uploaded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_open(self) -> bool:
        """Whether Envoy still has work to do on it."""
        return self in (EntryState.UPLOADING, EntryState.SUBMITTING)

    @property
    def is_sent(self) -> bool:
        """Whether all its files are on the farm."""
        return self not in (EntryState.UPLOADING, EntryState.FAILED, EntryState.STOPPED)


@dataclass(frozen=True, slots=True)
class UploadFile:
    """One file to send.

    Attributes:
        remote: canonical path.
        local: absolute path.
        size: in bytes.
        root: local folder that must contain the target of ``local``; ``local`` itself where it must
            not be a link; "" in entries from before this was recorded.
        stamp: `envoy.process.local_files.stamp_of` it when it was accepted; "" for Envoy's own
            files, and in entries from before this was recorded.
    """

    remote: str
    local: str
    size: int
    root: str = ""
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class UploadFolder:
    """A folder that is sent as a whole: files that it no longer contains leave the project.

    Attributes:
        remote: canonical path.
        local: absolute path.
    """

    remote: str
    local: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Results whose remote path matches ``pattern`` go below the local ``folder``.

    Attributes:
        folder: as its user named it.
        real_folder: its real path when the watch was accepted; "" when that does not matter, and in
            entries from before this was recorded.
    """

    pattern: str
    folder: str
    real_folder: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted submission or upload.

    Attributes:
        account: e-mail address of the account that was signed in.
        output_folder: canonical remote path; "" for a bare upload.
        spec: the `SubmissionSpec` as JSON; "" for a bare upload.
        message, reason: why it failed, or what it waits for since Envoy works with another farm.
        bytes_total: of all files to send.
        created_at: UTC.
        farm: its farm, as `FarmClient.identity`: no other gets its files. "" in entries from before
            this was recorded, which belong to any farm.
        revision: of the project on the farm, when it had just got the files; None: not known, or
            the submission takes what the project has.
    """

    id: str
    account: str
    project: str
    name: str
    output_folder: str
    spec: str
    state: EntryState
    message: str
    warnings: tuple[str, ...]
    bytes_total: int
    created_at: datetime
    farm: str = ""
    reason: Reason = Reason.NONE
    revision: int | None = None

    @property
    def status(self) -> StatusMessage:
        """The message with its reason."""
        return StatusMessage(self.message, self.reason)

    def is_for(self, farm: str) -> bool:
        """Return whether a farm may get this entry."""
        return self.farm in ("", farm)


_COLUMNS = ", ".join(each.name for each in fields(Entry))
_MESSAGES = TypeAdapter(list[str])


def _entry(row: Entry) -> Entry:
    """Return an entry whose fields are as the table has them with its own types."""
    return replace(
        row,
        state=EntryState(row.state),
        warnings=tuple(_MESSAGES.validate_json(str(row.warnings))),
        created_at=datetime.fromisoformat(str(row.created_at)),
        reason=Reason(row.reason),
    )


def new_entry(
    entry_id: str,
    account: str,
    project: str,
    files: Sequence[UploadFile],
    *,
    farm: str,
    name: str = "",
    output_folder: str = "",
    spec: str = "",
    warnings: Iterable[str] = (),
) -> Entry:
    """Return a new entry."""
    return Entry(
        id=entry_id,
        account=account,
        project=project,
        name=name,
        output_folder=output_folder,
        spec=spec,
        state=EntryState.UPLOADING,
        message="",
        warnings=tuple(warnings),
        bytes_total=sum(file.size for file in files),
        created_at=datetime.now(UTC),
        farm=farm,
    )


class Submissions:
    """The tables ``entries``, ``upload_files``, ``upload_folders``, ``watches`` and ``jobs``."""

    def __init__(self, database: Database, damage: Damage) -> None:
        self._database = database
        self._damage = damage

    def add(
        self,
        entry: Entry,
        files: Sequence[UploadFile],
        watches: Sequence[Watch] = (),
        folders: Sequence[UploadFolder] = (),
    ) -> None:
        """Store an accepted request; it is on disk when this returns."""
        with self._database.transaction(durable=True) as connection:
            connection.execute(
                f"INSERT INTO entries ({_COLUMNS}, position) VALUES"  # noqa: S608 - constants
                " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                " (SELECT coalesce(max(position), 0) + 1 FROM entries))",
                (
                    entry.id,
                    entry.account,
                    entry.project,
                    entry.name,
                    entry.output_folder,
                    entry.spec,
                    entry.state,
                    entry.message,
                    json.dumps(entry.warnings),
                    entry.bytes_total,
                    entry.created_at.isoformat(),
                    entry.farm,
                    entry.reason,
                    entry.revision,
                ),
            )
            connection.executemany(
                "INSERT INTO upload_files (entry_id, remote, local, size, root, stamp)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (entry.id, file.remote, file.local, file.size, file.root, file.stamp)
                    for file in files
                ),
            )
            connection.executemany(
                "INSERT INTO upload_folders (entry_id, remote, local) VALUES (?, ?, ?)",
                ((entry.id, each.remote, each.local) for each in folders),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO watches (entry_id, pattern, folder, real_folder)"
                " VALUES (?, ?, ?, ?)",
                ((entry.id, each.pattern, each.folder, each.real_folder) for each in watches),
            )

    def get(self, entry_id: str) -> Entry | None:
        """Return one entry, or None."""
        found = self._select("WHERE id = ?", (entry_id,))
        return found[0] if found else None

    def unfinished(self) -> list[Entry]:
        """Return entries with work left, oldest first."""
        return self._select(
            "WHERE state IN (?, ?) ORDER BY position",
            (EntryState.UPLOADING, EntryState.SUBMITTING),
        )

    def of_project(self, project: str) -> list[Entry]:
        """Return all entries of a project, newest first."""
        return self._select("WHERE project = ? ORDER BY position DESC", (project,))

    def recent(self, most: int) -> list[Entry]:
        """Return the newest entries, newest first."""
        return self._select("ORDER BY position DESC LIMIT ?", (most,))

    def set_state(
        self, entry_id: str, state: EntryState, status: StatusMessage = NO_MESSAGE
    ) -> bool:
        """Record an entry's state; returns False when it was stopped, which is final."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE entries SET state = ?, message = ?, reason = ? WHERE id = ? AND state <> ?",
                (state, valid_text(status.message), status.reason, entry_id, EntryState.STOPPED),
            )
            return changed.rowcount > 0

    def sent(self, entry: Entry) -> bool:
        """Record that the farm has an entry's files; returns False when it was stopped.

        Parameters:
            entry: with the revision of its project, and all of its warnings.
        """
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE entries SET state = ?, message = '', reason = '', revision = ?,"
                " warnings = ? WHERE id = ? AND state <> ?",
                (
                    EntryState.SUBMITTING,
                    entry.revision,
                    json.dumps([valid_text(each) for each in entry.warnings]),
                    entry.id,
                    EntryState.STOPPED,
                ),
            )
            return changed.rowcount > 0

    def stop(self, entry_id: str, why: StatusMessage) -> bool:
        """Record that an entry was stopped; returns False unless it was uploading."""
        with self._database.transaction(durable=True) as connection:
            changed = connection.execute(
                "UPDATE entries SET state = ?, message = ?, reason = ? WHERE id = ? AND state = ?",
                (
                    EntryState.STOPPED,
                    valid_text(why.message),
                    why.reason,
                    entry_id,
                    EntryState.UPLOADING,
                ),
            )
            return changed.rowcount > 0

    def finish(self, entry: Entry, state: EntryState, jobs: Sequence[Job] = ()) -> None:
        """Record success, and drop the file lists of the project's earlier, finished entries.

        The change feed may have reported a job before the farm's answer arrived: it is newer, so
        the answer only sets the order. Not flushed: submitting again is harmless.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE entries SET state = ?, message = '', reason = ''"
                " WHERE id = ? AND state <> ?",
                (state, entry.id, EntryState.STOPPED),
            )
            connection.executemany(
                "INSERT INTO jobs VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET position = excluded.position"
                " WHERE entry_id = excluded.entry_id",
                ((job.id, entry.id, n, job.model_dump_json()) for n, job in enumerate(jobs)),
            )
            connection.execute(
                "DELETE FROM upload_files WHERE entry_id IN (SELECT id FROM entries WHERE"
                " project = ? AND id <> ? AND state NOT IN (?, ?)) AND EXISTS"
                " (SELECT 1 FROM upload_files WHERE entry_id = ?)",
                (
                    entry.project,
                    entry.id,
                    EntryState.UPLOADING,
                    EntryState.SUBMITTING,
                    entry.id,
                ),
            )

    def folders(self, entry_id: str) -> list[UploadFolder]:
        """Return the folders that an entry sends as a whole, by remote path."""
        rows = self._database.read(
            "SELECT remote, local FROM upload_folders WHERE entry_id = ? ORDER BY remote",
            (entry_id,),
        )
        return [UploadFolder(str(remote), str(local)) for remote, local in rows]

    def files(self, entry_id: str) -> list[UploadFile]:
        """Return the files of an entry, by remote path."""
        rows = self._database.read(
            "SELECT remote, local, size, root, stamp FROM upload_files WHERE entry_id = ?"
            " ORDER BY remote",
            (entry_id,),
        )
        return [
            UploadFile(str(remote), str(local), int(str(size)), str(root), str(stamp))
            for remote, local, size, root, stamp in rows
        ]

    def awaited_paths(self, project: str, account: str, farm: str) -> set[str]:
        """Return the remote paths that unfinished entries of a project will still send."""
        rows = self._database.read(
            "SELECT remote FROM upload_files JOIN entries ON entries.id = entry_id"
            " WHERE project = ? AND account = ? AND farm IN ('', ?) AND state IN (?, ?)",
            (project, account, farm, EntryState.UPLOADING, EntryState.SUBMITTING),
        )
        return {str(remote) for (remote,) in rows}

    def watches(self, entry_id: str) -> list[Watch]:
        """Return the watches of an entry."""
        rows = self._database.read(
            "SELECT pattern, folder FROM watches WHERE entry_id = ? ORDER BY folder, pattern",
            (entry_id,),
        )
        return [Watch(str(pattern), str(folder)) for pattern, folder in rows]

    def watches_by_project(self) -> dict[str, list[Watch]]:
        """Return the watches of all entries, by project."""
        found: dict[str, list[Watch]] = {}
        for project, pattern, folder in self._database.read(
            "SELECT DISTINCT project, pattern, folder FROM watches"
            " JOIN entries ON entries.id = entry_id ORDER BY project, pattern, folder"
        ):
            found.setdefault(str(project), []).append(Watch(str(pattern), str(folder)))
        return found

    def jobs(self, entry_id: str) -> list[Job]:
        """Return the jobs of an entry as last seen, in the order in which they were given."""
        rows = self._database.read(
            "SELECT body FROM jobs WHERE entry_id = ? ORDER BY position, id", (entry_id,)
        )
        found: list[Job] = []
        for (body,) in rows:
            try:
                found.append(Job.model_validate_json(str(body)))
            except ValidationError as error:
                self._damage.note("job of the submission", entry_id, error)
        return found

    def farm_id(self, job_id: str) -> str:
        """Return the farm's id of a job given by either id; "" when it is unknown.

        Of several jobs with the same client id (the script ran again) the newest one counts.
        """
        rows = self._database.read(
            "SELECT jobs.id FROM jobs JOIN entries ON entries.id = entry_id WHERE jobs.id = ?"
            " OR CASE WHEN json_valid(body) THEN json_extract(body, '$.client_id') END = ?"
            " ORDER BY entries.position DESC LIMIT 1",
            (job_id, job_id),
        )
        return str(rows[0][0]) if rows else ""

    def _select(self, rest: str, parameters: tuple[object, ...]) -> list[Entry]:
        sql = f"SELECT {_COLUMNS} FROM entries {rest}"  # noqa: S608 - constants of this module
        found: list[Entry] = []
        for row in self._database.read_as(Entry, sql, parameters):
            try:
                found.append(_entry(row))
            except (ValueError, TypeError) as error:
                self._damage.note("submission", row.id, error)
        return found
