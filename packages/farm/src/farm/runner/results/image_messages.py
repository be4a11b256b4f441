"""Messages between a runner and the process that checks its images: one line of JSON each."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from farm.frame_health.statistics import ImageStatistics
from farm.runner.results.image_check import MOST_BYTES


class _Message(BaseModel):
    # An image may have pixels that are NaN, and then so is their mean.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    def line(self) -> bytes:
        """Return the message as it is sent."""
        return self.model_dump_json().encode() + b"\n"


class Question(_Message):
    """Asks whether an image is complete. The open file comes with it (SCM_RIGHTS), where that
    works.

    Attributes:
        name: the file's name for people.
        size: expected (width, height) in pixels; None to take any.
        memory: bytes that a renderer of the job may have; None: the default.
        path: where the file is.
        open: descriptor of the open file, if it was inherited.
    """

    name: str
    suffix: str
    size: tuple[int, int] | None
    memory: int | None
    path: str
    open: int | None = None


class Ready(_Message):
    """It is ready for questions."""

    ready: Literal[True] = True


class Decoding(_Message):
    """Decoding has started; how long it may take follows from the bytes of the pixels."""

    decoding: Annotated[int, Field(strict=True, ge=0, le=MOST_BYTES)]


class Looked(_Message):
    """The image is complete. None: a deep image, which has no statistics."""

    statistics: ImageStatistics | None


class Wrong(_Message):
    """The image is incomplete, or needs too much: a message for people."""

    wrong: str


ANSWERS: TypeAdapter[Ready | Decoding | Looked | Wrong] = TypeAdapter(
    Ready | Decoding | Looked | Wrong
)
"""Parses an answer, which a scene may control. Raises `pydantic.ValidationError`."""
