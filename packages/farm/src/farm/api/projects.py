"""Projects and their manifests."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from farm_protocol.files import FileEntry, Manifest, ManifestUpdate, ProjectList
from farm_protocol.paths import UnsafePathError, check_segment, folders_of, project_of
from farm_protocol.text import Line
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from farm.api import transfer
from farm.api.context import Account, Context, InContext
from farm.db import accounts as account_rows
from farm.db import files
from farm.errors import InvalidRequestError

router = APIRouter()

PAGE = 1000
"""Files of a page."""

MOST_OF_FOLDERS = 32_000_000
"""Characters of the folders in which the files of one request lie."""

Cursor = Annotated[Line, Field(max_length=4096)]
"""A remote path, or ""."""

Name = Annotated[Line, Field(max_length=1000)]
"""A project's name as it stands in an address."""


@router.get("/projects")
def get_projects(context: InContext, account: Account) -> ProjectList:
    """Return the user's projects."""
    with context.database.read() as connection:
        return ProjectList(projects=files.summaries(connection, account.id))


@router.get("/projects/{name}/files", response_model=Manifest)
def get_files(
    context: InContext, account: Account, name: Name, after: Cursor | None = None
) -> Manifest | Response:
    """Return the files of a project, a page at a time; none for a project that does not exist.

    An Envoy that knows of no pages does not say ``after`` and gets all of them, a page at a time
    as well: no list is ever in memory as a whole.
    """
    if after is not None:
        return _page(context, account.id, name, after)
    return StreamingResponse(_whole(context, account.id, name), media_type="application/json")


def _page(context: Context, account_id: str, name: str, after: str) -> Manifest:
    with context.database.read() as connection:
        project = files.project_id(connection, account_id, name)
        if project is None:
            return Manifest(files=[])
        found = files.entries_page(connection, project, after, PAGE)
    return Manifest(files=found, more=len(found) == PAGE)


async def _whole(context: Context, account_id: str, name: str) -> AsyncIterator[str]:
    """Return a manifest as text. The request's own turn ends before: each page takes one."""

    def read(after: str) -> tuple[Manifest, str]:
        page = _page(context, account_id, name, after)
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


@router.put("/projects/{name}/files", status_code=204)
def put_files(context: InContext, account: Account, name: Name, update: ManifestUpdate) -> None:
    """Add or replace files of a project, made now if need be."""
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
    with context.database.read() as connection:
        looked = _look(connection, account.id, name, update, last, folders)
    with context.database.write() as connection:
        # What takes time has been looked for already, unless the project has changed since.
        if files.project_version(connection, account.id, name) != looked.version:
            looked = _look(connection, account.id, name, update, last, folders)
        grows = files.new_project_bytes(connection, account.id, name)
        project = files.ensure_project(connection, account.id, name, datetime.now(UTC))
        grows += files.new_bytes(looked.new)
        if grows:
            # A list of long names is as good a way to fill the disk as a blob.
            now = account_rows.by_id(connection, account.id)
            context.room.check(account.id, grows, transfer.quota_of(connection, now))
            files.add_stored(connection, account.id, grows)
        files.put_entries(connection, account.id, project, list(last.values()))


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a project, as it was in one version, says to new files.

    Attributes:
        version: None when there is no project.
        new: the paths that it does not have yet.
    """

    version: tuple[str, datetime] | None
    new: set[str]


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
    version = files.project_version(connection, account_id, name)
    project = version[0] if version else ""  # Which none is called.
    new = files.new_paths(connection, project, paths)
    if clash := files.two_in_one(connection, project, new, folders):
        raise _two_in_one(update, *clash)
    return _Looked(version, new)


def _two_in_one(update: ManifestUpdate, file: str, inside: str) -> InvalidRequestError:
    """Return the error for a path that would be a file and a folder."""
    index = next(index for index, each in enumerate(update.files) if each.path in (file, inside))
    return InvalidRequestError(
        {
            f"files[{index}].path": [
                f"'{file}' would be a file of the project and, for '{inside}', a folder as well."
                " Rename one of them, or submit under another project name."
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
            {f"files[{index}].hash": [f"The bytes of '{file.path}' have not been sent yet."]}
        )
