"""Films with sound: from the right moment on, and as long as the film."""

import math
import shutil
import struct
import wave
from itertools import pairwise
from pathlib import Path

import pytest
from farm.confine import probe
from messages import says

from .film_desk import NEEDS_FFMPEG, Desk, heard, refusal, streams

pytestmark = NEEDS_FFMPEG

RATE = 48000


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return one with images of 48 frames, which are two seconds, from frame 1 on."""
    made = Desk(tmp_path)
    made.draw(1)
    for frame in range(2, 49):
        shutil.copyfile(made.images / "frame_0001.png", made.images / f"frame_{frame:04d}.png")
    return made


def write_sound(path: Path, *beeps: tuple[float, float], seconds: float, channels: int = 1) -> None:
    """Write a WAV that is silent but for beeps, from one second to another."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        values = (
            20000 * math.sin(at / 10)
            if any(start <= at / RATE < end for start, end in beeps)
            else 0
            for at in range(round(seconds * RATE))
        )
        file.writeframes(b"".join(struct.pack("<h", round(value)) * channels for value in values))


def beeps(film: Path) -> list[float]:
    """Return when a film's sound begins and ends, in turn, in seconds, to 10 ms."""
    samples = heard(film, RATE)
    loud = [max(map(abs, samples[at : at + 480])) > 3000 for at in range(0, len(samples), 480)]
    return [at / 100 for at, (a, b) in enumerate(pairwise([False, *loud, False])) if a != b]


@pytest.mark.parametrize(("codec", "name"), [("H264", "aac"), ("PRORES", "pcm_s24le")])
def test_a_film_with_sound(desk: Desk, codec: str, name: str) -> None:
    write_sound(desk.project / "sound.wav", (0.5, 1.0), (1.5, 1.8), seconds=5, channels=2)
    film = desk.film(desk.run(codec=codec, sound="show/sound.wav"))
    video, sound = streams(film)
    assert (video["codec_type"], sound["codec_name"], sound["channels"]) == ("video", name, 2)
    assert video["nb_read_frames"] == "48"
    assert float(sound["duration"]) == pytest.approx(2, abs=0.03)
    assert beeps(film) == pytest.approx([0.5, 1.0, 1.5, 1.8], abs=0.03)


@pytest.mark.parametrize(
    ("start", "frames", "expected"),
    [
        ("", "", [0.5, 1.0]),
        ("1", "", [0.5, 1.0]),
        # Frame 13 is half a second behind frame 1.
        ("13", "", [1.0, 1.5]),
        ("-5", "", [0.25, 0.75]),
        ("1", "13 48", [0, 0.5]),
        ("1", "7 48", [0.25, 0.75]),
    ],
)
def test_the_sound_begins_with_its_frame(
    desk: Desk, start: str, frames: str, expected: list[float]
) -> None:
    write_sound(desk.project / "sound.wav", (0.5, 1.0), seconds=1.2)
    film = desk.film(
        desk.run(codec="PRORES", sound="show/sound.wav", sound_start=start, frames=frames)
    )
    assert beeps(film) == pytest.approx(expected, abs=0.011)
    video, sound = streams(film)
    length = int(video["nb_read_frames"]) / 24
    assert float(sound["duration"]) == pytest.approx(length, abs=0.001)


def test_a_rate_of_ntsc(desk: Desk) -> None:
    write_sound(desk.project / "sound.wav", (1.9, 2.0), seconds=3)
    film = desk.film(desk.run(codec="PRORES", frame_rate="23.976", sound="show/sound.wav"))
    _, sound = streams(film)
    assert float(sound["duration"]) == pytest.approx(2.002, abs=0.0005)


@pytest.mark.parametrize("start", ["49", "-71"])
def test_a_sound_of_which_nothing_is_heard(desk: Desk, start: str) -> None:
    write_sound(desk.project / "sound.wav", (0, 3), seconds=3)
    farm = desk.run(sound="show/sound.wav", sound_start=start)
    assert says(refusal(farm, permanent=True), "film-would-silent", "show/sound.wav", start)


LIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:{0}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("kind", ["text", "picture", "playlist", "concat"])
def test_what_is_no_sound(desk: Desk, kind: str) -> None:
    write_sound(desk.project / "other.wav", (0, 3), seconds=3)
    target = desk.project / "sound.wav"
    if kind == "picture":
        shutil.copyfile(desk.images / "frame_0001.png", target)
    elif kind == "playlist":
        target.write_text(LIST.format(desk.project / "other.wav"))
    elif kind == "concat":
        target.write_text("ffconcat version 1.0\nfile other.wav\n")
    else:
        target.write_text("no sound\n" * 99)
    message = refusal(desk.run(sound="show/sound.wav"), permanent=True)
    assert says(message, "no-sound-file-read", "show/sound.wav")


def test_a_sound_that_is_not_there(desk: Desk) -> None:
    message = refusal(desk.run(sound="show/none.wav"), permanent=True)
    assert says(message, "sound-not-in-project", "show/none.wav")


def test_a_film_that_lost_its_sound_is_not_delivered(desk: Desk) -> None:
    write_sound(desk.project / "sound.wav", (0, 3), seconds=3)
    desk.fake(ffprobe=""""$real" "$@" | sed 's|"2.0000*"|"1.5"|'; exit""")
    message = refusal(desk.run(sound="show/sound.wav"), permanent=False)
    assert says(message, "film-ffmpeg-made")


def test_when_a_sound_begins_needs_a_sound(desk: Desk) -> None:
    assert list(desk.errors(sound_start="5")) == ["sound_start"]
    assert list(desk.errors(sound="show/a.wav", sound_start="5.5")) == ["sound_start"]


@pytest.mark.skipif(bool(probe()), reason="bubblewrap does not work here")
def test_in_the_sandbox(desk: Desk) -> None:
    write_sound(desk.project / "50%d it's, [a]; b.wav", (0.5, 1.0), seconds=3)
    farm = desk.run(sandbox="required", sound="show/50%d it's, [a]; b.wav")
    assert beeps(desk.film(farm)) == pytest.approx([0.5, 1.0], abs=0.03)
