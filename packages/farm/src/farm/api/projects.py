"""Projects and their manifests."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

from farm_protocol.files import (
    FileEntry,
    FileRemoval,
    Manifest,
    ManifestUpdate,
    ProjectList,
    ProjectRevision,
)
from farm_protocol.paths import UnsafePathError, check_segment, folders_of, project_of
from farm_protocol.text import Line
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from farm.api import transfer
from farm.api.context import Account, Context, InContext
from farm.api.parsing import LargeBodyRoute
from farm.db import accounts as account_rows
from farm.db import files, manifests, projects
from farm.db.accounts import AccountRow
from farm.errors import InvalidRequestError, UnavailableError

router = APIRouter(prefix="/v1", route_class=LargeBodyRoute)

PAGE = 1000
"""Files per page."""

MOST_OF_FOLDERS = 32_000_000
"""Limit on the characters of the folders in one request."""

MOST_LOOKS = 4
"""Attempts with a project that keeps changing while its new files are checked."""

Cursor = Annotated[Line, Field(max_length=4096)]
"""A remote path, or ""."""

Name = Annotated[Line, Field(max_length=1000)]
"""A project's name in a URL."""


MOST_PROJECTS = 1000
"""Limit of one page."""


@router.get("/projects")
def get_projects(context: InContext, account: Account, after: Name | None = None) -> ProjectList:
    """Return a page of the user's projects by name.

    An Envoy without support for pages omits ``after`` and gets the newest ones.
    """
    with context.database.read() as connection:
        found = projects.summaries(connection, account.id, after, MOST_PROJECTS + 1)
    return ProjectList(projects=found[:MOST_PROJECTS], more=len(found) > MOST_PROJECTS)


@router.get("/projects/{name}/files", response_model=Manifest)
def get_files(
    context: InContext,
    account: Account,
    name: Name,
    after: Cursor | None = None,
    folder: Cursor = "",
) -> Manifest | Response:
    """Return the files of a project, a page at a time; none for a project that does not exist.

    Only those in ``folder`` (a remote path) if one is given, which goes with ``after``.

    An Envoy without support for pages omits ``after`` and gets all of them, also read a page at a
    time: no list is ever in memory as a whole.
    """
    if after is not None:
        return _page(context, account.id, name, folder or name, after)
    return StreamingResponse(_whole(context, account.id, name), media_type="application/json")


def _page(context: Context, account_id: str, name: str, folder: str, after: str) -> Manifest:
    with context.database.read() as connection:
        project = projects.find(connection, account_id, name)
        if project is None:
            return Manifest(files=[])
        found = manifests.page(connection, project.id, folder, after, PAGE)
    return Manifest(files=found, more=len(found) == PAGE)


async def _whole(context: Context, account_id: str, name: str) -> AsyncIterator[str]:
    """Return a manifest as text. The request's own turn ends before: each page takes one."""

    def read(after: str) -> tuple[Manifest, str]:
        page = _page(context, account_id, name, name, after)
        return page, ",".join(each.model_dump_json() for each in page.files)

    page = Manifest(files=[], more=True)
    before = '{"files":['
    while page.more:
        async with context.turns.reading.of(account_id, has_begun=True):
            last = page.files[-1].path if page.files else ""
            page, text = await run_in_threadpool(read, last)
        if text:
            yield before + text
            before = ","
    yield "]}" if before == "," else before + "]}"


@router.put("/projects/{name}/files")
def put_files(
    context: InContext, account: Account, name: Name, update: ManifestUpdate
) -> ProjectRevision:
    """Add or replace files of a project, creating it if necessary.

    Mistakes are reported before anything is written. The files are then written in portions: if
    the farm dies in between, the first ones are stored, and repeating the request adds the others.

    If the project keeps changing while the new files are checked, the request must be repeated
    later.
    """
    try:
        check_segment(name)
    except UnsafePathError as error:
        raise InvalidRequestError({"name": [str(error)]}) from None
    # The last one wins when a path comes twice.
    last = {file.path: file for file in update.files}
    try:
        folders = folders_of(last, MOST_OF_FOLDERS)
    except UnsafePathError as error:
        raise InvalidRequestError({"files": [str(error)]}) from None
    # Requests for one project are serialised, so that none does work that another makes obsolete.
    changes = 0
    with context.one_project.of((account.id, name)):
        for _ in range(MOST_LOOKS):
            # What takes time is looked for before the turn to write, which others wait for.
            with context.database.read() as connection:
                looked = _look(connection, account.id, name, update, last, folders)
                news = [path for path, file in last.items() if looked.is_news(file)]
                _require_room(context, connection, account, looked.growth(name, news))
            written = _write(context, account, name, looked, [last[path] for path in news])
            changes += written.changes
            if written.is_whole:
                return ProjectRevision(revision=written.revision, changes=changes)
    raise UnavailableError(f"The files of '{name}' keep changing. Try again later.")


@dataclass(frozen=True, slots=True)
class _Written:
    """What was written of some files.

    Attributes:
        revision: the project's.
        changes: how many changes of it these are.
        is_whole: all are written: nobody else has changed the project since it was looked at.
    """

    revision: int
    changes: int
    is_whole: bool


def _write(
    context: Context, account: AccountRow, name: str, looked: "_Looked", news: Iterable[FileEntry]
) -> _Written:
    """Write down files, a portion at a time. Raises QuotaExceededError, StorageFullError."""
    by_path = {file.path: file for file in news}
    revision = changes = 0
    # Without any, the project is still made, or has changed now.
    for portion in list(manifests.in_turns(by_path)) or [[]]:
        with context.database.write(account.id) as connection:
            if projects.find(connection, account.id, name) != looked.project:
                return _Written(revision, changes, is_whole=False)
            files_of_portion = [by_path[path] for path in portion]
            project = _add(context, connection, account, name, looked, files_of_portion)
        revision, changes = project.revision, changes + bool(portion)
        looked = replace(looked, project=project)
    return _Written(revision, changes, is_whole=True)


def _add(
    context: Context,
    connection: Connection,
    account: AccountRow,
    name: str,
    looked: "_Looked",
    changed: Sequence[FileEntry],
) -> projects.ProjectRow:
    """Write down files that are news, and return the project as it is then.

    Raises QuotaExceededError, StorageFullError.
    """
    project = projects.ensure(connection, account.id, name, datetime.now(UTC))
    paths = [file.path for file in changed]
    grows = looked.growth(name, paths)
    _require_room(context, connection, account, grows)
    if grows:
        files.add_stored(connection, account.id, grows)
    manifests.drop(connection, project, looked.old(paths))
    manifests.add(connection, account.id, project, changed)
    return projects.revise(connection, project) if changed else project


def _require_room(
    context: Context, connection: Connection, account: AccountRow, grows: int
) -> None:
    """Look whether the account may have so much more.

    Raises QuotaExceededError, StorageFullError.
    """
    if grows:
        # A list of long names is as good a way to fill the disk as a blob.
        now = account_rows.by_id(connection, account.id)
        context.room.check(account.id, grows, transfer.quota_of(connection, now))


@router.post("/projects/{name}/files/remove")
def remove_files(
    context: InContext, account: Account, name: Name, removal: FileRemoval
) -> ProjectRevision:
    """Take files out of a project; those that it does not have are no error.

    Submissions that were made before still have them. A portion goes at a time.
    """
    revision = changes = 0
    with context.one_project.of((account.id, name)):
        for portion in manifests.in_turns(dict.fromkeys(removal.paths)):
            with context.database.write(account.id) as connection:
                before = projects.find(connection, account.id, name)
                if before is None:
                    break
                after = _remove(connection, account.id, name, before, portion)
            revision, changes = after.revision, changes + after.revision - before.revision
    return ProjectRevision(revision=revision, changes=changes)


def _remove(
    connection: Connection,
    account_id: str,
    name: str,
    project: projects.ProjectRow,
    paths: Collection[str],
) -> projects.ProjectRow:
    """Take files out of a project, and return it as it is then."""
    old = manifests.lines(connection, project.id, paths)
    if not old:
        return project
    project = projects.ensure(connection, account_id, name, datetime.now(UTC))
    freed = manifests.size_of(old) - manifests.size_of(manifests.kept(project, old))
    files.add_stored(connection, account_id, -freed)
    manifests.drop(connection, project, old)
    return projects.revise(connection, project)


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a project, as it was at one time, says to new files.

    Attributes:
        project: None when there is none.
        known: what its manifest says of the paths that it has already.
        new: the other paths.
    """

    project: projects.ProjectRow | None
    known: dict[str, manifests.Line]
    new: set[str]

    def is_news(self, file: FileEntry) -> bool:
        """Return whether a file has to be written down."""
        known = self.known.get(file.path)
        return known is None or known.content != manifests.content_of(file)

    def old(self, paths: Iterable[str]) -> dict[str, manifests.Line]:
        """Return what the manifest says of those of these paths that it has."""
        return {path: self.known[path] for path in paths if path in self.known}

    def growth(self, name: str, paths: Collection[str]) -> int:
        """Return what the database grows by when the files of these paths are written down."""
        grows = manifests.size_of(self.new.intersection(paths))
        if self.project is None:
            return grows + manifests.size_of([name])
        return grows + manifests.size_of(manifests.kept(self.project, self.old(paths)))


def _look(
    connection: Connection,
    account_id: str,
    name: str,
    update: ManifestUpdate,
    paths: Collection[str],
    folders: Collection[str],
) -> _Looked:
    """Return what is new of these files. Raises InvalidRequestError when they cannot be added."""
    known = files.known_blobs(connection, account_id, (file.hash for file in update.files))
    for index, file in enumerate(update.files):
        _check(name, known, index, file)
    project = projects.find(connection, account_id, name)
    id_of = project.id if project else ""  # Which none is called.
    lines = manifests.lines(connection, id_of, paths)
    new = set(paths) - lines.keys()
    if clash := manifests.two_in_one(connection, id_of, new, folders):
        raise _two_in_one(update, *clash)
    return _Looked(project, lines, new)


def _two_in_one(update: ManifestUpdate, file: str, inside: str) -> InvalidRequestError:
    """Return the error for a path that would be a file and a folder."""
    index = next(index for index, each in enumerate(update.files) if each.path in (file, inside))
    return InvalidRequestError(
        {
            f"files[{index}].path": [
                f"'{file}' cannot be both a file of the project and, for '{inside}', a"
                " folder. Rename one of them, or submit under another project name."
            ]
        }
    )


def _check(name: str, known: dict[str, int], index: int, file: FileEntry) -> None:
    if project_of(file.path) != name or "/" not in file.path:
        raise InvalidRequestError(
            {f"files[{index}].path": [f"'{file.path}' is not inside the project '{name}'."]}
        )
    if known.get(file.hash) != file.size:
        raise InvalidRequestError(
            {
                f"files[{index}].hash": [
                    f"'{file.path}' has not been uploaded yet. Upload it, then try again."
                ]
            }
        )
