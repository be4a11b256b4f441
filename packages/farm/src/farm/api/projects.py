"""Projects and their manifests."""

from datetime import UTC, datetime
from typing import Annotated

from farm_protocol.files import FileEntry, Manifest, ManifestUpdate, ProjectList
from farm_protocol.paths import UnsafePathError, check_segment, project_of
from farm_protocol.text import Line
from fastapi import APIRouter
from pydantic import Field

from farm.api import transfer
from farm.api.context import Account, InContext
from farm.db import accounts as rows
from farm.db import files
from farm.errors import InvalidRequestError

router = APIRouter()

Name = Annotated[Line, Field(max_length=1000)]
"""A project's name as it stands in an address."""


@router.get("/projects")
def get_projects(context: InContext, account: Account) -> ProjectList:
    """Return the user's projects."""
    with context.database.read() as connection:
        return ProjectList(projects=files.summaries(connection, account.id))


@router.get("/projects/{name}/files")
def get_files(context: InContext, account: Account, name: Name) -> Manifest:
    """Return all files of a project; none for a project that does not exist."""
    with context.database.read() as connection:
        project = files.project_id(connection, account.id, name)
        return Manifest(files=[] if project is None else files.entries(connection, project))


@router.put("/projects/{name}/files", status_code=204)
def put_files(context: InContext, account: Account, name: Name, update: ManifestUpdate) -> None:
    """Add or replace files of a project, made now if need be."""
    try:
        check_segment(name)
    except UnsafePathError as error:
        raise InvalidRequestError({"name": [str(error)]}) from None
    with context.database.write() as connection:
        known = files.known_blobs(connection, account.id, (file.hash for file in update.files))
        for index, file in enumerate(update.files):
            _check(name, known, index, file)
        project = files.ensure_project(connection, account.id, name, datetime.now(UTC))
        # The last one wins when a path comes twice.
        last = {file.path: file for file in update.files}
        if grows := files.new_bytes(connection, project, list(last.values())):
            # A list of long names is as good a way to fill the disk as a blob.
            now = rows.by_id(connection, account.id)
            context.room.check(account.id, grows, transfer.quota_of(connection, now))
            files.add_stored(connection, account.id, grows)
        files.put_entries(connection, account.id, project, list(last.values()))


def _check(name: str, known: dict[str, int], index: int, file: FileEntry) -> None:
    if project_of(file.path) != name or "/" not in file.path:
        raise InvalidRequestError(
            {f"files[{index}].path": [f"'{file.path}' is not inside the project '{name}'."]}
        )
    if known.get(file.hash) != file.size:
        raise InvalidRequestError(
            {f"files[{index}].hash": [f"The bytes of '{file.path}' have not been sent yet."]}
        )
