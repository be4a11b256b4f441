import tracemalloc

import pytest
from farm.jobs.frames import (
    MAX_FRAMES,
    FrameSet,
    FrameSpecError,
    format_frames,
    format_ranges,
    parse_frames,
    with_test_frames,
)
from hypothesis import example, given
from hypothesis import strategies as st
from messages import saying

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
    assert list(parse_frames(text)) == frames


@pytest.mark.parametrize(
    "text",
    [
        *["", "  ", ",", "1,", "a", "1 2 3 4", "1-10", "1 10 0", "10 1", "1 10 -1", "1.5", "--1"],
        *["²", "9" * 5000, "1 2000000", "1 9999999999"],
    ],
)
def test_nonsense_is_refused_with_a_message(text: str) -> None:
    with pytest.raises(FrameSpecError) as caught:
        parse_frames(text)
    assert str(caught.value).endswith(".")


def test_too_many_frames() -> None:
    with pytest.raises(FrameSpecError, match=str(MAX_FRAMES)):
        parse_frames("-1000000 0, 1 1000000")


@given(numbers, numbers, st.integers(1, 50))
def test_a_range_is_pythons_range_with_its_end(start: int, end: int, step: int) -> None:
    low, high = sorted((start, end))
    assert list(parse_frames(f"{low} {high} {step}")) == list(range(low, high + 1, step))


@given(st.lists(numbers, min_size=1, max_size=60))
def test_each_frame_once_in_the_order_asked(frames: list[int]) -> None:
    assert list(parse_frames(",".join(map(str, frames)))) == list(dict.fromkeys(frames))


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
    def ordered(text: str) -> tuple[list[int], int]:
        frames, count = with_test_frames(parse_frames(text))
        return list(frames), count

    assert ordered("1 3") == ([1, 2, 3], 0)
    assert ordered("1 4") == ([1, 3, 4, 2], 3)
    assert ordered("10 100 10")[0][:4] == [10, 60, 100, 20]


parts = st.one_of(
    st.integers(-40, 40).map(str),
    st.tuples(st.integers(-40, 40), st.integers(-40, 40)).map(lambda each: _part(*each, 1)),
    st.tuples(st.integers(-40, 40), st.integers(-40, 40), st.integers(1, 9)).map(
        lambda each: _part(*each)
    ),
)


def _part(start: int, end: int, step: int) -> str:
    return f"{start} {end} {step if end >= start else -step}"


def naive(text: str) -> list[int]:
    """Return what `parse_frames` has always returned: a list of all."""
    found: list[int] = []
    for part in text.split(","):
        start, end, step = (*map(int, part.split()), 1, 1)[:3] if " " in part else (int(part),) * 3
        if " " not in part:
            end, step = start, 1
        found += range(start, end + (1 if step > 0 else -1), step)
    return list(dict.fromkeys(found))


@given(st.lists(parts, min_size=1, max_size=12).map(",".join))
@example("1 10,5 15")
@example("1 30 3,1 30")
@example("1 30 2,30 1 -1")
@example("1 20,20 1 -3,-5 25 2")
def test_ranges_are_the_list_of_all_frames(text: str) -> None:
    frames = parse_frames(text)
    assert list(frames) == naive(text)
    assert len(frames) == len(naive(text))
    assert [frames[place] for place in range(len(frames))] == naive(text)
    assert (frames.lowest, frames.highest) == (min(naive(text)), max(naive(text)))
    assert all(frames.runs)


@given(st.lists(parts, min_size=1, max_size=12).map(",".join))
def test_no_frame_is_lost_by_going_in_front(text: str) -> None:
    frames = parse_frames(text)
    ordered, count = with_test_frames(frames)
    assert sorted(ordered) == sorted(frames)
    assert all(ordered.runs)
    if count:
        all_frames = list(frames)
        front = [all_frames[0], all_frames[len(all_frames) // 2], all_frames[-1]]
        assert list(ordered) == front + [each for each in all_frames if each not in front]


@given(st.lists(parts, max_size=6), parts, st.integers(-50, 50), st.integers(0, 100), st.booleans())
def test_sets_of_frames(marked: list[str], asked: str, lowest: int, width: int, wide: bool) -> None:
    low, high = (-100, 100) if wide else (lowest, lowest + width)
    frames = FrameSet(low, high)
    known: set[int] = set()
    for part in marked:
        for run in parse_frames(part).runs:
            frames.add(run)
            known.update(number for number in run if low <= number <= high)
    (run,) = parse_frames(asked).runs
    common = [number for part in frames.common(run) for number in part]
    assert common == [number for number in run if number in known]
    if wide:
        missing = [number for part in frames.missing(run) for number in part]
        assert missing == [number for number in run if number not in known]


@given(st.lists(parts, min_size=1, max_size=6).map(",".join))
def test_the_text_of_ranges_is_that_of_their_frames(text: str) -> None:
    frames = parse_frames(text)
    assert format_ranges(frames.runs) == format_frames(frames)


def test_a_million_frames_are_a_range() -> None:
    tracemalloc.start()
    frames = [
        parse_frames(text)
        for text in ("1 1000000", "1 500000,200000 600000", "1 999990 2,2 999990 2,5 1 -1")
    ]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [len(each) for each in frames] == [1_000_000, 600_000, 999_990]
    assert [len(each.runs) for each in frames] == [1, 1, 2]
    assert peak < 8_000_000


def test_ranges_that_leave_too_much_are_refused() -> None:
    with pytest.raises(FrameSpecError, check=saying("too-many-ranges-in-job")):
        parse_frames("1 900000 9,1 900000")
