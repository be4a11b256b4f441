"""Pictures that look wrong are reported, and rendered on: real Blender, a fake farm."""

from farm_protocol.frames import Certainty, FlagCode


def told(flags):
    return [(each.frame, each.code, each.certainty) for each in flags]


def test_a_black_frame_between_pictures_is_told_at_once_and_then_with_certainty(rig):
    farm = rig.farm("blackout.blend", [[1, 2, 3]])
    assert rig.run(farm) == 0
    assert sorted(farm.frames) == [1, 2, 3]
    assert farm.frames[1].flags == []
    assert told(farm.frames[2].flags) == [(2, FlagCode.EMPTY, Certainty.HINT)]
    assert told(farm.frames[3].flags) == [(2, FlagCode.EMPTY, Certainty.CERTAIN)]
    assert farm.frames[3].flags[0].sentence.endswith("unlike frames 1 and 3.")
    (finish,) = farm.finishes.values()
    assert (finish.outcome, finish.flags) == ("completed", [])


def test_each_claim_is_judged_by_itself(rig):
    farm = rig.farm("blackout.blend", [[1, 2], [3]])
    assert rig.run(farm) == 0
    flags = [flag for number in sorted(farm.frames) for flag in farm.frames[number].flags]
    assert told(flags) == [(2, FlagCode.EMPTY, Certainty.HINT)]
