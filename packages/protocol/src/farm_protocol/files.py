"""Blobs (bytes named by their BLAKE3), manifests (remote path -> blob) and upload tickets."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from farm_protocol.faults import HASH
from farm_protocol.models import Answer, Count, FirstFault, Request
from farm_protocol.paths import MAX_PATH_BYTES, canonical, known

BlobHash = Annotated[str, Field(pattern=HASH)]
# Its length is checked first: all other checks of a text take time. One more for a leading slash.
RemotePath = Annotated[str, Field(max_length=MAX_PATH_BYTES + 1), AfterValidator(canonical)]
KnownPath = Annotated[str, Field(max_length=4097), AfterValidator(known)]
"""For an existing file: an older farm accepted up to 4,096 bytes."""

# What a database column holds: 64 bits with a sign.
_LARGEST = 2**63 - 1
FileSize = Annotated[int, Field(ge=0, le=_LARGEST)]

MAX_BATCH = 5000
"""Most blobs or manifest entries in one request; a client sends more in several requests."""


class BlobRef(Request):
    """The bytes of one file: BLAKE3 in hex, and size in bytes."""

    hash: BlobHash
    size: FileSize


class MissingRequest(Request):
    """``POST /v1/blobs/missing``: which of these must be sent?"""

    blobs: Annotated[list[BlobRef], FirstFault] = Field(max_length=MAX_BATCH)


class Ticket(Answer):
    """Where one blob is sent to or fetched from: ``PUT`` or ``GET`` its bytes at ``url`` (relative
    to the API).
    """

    hash: BlobHash
    url: str = Field(max_length=8192)


class MissingAnswer(Answer):
    """One ticket for each blob that the account does not have yet."""

    tickets: Annotated[list[Ticket], FirstFault]


class FileEntry(Request):
    """One line of a manifest. ``mtime_ns``: the local file's, nanoseconds since the epoch."""

    path: RemotePath
    hash: BlobHash
    size: FileSize
    mtime_ns: int = Field(default=0, ge=-_LARGEST, le=_LARGEST)


class ManifestUpdate(Request):
    """``PUT /v1/projects/{name}/files``: add or replace these paths; others stay.

    Every blob must have been sent before, and every path must begin with the project's name.
    """

    files: Annotated[list[FileEntry], FirstFault] = Field(max_length=MAX_BATCH)


class ProjectRevision(Answer):
    """The answer to a `ManifestUpdate` or a `FileRemoval`.

    It tells a sender whether somebody else changes the same project: then ``revision - changes`` is
    not what its own last request was answered.

    Attributes:
        revision: how often the project's files have changed, this request included.
        changes: how many of these changes are this request's.
    """

    revision: Count
    changes: Count


class FileRemoval(Request):
    """``POST /v1/projects/{name}/files/remove``: the project no longer has these paths."""

    paths: Annotated[list[KnownPath], FirstFault] = Field(max_length=MAX_BATCH)


class KnownFile(FileEntry):
    """An existing line of a manifest. Its path may be longer than that of a new one."""

    path: KnownPath


class Manifest(Answer):
    """``GET /v1/projects/{name}/files``: files of a project; empty for an unknown one.

    Attributes:
        more: there are more: give the last one's path as ``after``.
    """

    files: Annotated[list[KnownFile], FirstFault]
    more: bool = False


class ProjectSummary(Answer):
    """One row of ``GET /v1/projects``. Sizes in bytes."""

    name: str
    num_files: Count
    total_size: Count
    updated_at: datetime


class ProjectList(Answer):
    """``GET /v1/projects``: a page of the user's projects.

    Attributes:
        more: there are more: give the last one's name as ``after``.
    """

    projects: Annotated[list[ProjectSummary], FirstFault]
    more: bool = False
