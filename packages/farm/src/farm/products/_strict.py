"""The base class of everything that is read from a product's files, and the forms of its texts."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A part of a product's files: a misspelt field is refused, and no value becomes another one.

    ``"yes"`` in quotes is a text and no truth, ``"5"`` no number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


CODE = r"\A[a-z][a-z0-9_]*\z"
FILLED = r"\A[A-Z][A-Za-z0-9]*\z"
DEFINED = r"\A[A-Za-z_][A-Za-z0-9_]*\z"
VARIABLE_OR_PATH = r"\A(/.*|[A-Za-z_][A-Za-z0-9_]*)\z"
EXTENSION = r"\A[A-Za-z0-9]+(\.[A-Za-z0-9]+)*\z"
SCENE_EXTENSION = r"\A[a-z0-9]+(\.[a-z0-9]+)*\z"
FILE_NAME = r"\A[^/\\.][^/\\]*\z"
FILE_NAME_OR_NONE = r"\A([^/\\.][^/\\]*)?\z"
VERSION = r"\A[^\s:]+\z"
SERVER = r"\A(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}\z"

FORMS = {
    CODE: "small letters, digits and '_', with a letter first",
    FILLED: "letters and digits, with a capital letter first",
    DEFINED: "letters, digits and '_', with no digit first",
    VARIABLE_OR_PATH: "the name of an environment variable, or a path that begins with '/'",
    EXTENSION: "letters and digits, without a dot in front",
    SCENE_EXTENSION: "small letters and digits, without a dot in front",
    FILE_NAME: "the name of a file without its folder, and without a dot in front",
    FILE_NAME_OR_NONE: "the name of a file without its folder, and without a dot in front",
    VERSION: "a version, in quotes, without spaces and colons",
    SERVER: "a host and a port, as in 'licences:5053'; an IPv6 address in brackets",
}
"""Regular expression -> what a text that it matches looks like, for messages."""

Name = Annotated[str, Field(pattern=CODE, max_length=100)]
"""The name of a documented parameter, of an operation or of a plug-in."""
Filled = Annotated[str, Field(pattern=FILLED, max_length=100)]
"""The name of a value that the runner, or the scene module, provides."""
Defined = Annotated[str, Field(pattern=DEFINED, max_length=64)]
"""The name of any parameter, or of an environment variable."""
VariableOrPath = Annotated[str, Field(pattern=VARIABLE_OR_PATH, max_length=1000)]
Extension = Annotated[str, Field(pattern=EXTENSION, max_length=20)]
SceneExtension = Annotated[str, Field(pattern=SCENE_EXTENSION, max_length=20)]
"""Names of scenes are compared in small letters."""
FileName = Annotated[str, Field(pattern=FILE_NAME, max_length=200)]
FileNameOrNone = Annotated[str, Field(pattern=FILE_NAME_OR_NONE, max_length=200)]
Text = Annotated[str, Field(min_length=1)]
VersionText = Annotated[str, Field(min_length=1, max_length=100, pattern=VERSION)]
Message = Annotated[str, AfterValidator(lambda text: " ".join(text.split())), Field(min_length=1)]


def _with_group(pattern: re.Pattern[str]) -> re.Pattern[str]:
    if not pattern.groups:
        raise ValueError("it has no group. Put the part that is the version in parentheses")
    return pattern


def _selective(pattern: re.Pattern[str]) -> re.Pattern[str]:
    if pattern.search(""):
        raise ValueError("it matches every line. Make it specific to the line in question")
    return pattern


Version = Annotated[re.Pattern[str], AfterValidator(_with_group)]
"""Finds a version: its groups, joined with dots."""
Line = Annotated[re.Pattern[str], AfterValidator(_selective)]
"""Finds some lines of a program's output, and not all of them."""


def _checked_server(text: str) -> str:
    host, _, port = text.rpartition(":")
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host.strip("[]"))
        except ValueError:
            raise ValueError(f"'{host}' is not an IPv6 address. Correct it") from None
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"'{text}' has no port from 1 to 65535. Write one, as in 'licences:5053'")
    return text


Server = Annotated[str, Field(pattern=SERVER, max_length=260), AfterValidator(_checked_server)]
"""``host:port``; an IPv6 address in brackets."""
