"""Names of image sequences."""

import pytest
from farm.products import SequenceError, parse_sequence
from hypothesis import given
from hypothesis import strategies as st
from messages import saying

FOLDERS = st.sampled_from(["", "show/", "show/a b/v#2/", "%d/$F/"])
# No digits and no '-' beside the number: they would belong to it.
HEADS = st.text("abc_.# %$F0é", max_size=8).filter(lambda text: not text.endswith("#"))
TAILS = st.text("abc_", max_size=4)
FRAMES = st.integers(-1_048_574, 1_048_574)
WIDTHS = st.integers(1, 12)


@given(FOLDERS, HEADS, WIDTHS, TAILS, FRAMES)
def test_a_frame_is_found_again(folder: str, head: str, width: int, tail: str, frame: int) -> None:
    sequence = parse_sequence(f"{folder}{head}{'#' * width}{tail}.PNG")
    path = sequence.path(frame)
    assert path.startswith(folder + head)
    assert path.endswith(f"{tail}.PNG")
    assert sequence.frame(path) == frame
    assert (sequence.suffix, sequence.digits) == (".png", width)


@given(FOLDERS, HEADS, WIDTHS, TAILS)
def test_three_ways_to_write_the_same(folder: str, head: str, width: int, tail: str) -> None:
    ways = ["#" * width, f"%0{width}d", f"$F{width}"]
    found = [parse_sequence(f"{folder}{head}{way}{tail}.exr") for way in ways]
    assert found[0] == found[1] == found[2]
    # And what is shown to people means the same.
    assert parse_sequence(str(found[0])) == found[0]


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_sequence_or_refused(path: str, name: str) -> None:
    try:
        sequence = parse_sequence(path + ".png")
    except SequenceError:
        return
    frame = sequence.frame(name)
    assert frame is None or sequence.path(frame) == name


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("f_0001.png", 1),
        ("f_-0003.png", -3),
        ("f_12345.png", 12345),
        ("f_001.png", None),
        ("f_00001.png", None),
        ("f_-0000.png", None),
        ("f_-003.png", None),
        ("f_ 001.png", None),
        ("f_+001.png", None),
        ("f_0001.jpg", None),
        ("f_0001_L.png", None),
        ("a/f_0001.png", None),
        ("f_.png", None),
        ("f_١٢٣٤.png", None),
    ],
)
def test_each_frame_has_one_name(name: str, frame: int | None) -> None:
    assert parse_sequence("f_####.png").frame(name) == frame


@pytest.mark.parametrize(
    ("path", "shown"),
    [("a%d.png", "a#.png"), ("a$F.png", "a#.png"), ("v##_a####.png", "v##_a####.png")],
)
def test_the_last_mark_is_the_number(path: str, shown: str) -> None:
    assert str(parse_sequence(path)) == shown


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("show/f_0012.png", saying("names-no-image-sequence-write", "f_####.png")),
        ("show/f.png", saying("names-no-image-sequence-write", "frame_####.png")),
        ("a####/f.png", saying("names-no-image-sequence-write")),
        ("f_####.mp4", saying("not-image-sequence-name-must", ".png")),
        ("f_####", saying("not-image-sequence-name-must", ".png")),
        ("f_%099d.png", saying("frame-number-more-than-digits", 12)),
        ("", saying("names-no-image-sequence-write")),
    ],
)
def test_what_is_no_sequence(path: str, message: saying) -> None:
    with pytest.raises(SequenceError) as caught:
        parse_sequence(path)
    assert str(caught.value) == message
