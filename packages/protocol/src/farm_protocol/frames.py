"""Frames of a job, and what looks wrong about their pictures.

GET /v1/jobs/{job_id}/frames    FrameList
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from farm_protocol.models import Answer, Count, FirstFault, Int32, Int64, Request
from farm_protocol.text import Told

SIGNATURE_ACROSS, SIGNATURE_DOWN = 16, 9
SIGNATURE_CELLS = SIGNATURE_ACROSS * SIGNATURE_DOWN
BRIGHTEST = 2**16 - 1
"""The largest number in a signature: infinitely bright."""


class Emptiness(StrEnum):
    """Whether every pixel of a picture is black, or transparent."""

    PICTURE = ""
    BLACK = "black"
    TRANSPARENT = "transparent"


class Picture(Request):
    """A frame's picture as a few numbers, for comparison with neighbouring frames.

    Attributes:
        signature: the luminances l of 16x9 cells, row by row, as l / (1 + l), however bright.
    """

    signature: list[Annotated[int, Field(ge=0, le=BRIGHTEST)]] = Field(
        min_length=SIGNATURE_CELLS, max_length=SIGNATURE_CELLS
    )
    emptiness: Emptiness = Emptiness.PICTURE


class FlagCode(StrEnum):
    """What may be wrong with a frame. `farm.frame_health.looks` says when."""

    NON_FINITE = "non_finite"
    EMPTY = "empty"
    ONE_COLOUR = "one_colour"
    MISSING_TEXTURE = "missing_texture"
    OUTLIER = "outlier"


class Certainty(StrEnum):
    """Whether a flag means that the frame is bad, or that somebody should look at it."""

    CERTAIN = "certain"
    HINT = "hint"


class FrameFlag(Request):
    """A remark about one frame. ``message`` is for people."""

    frame: Int32
    code: FlagCode
    certainty: Certainty
    message: Told = Field(max_length=500)


class Flag(Answer):
    """A flag as a frame shows it; newer farms may have more codes than `FrameFlag`."""

    code: str
    certainty: str
    message: str


class Frame(Answer):
    """How one frame of a job stands.

    Attributes:
        state: "waiting", "running", "done" or "failed".
        seconds: machine time charged for it; 0 until it is done.
        failures: how often its renderer has failed at it since it was last reset.
        flags: what looks wrong about its picture; empty while it is not done. A flagged frame is
            done like any other.
    """

    number: Int64
    state: str
    seconds: float
    failures: Count
    flags: Annotated[list[Flag], FirstFault] = []


class FrameList(Answer):
    """One page of frames by number. ``more``: there are more after the last of them."""

    frames: Annotated[list[Frame], FirstFault]
    more: bool
