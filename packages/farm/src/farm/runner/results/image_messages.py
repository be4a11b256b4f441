"""What a runner and the process that checks its images say to each other: a line of JSON each."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from farm.frame_health.statistics import ImageStatistics
from farm.runner.results.image_check import MOST_BYTES


class _Message(BaseModel):
    # An image may have pixels that are no numbers, and their mean is none either.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    def line(self) -> bytes:
        """Return it as it is sent."""
        return self.model_dump_json().encode() + b"\n"


class Question(_Message):
    """Is this image whole? The open file comes beside it (SCM_RIGHTS), where that works.

    Attributes:
        name: how people know the file.
        size: expected (width, height) in pixels; None to take any.
        memory: bytes that a renderer of the job may have; None: as many as anybody.
        path: where the file is.
        open: number of the open file, if it was inherited.
    """

    name: str
    suffix: str
    size: tuple[int, int] | None
    memory: int | None
    path: str
    open: int | None = None


class Ready(_Message):
    """It can be asked."""

    ready: Literal[True] = True


class Decoding(_Message):
    """It has begun; how long it may take follows from the bytes of the pixels."""

    decoding: Annotated[int, Field(strict=True, ge=0, le=MOST_BYTES)]


class Looked(_Message):
    """The image is whole. None: a deep one, of which there are no numbers."""

    statistics: ImageStatistics | None


class Wrong(_Message):
    """The image is not whole, or asks for too much: a message for people."""

    wrong: str


ANSWERS: TypeAdapter[Ready | Decoding | Looked | Wrong] = TypeAdapter(
    Ready | Decoding | Looked | Wrong
)
"""Reads an answer, which may be in a scene's hands. Raises `pydantic.ValidationError`."""
