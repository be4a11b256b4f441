"""What is burnt into films: frame numbers, timecodes and a text."""

from pathlib import Path
from typing import Any

import pytest
from farm.confine import probe
from messages import says

from .film_desk import NEEDS_FFMPEG, Desk, picture, refusal, stream, streams, write_image
from .test_film_layers import layers, write_parts
from .test_film_sounds import write_sound

pytestmark = NEEDS_FFMPEG

SIZE = (480, 270)
BAR = 13
"""Height of a bar, in pixels, of which each film has one above and one below."""
EXACT: dict[str, Any] = {"codec": "PRORES", "quality": 4}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def draw(desk: Desk, *frames: int) -> None:
    for frame in frames:
        name = f"frame_{'-' * (frame < 0)}{abs(frame):04d}.png"
        write_image(desk.images / name, 0.3, SIZE)


class Seen:
    """A frame of a film, in greys of 0 to 255."""

    def __init__(self, film: Path, number: int = 0, size: tuple[int, int] = SIZE) -> None:
        values = picture(film, number, size, 3)
        width = size[0]
        self.rows = [
            [values[3 * (y * width + x)] // 257 for x in range(width)] for y in range(size[1])
        ]

    @property
    def above(self) -> list[list[int]]:
        return self.rows[:BAR]

    @property
    def below(self) -> list[list[int]]:
        return self.rows[-BAR:]

    @property
    def between(self) -> list[list[int]]:
        return self.rows[BAR + 8 : -BAR - 8]


def letters(rows: list[list[int]]) -> list[list[int]]:
    """Return the part of a bar that is written on: 1 where it is bright."""
    bright = [[int(value > 110) for value in row] for row in rows]
    across = [x for x in range(len(bright[0])) if any(row[x] for row in bright)]
    if not across:
        return []
    return [row[across[0] : across[-1] + 1] for row in bright if any(row)]


def side(rows: list[list[int]], right: bool) -> list[list[int]]:
    """Return one half of a bar."""
    half = len(rows[0]) // 2
    return [row[half:] if right else row[:half] for row in rows]


def texts(desk: Desk, *wanted: str) -> list[list[list[int]]]:
    """Return how texts look in a film."""
    params: dict[str, Any] = {"frames": "1", "output_prefix": "text", **EXACT}
    return [letters(Seen(desk.film(desk.run(burn_text=each, **params))).above) for each in wanted]


def test_frame_numbers(desk: Desk) -> None:
    draw(desk, -1, 1, 20, 1047)
    film = desk.film(desk.run(frames="-1, 1, 20, 1047", claim=1, burn_frame=True, **EXACT))
    expected = texts(desk, "-1", "1", "20", "1047")
    for number, text in enumerate(expected):
        seen = Seen(film, number)
        assert letters(side(seen.below, right=True)) == text
        assert letters(side(seen.below, right=False)) == []
        assert letters(seen.above) == []


@pytest.mark.parametrize(
    ("rate", "codes"),
    [
        ("24", {0: "00:00:00:00", 23: "00:00:00:23", 24: "00:00:01:00", 86399: "00:59:59:23"}),
        ("29.97", {30: "00:00:01:00", 108000: "01:00:00:00"}),
        ("120", {119: "00:00:00:119", -120: "-00:00:01:000"}),
    ],
)
def test_timecodes(desk: Desk, rate: str, codes: dict[int, str]) -> None:
    draw(desk, 1, *codes)
    listed = ", ".join(map(str, sorted(codes)))
    film = desk.film(desk.run(frames=listed, frame_rate=rate, burn_timecode=True, **EXACT))
    expected = texts(desk, *(codes[frame] for frame in sorted(codes)))
    for number, text in enumerate(expected):
        seen = Seen(film, number)
        assert letters(side(seen.below, right=False)) == text
        assert letters(side(seen.below, right=True)) == []


def test_the_picture_between_stays_as_it_is(desk: Desk) -> None:
    draw(desk, 1, 2)
    plain = Seen(desk.film(desk.run(**EXACT)), 1)
    all_of_it: dict[str, Any] = {"burn_frame": True, "burn_timecode": True, "burn_text": "Shot"}
    seen = Seen(desk.film(desk.run(**all_of_it, **EXACT)), 1)
    assert seen.between == plain.between
    # Half of the light of what lies behind.
    assert 30 < seen.below[1][240] < 60 < plain.below[1][240]
    assert letters(seen.above)
    assert letters(side(seen.below, right=False))
    assert letters(side(seen.below, right=True))


@pytest.mark.parametrize(
    "text",
    ["%{n}", "%{pts:hms}", "50%d", "it's [a]:b;c,d", "\\%{n}", "{{Param.Frame}}", "%(x)s", "$F"],
)
def test_a_text_means_nothing_but_itself(desk: Desk, text: str) -> None:
    draw(desk, 1, 2)
    film = desk.film(desk.run(burn_text=text, **EXACT))
    first, second = Seen(film, 0), Seen(film, 1)
    assert first.above == second.above
    # As wide as its characters: nothing was put in, and nothing taken out.
    (alone,) = texts(desk, "n" * len(text))
    assert 0.3 < len(letters(first.above)[0]) / len(alone[0]) < 1.7


def test_a_long_text_stays_inside(desk: Desk) -> None:
    draw(desk, 1)
    for text in ("W" * 90, "W" * 255):
        seen = Seen(desk.film(desk.run(burn_text=text, **EXACT)))
        assert 300 < len(letters(seen.above)[0]) <= SIZE[0] - 4


def test_with_sound_and_another_size(desk: Desk) -> None:
    draw(desk, 1, 2, 3)
    write_sound(desk.project / "sound.wav", (0, 3), seconds=3)
    film = desk.film(desk.run(sound="show/sound.wav", burn_frame=True, scale_width=240, quality=1))
    video, sound = streams(film)
    assert (video["width"], video["height"], video["nb_read_frames"]) == (240, 136, "3")
    assert sound["codec_name"] == "aac"
    assert video["color_space"] == "bt709"
    assert Seen(film, 0, (240, 136)).rows[-2] != Seen(film, 2, (240, 136)).rows[-20]


@pytest.mark.parametrize("codec", ["H264", "H265", "AV1", "PRORES"])
def test_each_codec(desk: Desk, codec: str) -> None:
    draw(desk, 1, 2)
    film = desk.film(desk.run(codec=codec, burn_frame=True))
    assert letters(Seen(film, 1).below)
    assert stream(film)["nb_read_frames"] == "2"


def test_frames_that_are_decoded_one_by_one(desk: Desk) -> None:
    for frame in (1, 2):
        write_parts(desk.images / f"frame_{frame:04d}.exr", *layers())
    film = desk.film(desk.run("frame_####.exr", scale_width=480, burn_frame=True, **EXACT))
    height = stream(film)["height"]
    assert letters(Seen(film, 1, (480, height)).rows[-12:])


def test_prores_4444_takes_none(desk: Desk) -> None:
    draw(desk, 1)
    message = refusal(desk.run(codec="PRORES", quality=5, burn_frame=True), permanent=True)
    assert says(message, "nothing-burnt-into-4444")


@pytest.mark.skipif(bool(probe()), reason="bubblewrap does not work here")
def test_in_the_sandbox(desk: Desk) -> None:
    draw(desk, 1)
    film = desk.film(desk.run(sandbox="required", burn_text="Größe", burn_frame=True, **EXACT))
    assert letters(Seen(film).above)
    assert letters(Seen(film).below)
