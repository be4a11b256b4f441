"""What happens to frames whose claim ended without them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_FAILURES = 3
"""A frame whose renderer failed this often is given up."""

MAX_LOSSES = 10
"""A frame whose runner vanished this often is given up: it probably crashes the machine."""


class FrameState(StrEnum):
    """States of one frame of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ClaimEnd(StrEnum):
    """How a claim ended, as far as its unfinished frames are concerned."""

    FAILED = "failed"
    LOST = "lost"
    STOPPED = "stopped"
    NO_LICENCE = "no_licence"


_BLAMING = frozenset({ClaimEnd.FAILED, ClaimEnd.LOST})


@dataclass(frozen=True, slots=True)
class Attempted:
    """An unfinished frame of a claim, with its history."""

    number: int
    failures: int
    losses: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The frame's new state. ``blamed``: one of its counters has grown."""

    number: int
    state: FrameState
    failures: int
    losses: int
    blamed: bool = False


def judge_unfinished(
    frames: Sequence[Attempted],
    end: ClaimEnd,
    *,
    frame: int | None,
    frame_reached: bool,
    permanent: bool,
) -> list[Verdict]:
    """Return a verdict for each unfinished frame of a claim that ended.

    Only the frame that the renderer was at is blamed. If that is unknown, it is the first
    unfinished one: a renderer goes through a claim in order. If no frame was reached at all (the
    scene did not even load), every frame of the claim is blamed; otherwise a scene of 1000 frames
    would be started 3000 times.

    Parameters:
        frames: in the order in which the claim renders them.
        frame: the frame that the renderer was at; None when unknown.
        frame_reached: a frame of this claim was started or done.
        permanent: the runner knows that retrying cannot help.
    """
    reached = frame_reached or frame is not None
    # A frame that is none of these was already done when the renderer ended.
    known = any(each.number == frame for each in frames)
    verdicts = []
    for index, each in enumerate(frames):
        at = each.number == frame if known else index == 0
        blamed = end in _BLAMING and (at or not reached)
        failures = each.failures + (blamed and end is ClaimEnd.FAILED)
        losses = each.losses + (blamed and end is ClaimEnd.LOST)
        given_up = permanent or failures >= MAX_FAILURES or losses >= MAX_LOSSES
        state = FrameState.FAILED if given_up else FrameState.WAITING
        verdicts.append(Verdict(each.number, state, failures, losses, blamed))
    return verdicts
