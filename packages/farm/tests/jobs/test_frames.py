import pytest
from farm.jobs.frames import (
    MAX_FRAMES,
    FrameSpecError,
    format_frames,
    parse_frames,
    with_test_frames,
)
from hypothesis import given
from hypothesis import strategies as st

numbers = st.integers(-5000, 5000)


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("5", [5]),
        ("0 0 1", [0]),
        ("1 4", [1, 2, 3, 4]),
        ("1 10 3", [1, 4, 7, 10]),
        ("1 10 4", [1, 5, 9]),
        ("-2 2 2", [-2, 0, 2]),
        ("4 1 -1", [4, 3, 2, 1]),
        (" 1 2 , 9,2 3 ", [1, 2, 9, 3]),
    ],
)
def test_documented_forms(text: str, frames: list[int]) -> None:
    assert parse_frames(text) == frames


@pytest.mark.parametrize(
    "text",
    [
        *["", "  ", ",", "1,", "a", "1 2 3 4", "1-10", "1 10 0", "10 1", "1 10 -1", "1.5", "--1"],
        *["²", "9" * 5000, "1 2000000", "1 9999999999"],
    ],
)
def test_nonsense_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(FrameSpecError) as caught:
        parse_frames(text)
    assert str(caught.value).endswith(".")


def test_too_many_frames() -> None:
    with pytest.raises(FrameSpecError, match=str(MAX_FRAMES)):
        parse_frames("-1000000 0, 1 1000000")


@given(numbers, numbers, st.integers(1, 50))
def test_a_range_is_pythons_range_with_its_end(start: int, end: int, step: int) -> None:
    low, high = sorted((start, end))
    assert parse_frames(f"{low} {high} {step}") == list(range(low, high + 1, step))


@given(st.lists(numbers, min_size=1, max_size=60))
def test_each_frame_once_in_the_order_asked(frames: list[int]) -> None:
    assert parse_frames(",".join(map(str, frames))) == list(dict.fromkeys(frames))


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        frames = parse_frames(text)
    except FrameSpecError:
        return
    assert frames


def test_short_text_for_people() -> None:
    assert format_frames([1, 2, 3, 9, 12, 11]) == "1-3, 9, 11-12"
    assert format_frames(range(0, 40, 2), limit=2) == "0, 2, ..."


def test_first_middle_and_last_go_in_front() -> None:
    assert with_test_frames([1, 2, 3]) == ([1, 2, 3], 0)
    assert with_test_frames([1, 2, 3, 4]) == ([1, 3, 4, 2], 3)
    assert with_test_frames(list(range(10, 110, 10)))[0][:4] == [10, 60, 100, 20]


@given(st.lists(st.integers(), min_size=4, max_size=40, unique=True))
def test_no_frame_is_lost_by_going_in_front(frames: list[int]) -> None:
    ordered, count = with_test_frames(frames)
    assert sorted(ordered) == sorted(frames)
    assert {ordered[0], ordered[count - 1]} == {frames[0], frames[-1]}
