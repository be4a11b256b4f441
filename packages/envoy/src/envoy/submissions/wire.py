"""The published wire: what clients and plug-ins send to Envoy.

Lenient, since clients in the field differ: unknown fields are ignored, and fields that old clients
omit are optional. Mistakes are refused later, in `compose`, with a message for each field.
"""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    JsonValue,
)


def _none_to_empty(value: Any) -> Any:
    return "" if value is None else value


def _one_to_list(value: Any) -> Any:
    if not value:
        return []
    return [value] if isinstance(value, dict) else value


def _none_to_dict(value: Any) -> Any:
    return value or {}


def _is_unicode(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not valid Unicode text") from None
    return value


Unicode = Annotated[str, AfterValidator(_is_unicode)]
"""A text without surrogates, which JSON can contain and nothing else accepts."""
Text = Annotated[Unicode, BeforeValidator(_none_to_empty)]
"""A text that may be null or absent: then ""."""
Params = Annotated[dict[str, JsonValue], BeforeValidator(_none_to_dict)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class FileGroup(_Body):
    """Files below ``local_root`` that go below ``remote_root``.

    Attributes:
        files: relative to ``local_root``; None: everything in it.
        named: those of ``files`` that the script named one by one; the others were found in
            folders that it added. None: unknown (older clients), all count as named.
        folders: relative to ``local_root``; the client has listed all that is in them.
    """

    local_root: Text = Field(default="", alias="localRoot")
    remote_root: Text = Field(default="", alias="remoteRoot")
    files: list[str] | None = Field(default=None, fail_fast=True)
    named: list[str] | None = Field(default=None, fail_fast=True)
    folders: Annotated[list[str], FailFast(), BeforeValidator(lambda value: value or [])] = []


Groups = Annotated[list[FileGroup], FailFast(), BeforeValidator(_one_to_list)]
"""One group, several, or none."""
Messages = Annotated[
    list[Annotated[Unicode, Field(max_length=10_000)]], BeforeValidator(lambda value: value or [])
]


class AuthBody(_Body):
    """``POST /auth``. ``access_key``: a password or an access key."""

    username: Text = Field(default="", alias="Username")
    access_key: Text = Field(default="", alias="AccessKey", repr=False)


class UploadBody(_Body):
    """``POST /upload``. ``skipped_files``, ``gather_files``: see `SubmitBody`."""

    upload: Groups
    skipped_files: Messages = []
    gather_files: bool | None = None


class ProjectParams(_Body):
    """The project's parameters; all optional, since old clients send none.

    Others, such as Houdini's ``project_env``, are `shared` by all jobs.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    project_name: Text = ""
    submission_name: Text = ""
    output_folder_name: Text = ""
    remote_output_folder: Text = ""
    local_root: Text = ""
    skip_auto_download: bool | None = None

    @property
    def shared(self) -> dict[str, JsonValue]:
        """Parameters for each job that does not set its own."""
        return self.__pydantic_extra__


class JobBody(_Body):
    """One job. ``params``: its own, and instances, machine_type, plugins, credits_budget."""

    id: Text = ""
    name: Text = ""
    app: Text = ""
    app_version: Text = ""
    operation: Text = ""
    path: Text = ""
    params: Params = {}
    dependencies: Annotated[list[str], FailFast(), BeforeValidator(lambda value: value or [])] = []


class ProjectRequest(_Body):
    """The project and its jobs."""

    name: Text = ""
    params: Annotated[ProjectParams, BeforeValidator(_none_to_dict)] = ProjectParams()
    jobs: Annotated[list[JobBody], FailFast()] = []


class SubmitBody(_Body):
    """``POST /project-submit``.

    Attributes:
        watch_files: pattern -> local folder.
        skipped_files: messages about what the client found in folders and left out.
        gather_files: whether files that scenes use but that nobody has added are sent; None:
            as Envoy's setting says.
    """

    project_request: ProjectRequest
    project_files: Groups = []
    watch_files: Annotated[dict[Unicode, Unicode], BeforeValidator(_none_to_dict)] = {}
    skip_upload: bool | None = None
    gather_files: bool | None = None
    skipped_files: Messages = []
