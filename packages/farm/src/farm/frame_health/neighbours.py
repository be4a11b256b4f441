"""Compares frames with their neighbours, and summarises which frames of a job look wrong.

A runner judges each picture by itself (`farm.frame_health.looks`). Neighbours are often rendered by
different runners, so the farm compares them, as soon as three in a row are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from farm_protocol.frames import BRIGHTEST, Certainty, Emptiness, FlagCode, FrameFlag

MOST_MESSAGES = 3
"""Maximum number of flags to report in full; the others are only counted."""

MOST_APART = 10
"""Frames whose numbers differ by more are unrelated, even if the job has none in between."""

AROUND = 2
"""A frame takes part in the comparisons of frames up to this many places before or after it."""

_OUTLIER_RATIO = 4.0
_VISIBLE = 0.02
"""Mean difference of two signatures that people notice; 1 is black beside infinitely bright."""

_PLAIN = 0.05
"""The same for a frame with a clear picture beside an empty one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A finished frame, with the numbers from its runner (`farm_protocol.frames.Picture`).

    Attributes:
        signature: lights, each 0 to ``BRIGHTEST``; all frames of a job have as many.
    """

    number: int
    signature: Sequence[int]
    emptiness: Emptiness


def compare(frames: Sequence[Seen | None]) -> list[FrameFlag]:
    """Return flags for frames, from their neighbours.

    Parameters:
        frames: successive frames of a job, by number; None for one without a picture so far.
    """
    triples = zip(frames, frames[1:], frames[2:], strict=False)
    found = (
        _compare(before, frame, after)
        for before, frame, after in triples
        if before and frame and after
    )
    return [flag for flag in found if flag is not None]


def difference(one: Seen, other: Seen) -> float:
    """Return how much two frames differ: 0 to 1, the mean over the cells of their signatures."""
    pairs = zip(one.signature, other.signature, strict=True)
    return sum(abs(a - b) for a, b in pairs) / (len(one.signature) * BRIGHTEST)


def _compare(before: Seen, frame: Seen, after: Seen) -> FrameFlag | None:
    number, names = frame.number, f"{before.number} and {after.number}"
    if max(number - before.number, after.number - number) > MOST_APART:
        return None
    least = min(difference(before, frame), difference(frame, after))
    if least <= max(_VISIBLE, _OUTLIER_RATIO * difference(before, after)):
        return None
    if not frame.emptiness:
        text = f"Frame {number} looks different from frames {names}, which look alike."
        return _flag(number, FlagCode.OUTLIER, Certainty.HINT, text)
    if least <= _PLAIN or before.emptiness or after.emptiness:
        return None
    text = f"Frame {number} is empty: every pixel is {frame.emptiness}, unlike frames {names}."
    return _flag(number, FlagCode.EMPTY, Certainty.CERTAIN, text)


def _flag(frame: int, code: FlagCode, certainty: Certainty, message: str) -> FrameFlag:
    return FrameFlag(frame=frame, code=code, certainty=certainty, message=message)


def summary(total: int, flagged: int, messages: Sequence[str]) -> str:
    """Return a job's message about frames that look wrong; "" when there are none.

    Parameters:
        total: frames of the job.
        flagged: how many of them have a flag.
        messages: messages of the first flags.
    """
    if not flagged:
        return ""
    look = "looks" if flagged == 1 else "look"
    first = " ".join(messages[:MOST_MESSAGES])
    return f"{flagged} of {total} frames {look} wrong. {first}".rstrip()
