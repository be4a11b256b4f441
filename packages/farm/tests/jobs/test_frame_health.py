"""What frames tell of each other, and what a job says about it."""

from collections.abc import Sequence

import pytest
from farm.frame_health.neighbours import AROUND, Seen, compare, difference, summary
from farm_protocol.frames import BRIGHTEST, Certainty, Emptiness, FlagCode
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies._internal.random import ArtificialRandom
from messages import saying

OUTLIER = (FlagCode.OUTLIER, Certainty.HINT)
EMPTY = (FlagCode.EMPTY, Certainty.CERTAIN)


def seen(number: int, light: float) -> Seen:
    """A frame as bright as ``light`` all over; 0 is an empty one."""
    emptiness = Emptiness.PICTURE if light else Emptiness.BLACK
    return Seen(number, [round(light * BRIGHTEST)] * 4, emptiness)


def shot(*lights: float, step: int = 1) -> list[Seen | None]:
    return [seen(place * step, light) for place, light in enumerate(lights)]


def codes(frames: Sequence[Seen | None]) -> list[tuple[int, FlagCode, Certainty]]:
    return [(each.frame, each.code, each.certainty) for each in compare(frames)]


SEEN = st.lists(st.integers(0, BRIGHTEST), min_size=4, max_size=4).map(
    lambda lights: Seen(1, lights, Emptiness.PICTURE)
)


@given(SEEN, SEEN, SEEN)
def test_difference_is_a_distance(one: Seen, two: Seen, three: Seen) -> None:
    assert difference(one, one) == 0
    assert 0 <= difference(one, two) == difference(two, one) <= 1
    assert difference(one, three) <= difference(one, two) + difference(two, three) + 1e-9


def test_a_frame_unlike_both_neighbours_is_told() -> None:
    (found,) = compare([seen(10, 0.3), seen(11, 0.6), seen(13, 0.31)])
    assert (found.frame, found.code, found.certainty) == (11, *OUTLIER)
    assert found.message == saying("frame-looks-different", 11, "10 and 13")


@pytest.mark.parametrize(
    "lights",
    [
        # a cut, a movement, noise, short lists
        [0.2, 0.2, 0.7, 0.7],
        [0.1, 0.2, 0.3, 0.4, 0.5],
        [0.300, 0.310, 0.300, 0.312],
        [0.1, 0.9],
        [0.5],
        [],
    ],
)
def test_cuts_movement_and_noise_are_no_outliers(lights: list[float]) -> None:
    assert compare(shot(*lights)) == []


def test_an_empty_frame_between_pictures_is_certain() -> None:
    (found,) = compare(shot(0.3, 0, 0.3))
    assert (found.frame, found.code, found.certainty) == (1, *EMPTY)
    assert found.message == saying("frame-empty-every-pixel-unlike", 1, "black", "0 and 2")


@pytest.mark.parametrize(
    "lights",
    [
        # to black at the end, from black, a dip to black, a pause in black, black to the next shot
        [0.3, 0.2, 0.1, 0.0],
        [0.0, 0.1, 0.2, 0.3],
        [0.3, 0.2, 0.04, 0.0, 0.04, 0.2, 0.3],
        [0.3, 0.3, 0.0, 0.0, 0.3, 0.3],
        [0.3, 0.3, 0.0, 0.8, 0.8],
    ],
)
def test_fades_and_pauses_in_black_are_not_certain(lights: list[float]) -> None:
    assert all(each.certainty is Certainty.HINT for each in compare(shot(*lights)))


def test_frames_that_are_far_apart_are_strangers() -> None:
    assert codes(shot(0.3, 0.0, 0.3, step=10)) == [(10, *EMPTY)]
    assert codes(shot(0.3, 0.0, 0.3, step=11)) == []
    assert codes([seen(1, 0.3), seen(2, 0.9), seen(50, 0.3)]) == []


def test_nothing_is_told_of_a_frame_whose_neighbour_is_not_known() -> None:
    assert codes([seen(1, 0.3), seen(2, 0), None, seen(4, 0), seen(5, 0.3)]) == []


@given(st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.31, 0.9]), min_size=1, max_size=8), st.randoms())
def test_whatever_the_order_of_arrival_each_frame_is_compared_once(
    lights: list[float], random: ArtificialRandom
) -> None:
    frames = shot(*lights)
    order = list(range(len(frames)))
    random.shuffle(order)
    known: list[Seen | None] = [None] * len(frames)
    found = []
    for place in order:
        known[place] = frames[place]
        found += codes(known[max(place - AROUND, 0) : place + AROUND + 1])
    assert sorted(found) == codes(frames)


def test_what_a_job_says() -> None:
    assert summary(4, 0, []) == ""
    assert summary(4, 1, ["One."]) == saying("frames-wrong", 1, 4, "One.")
    several = summary(9, 5, ["One.", "Two.", "Three.", "Four."])
    assert several == saying("frames-wrong", 5, 9, "One. Two. Three.")
    assert "Four" not in several
