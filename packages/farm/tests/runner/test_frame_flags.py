"""What is told about pictures that look wrong: real Blender, a fake farm."""

import pytest
from farm_protocol.frames import Certainty, Emptiness, FlagCode, Picture
from farm_protocol.runner import FrameDone

from .conftest import Rig

pytestmark = pytest.mark.every_blender


def picture_of(frame: FrameDone) -> Picture:
    assert frame.picture is not None
    return frame.picture


def test_a_black_frame_is_told_and_each_picture_goes_with_its_frame(rig: Rig) -> None:
    farm = rig.farm("blackout.blend", [[1, 2], [3]])
    assert rig.run(farm) == 0
    told = {
        number: [(each.frame, each.code, each.certainty) for each in frame.flags]
        for number, frame in farm.frames.items()
    }
    assert told == {1: [], 2: [(2, FlagCode.EMPTY, Certainty.HINT)], 3: []}
    pictures = {number: picture_of(frame) for number, frame in farm.frames.items()}
    assert pictures[2].emptiness == Emptiness.BLACK
    assert max(pictures[2].signature) < 300  # A step of 8 bits: it is dithered.
    assert pictures[1].emptiness == pictures[3].emptiness == Emptiness.PICTURE
    assert max(pictures[1].signature) > 10_000
