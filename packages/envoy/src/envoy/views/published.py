"""What the published calls answer. Names, types and their order are those of the contract."""

from typing import Literal

from farm_protocol.account import UserInfo
from farm_protocol.models import Answer, Count
from pydantic import Field


class SignedIn(Answer):
    """``POST /auth``."""

    email: str


class Credits(Answer):
    """``GET /credits-info``."""

    credits_available: float


class UserAnswer(Answer):
    """``GET /user-info``: the documented fields of the client library's `get_user_info`."""

    data: UserInfo


class ProjectRow(Answer):
    """A project, on the farm or on its way there.

    Attributes:
        deleting: always false.
        auto_downloading: whether Envoy brings any of its results home.
        watched_list: patterns of those that it brings.
    """

    name: str
    deleting: bool
    num_files: Count
    total_size: Count
    auto_downloading: bool
    watched_list: list[str]


class ProjectRows(Answer):
    """``GET /projects``, by name."""

    projects: list[ProjectRow]


class FileRow(Answer):
    """A file of a project, on the farm.

    Attributes:
        name: remote path, with its leading slash; ``key`` is without.
        file_name: without its folders.
        last_modified: ``YYYY-MM-DDTHH:MM:SS``, UTC.
    """

    name: str = Field(serialization_alias="Name")
    key: str = Field(serialization_alias="Key")
    file_name: str = Field(serialization_alias="FmtName")
    size: Count = Field(serialization_alias="Size")
    checksum: str = Field(serialization_alias="CheckSum")
    last_modified: str = Field(serialization_alias="LastModified")


class FileRows(Answer):
    """All files of a project."""

    all_files: list[FileRow]


class ProjectFiles(Answer):
    """``GET /project/{name}/Files``; without files for an unknown project."""

    project_files: FileRows


class FileStatus(Answer):
    """How far a file is on its way to the farm.

    Attributes:
        name: remote path, with its leading slash.
        speed: bytes per second on the way; the text "0.00" at the end.
    """

    name: str = Field(serialization_alias="Name")
    state: Literal["Uploading", "Completed", "Failed"] = Field(serialization_alias="State")
    bytes_done: int = Field(serialization_alias="BytesDone")
    bytes_total: int = Field(serialization_alias="BytesTotal")
    speed: int | Literal["0.00"] = Field(serialization_alias="Speed")


State = Literal["Uploading", "Submitting", "Submitted", "Completed", "Failed", "Unknown"]
"""How the upload of a project stands. ``Completed``: files only, nothing was submitted."""


class ProjectStatus(Answer):
    """``GET /project-status/{name}``.

    Attributes:
        code: always 200.
        state: of the newest entry.
        details: by remote path; empty for an unknown project.
        speed: bytes per second, over all files.
        warnings: what looks wrong about the newest submission and its jobs.
    """

    code: int = Field(default=200, serialization_alias="Code")
    state: State = Field(serialization_alias="State")
    message: str = Field(serialization_alias="Message")
    bytes_done: int = Field(default=0, serialization_alias="BytesDone")
    bytes_total: int = Field(default=0, serialization_alias="BytesTotal")
    details: dict[str, FileStatus] = Field(default={}, serialization_alias="Details")
    speed: int = Field(default=0, serialization_alias="Speed")
    warnings: list[str] = Field(default=[], serialization_alias="Warnings")


class Uploaded(Answer):
    """``POST /upload``: the files are listed on disk, and will be sent."""

    project: str = Field(serialization_alias="ID")


class Submitted(Answer):
    """``POST /project-submit``: the submission is on disk, and will be sent.

    Attributes:
        warnings: what looks wrong so far; the jobs may get more.
    """

    project: str = Field(serialization_alias="ID")
    submission_id: str
    warnings: list[str]
