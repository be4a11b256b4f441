"""Runners that have rendered, and wait for a farm that does not take the result: they say so."""

import pytest
from farm_protocol.runner import Outcome

from .conftest import Rig


@pytest.mark.parametrize(("room", "busy"), [(False, False), (True, True)], ids=["room", "answer"])
def test_a_runner_says_how_long_it_waits_for_the_farm(rig: Rig, room: bool, busy: bool) -> None:
    farm = rig.farm("plain.blend", [[1]])
    farm.room, farm.busy = room, busy
    runner = rig.start(farm)
    farm.wait(lambda: any(each > 1 for each in farm.waited))
    assert not farm.frames
    # It lives, and says that it does; until its renderer had ended it did not wait.
    assert farm.waited[0] == 0
    farm.room, farm.busy = True, False
    assert runner.wait(60) == 0
    assert farm.problems == []
    assert farm.frames.keys() == {1}
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED
    # Who has not been heard meanwhile, either, tells it with the frame.
    assert (farm.frames[1].waiting_seconds > 1) is busy


def test_a_runner_that_is_answered_at_once_does_not_wait(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1, 2]])
    assert rig.run(farm) == 0
    assert all(each < 1 for each in farm.waited)
