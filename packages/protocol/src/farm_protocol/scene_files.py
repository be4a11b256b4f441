"""Messages between Envoy and the program that reads .blend files for it, in JSON."""

from typing import Annotated

from pydantic import Field

from farm_protocol.models import Answer, FirstFault, Request

MOST_BLENDS = 1000
MOST_NAMED = 200_000
"""Limits on the files named by the .blend files of one question, and of one submission."""


class TraceQuestion(Request):
    """Asks which files these .blend files name. Absolute paths of this machine."""

    blends: Annotated[list[Annotated[str, Field(max_length=32_767)]], FirstFault] = Field(
        max_length=MOST_BLENDS
    )


class NamedFile(Answer):
    """A file that a .blend names.

    Attributes:
        path: as the .blend writes it.
        kind: what names it: "image", "library", "font", "sound", "movie clip", "strip", "volume",
            "light profile" or "cache".
        data_block: name of the data-block that names it.
        is_sequence: ``path`` stands for several files.
        is_needed: the pixels of the .blend's own scene certainly depend on it.
    """

    path: str
    kind: str
    data_block: str
    is_sequence: bool
    is_needed: bool = False


class TraceAnswer(Answer):
    """What each .blend names, by its path.

    Attributes:
        failures: for each one that cannot be read, a message that says why.
    """

    usages: dict[str, list[NamedFile]]
    failures: dict[str, str]
