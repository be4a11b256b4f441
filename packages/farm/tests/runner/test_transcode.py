"""Films of image sequences: real FFmpeg through the real runner, and fakes of it that misbehave."""

import subprocess
from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from farm.confine import probe
from messages import saying, says

from .film_desk import (
    HEIGHT,
    NEEDS_FFMPEG,
    OUT,
    WIDTH,
    Desk,
    refusal,
    shades,
    stream,
    write_glass,
    write_image,
)

pytestmark = NEEDS_FFMPEG


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("codec", "name", "pixels", "suffix"),
    [
        ("H264", "h264", "yuv420p", "mp4"),
        ("hevc", "hevc", "yuv420p", "mp4"),
        ("ProRes", "prores", "yuv422p10le", "mov"),
        ("av1", "av1", "yuv420p", "mp4"),
    ],
)
def test_each_codec(desk: Desk, codec: str, name: str, pixels: str, suffix: str) -> None:
    desk.draw(*range(1, 8))
    film = desk.film(desk.run(codec=codec, frame_rate="24000/1001", output_prefix="cut/a"))
    assert film == desk.folder / "delivered" / "cut" / f"a.{suffix}"
    found = stream(film)
    assert (found["codec_name"], found["pix_fmt"]) == (name, pixels)
    assert (found["width"], found["height"]) == (WIDTH, HEIGHT)
    assert found["nb_read_frames"] == "7"
    assert found["avg_frame_rate"] == "24000/1001"
    colours = {found[f"color_{which}"] for which in ("space", "transfer", "primaries")}
    assert colours == {"bt709"}


@pytest.mark.parametrize("rate", ["1", "12.5", "25", "29.97", "60", "120"])
def test_the_rate_is_exact(desk: Desk, rate: str) -> None:
    desk.draw(*range(1, 4))
    found = stream(desk.film(desk.run(frame_rate=rate)))
    numerator, denominator = map(int, found["avg_frame_rate"].split("/"))
    assert numerator / denominator == pytest.approx(float(rate), abs=0.001)
    assert found["nb_read_frames"] == "3"


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "dpx", "exr"])
def test_each_format_keeps_its_order_and_its_colours(desk: Desk, suffix: str) -> None:
    # Linear 0.2140 is sRGB 0.5.
    middle = 0.214 if suffix == "exr" else 0.5
    for frame, shade in enumerate((0.0, middle, 1.0), 9):
        write_image(desk.images / f"f.{frame}.{suffix}", shade)
    film = desk.film(desk.run(f"f.#.{suffix}", quality=1))
    assert shades(film) == pytest.approx([0, 128, 255], abs=3)


@pytest.mark.parametrize("sequence", ["frame_####.png", "frame_%04d.png", "frame_$F4.png"])
def test_only_the_listed_frames_in_ascending_order(desk: Desk, sequence: str) -> None:
    desk.draw(1, 2, 3, 4, 6, 8)
    desk.draw(5, name="other_")
    film = desk.film(desk.run(sequence, claim=2, frames="8, 2 6 2", quality=1))
    expected = [(0.05 + frame / 12) * 255 for frame in (2, 4, 6, 8)]
    assert shades(film) == pytest.approx(expected, abs=3)


def test_all_from_a_first_frame_on(desk: Desk) -> None:
    desk.draw(1, 5, 6, 7)
    assert stream(desk.film(desk.run(start_number=5)))["nb_read_frames"] == "3"


def test_the_same_images_give_the_same_bytes(desk: Desk) -> None:
    desk.draw(*range(1, 5))
    films = [desk.film(desk.run()).read_bytes() for _ in range(2)]
    assert films[0] == films[1]


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({}, (98, 66)),
        ({"scale_width": 40, "scale_height": 21}, (40, 22)),
        ({"scale_width": 48}, (48, 32)),
        ({"scale_height": 33}, (50, 34)),
    ],
)
def test_odd_sizes_are_made_even(desk: Desk, params: dict[str, Any], size: tuple[int, int]) -> None:
    for frame in (1, 2):
        write_image(desk.images / f"frame_{frame:04d}.png", 0.5, (97, 65))
    found = stream(desk.film(desk.run(**params)))
    assert (found["width"], found["height"]) == size


@pytest.mark.parametrize(
    ("codec", "size"),
    [
        ("H264", (2, 2)),
        ("PRORES", (2, 2)),
        ("H265", (16, 16)),
        ("AV1", (64, 64)),
        # Made even, it is large enough.
        ("H265", (15, 15)),
        ("AV1", (63, 63)),
    ],
)
def test_the_least_size_of_each_codec(desk: Desk, codec: str, size: tuple[int, int]) -> None:
    for frame in (1, 2):
        write_image(desk.images / f"frame_{frame:04d}.png", 0.5, size)
    found = stream(desk.film(desk.run(codec=codec)))
    assert found["nb_read_frames"] == "2"
    assert (found["width"], found["height"]) == tuple(side + side % 2 for side in size)


@pytest.mark.parametrize(
    ("codec", "image", "scale", "film", "least"),
    [
        ("H265", (2, 2), {}, "2x2", "16x16"),
        ("H265", (14, 200), {}, "14x200", "16x16"),
        ("AV1", (128, 61), {}, "128x62", "64x64"),
        ("AV1", (62, 128), {}, "62x128", "64x64"),
        ("AV1", (192, 108), {"scale_width": 96}, "96x54", "64x64"),
        ("AV1", (108, 192), {"scale_height": 96}, "54x96", "64x64"),
        ("AV1", (192, 108), {"scale_width": 64, "scale_height": 60}, "64x60", "64x64"),
        ("H264", (1000, 10), {"scale_width": 2}, "2x0", "2x2"),
    ],
)
def test_a_film_that_its_codec_cannot_have_is_refused_for_good(
    desk: Desk,
    codec: str,
    image: tuple[int, int],
    scale: dict[str, Any],
    film: str,
    least: str,
) -> None:
    desk.fake(ffmpeg='case "$*" in *-c:v*) echo encoding >&2;; esac')
    write_image(desk.images / "frame_0001.png", 0.5, image)
    farm = desk.run(codec=codec, **scale)
    assert refusal(farm, permanent=True) == saying(
        "film-would-pixels-but-needs", film, codec, least
    )
    assert "encoding" not in farm.log


def test_small_images_are_scaled_to_what_the_codec_needs(desk: Desk) -> None:
    write_image(desk.images / "frame_0001.exr", 0.5, (32, 18))
    found = stream(desk.film(desk.run("frame_####.exr", codec="AV1", scale_height=64)))
    assert (found["width"], found["height"]) == (114, 64)


def test_prores_4444_has_an_alpha_channel(desk: Desk) -> None:
    desk.draw(1, 2)
    found = stream(desk.film(desk.run(codec="PRORES", quality=5)))
    assert (found["profile"], found["pix_fmt"]) == ("4444", "yuva444p12le")


OVER_BLACK = 150
"""What is seen of a grey of 0.8 in sRGB, half of which is let through: as light, not as numbers."""


@pytest.mark.parametrize("suffix", ["png", "tif", "tga", "webp", "sgi"])
def test_what_is_transparent_is_seen_over_black(desk: Desk, suffix: str) -> None:
    for frame in (1, 2):
        write_glass(desk.images / f"frame_{frame:04d}.{suffix}")
    film = desk.film(desk.run(f"frame_####.{suffix}"))
    assert all(abs(shade - OVER_BLACK) <= 3 for shade in shades(film)), shades(film)


def test_colours_that_were_multiplied_already_are_not_so_again(desk: Desk) -> None:
    write_glass(desk.images / "frame_0001.tif", multiplied=True)
    (shade,) = shades(desk.film(desk.run("frame_####.tif")))
    assert abs(shade - OVER_BLACK) <= 3


def test_one_transparent_image_among_others(desk: Desk) -> None:
    desk.draw(1)
    write_glass(desk.images / "frame_0002.png")
    opaque, glass = shades(desk.film(desk.run()))
    assert abs(glass - OVER_BLACK) <= 3
    assert abs(opaque - 255 * (0.05 + 1 / 12)) <= 3


def test_prores_4444_keeps_what_is_transparent(desk: Desk) -> None:
    write_glass(desk.images / "frame_0001.png")
    film = desk.film(desk.run(codec="PRORES", quality=5))
    look = ["ffmpeg", "-v", "error", "-i", str(film), "-vf", "alphaextract,scale=1:1"]
    look += ["-f", "rawvideo", "-pix_fmt", "gray", "-"]
    (alpha,) = subprocess.run(look, capture_output=True, check=True).stdout
    assert abs(alpha - 128) <= 4
    assert abs(shades(film)[0] - 204) <= 3


def write_layers(path: Path, layers: dict[str, float]) -> None:
    """Write an EXR with the channels R, G and B of each layer in one grey, as light."""
    names = [f"{layer}.{each}" if layer else each for layer in layers for each in "RGB"]
    spec = oiio.ImageSpec(WIDTH, HEIGHT, len(names), oiio.HALF)
    spec.channelnames = tuple(names)
    image = oiio.ImageBuf(spec)
    shades = tuple(shade for shade in layers.values() for _ in "RGB")
    assert oiio.ImageBufAlgo.fill(image, shades)
    assert image.write(str(path)), image.geterror()


COMBINED, DIFFUSE = "ViewLayer.Combined", "ViewLayer.DiffCol"
LIGHT = {0.2: 124, 0.6: 203}
"""Greys as light, and how sRGB shows them."""


@pytest.mark.parametrize(
    ("layers", "layer", "light"),
    [
        ({COMBINED: 0.2}, "", 0.2),
        ({DIFFUSE: 0.6, COMBINED: 0.2}, "", 0.2),
        ({DIFFUSE: 0.6, COMBINED: 0.2}, DIFFUSE, 0.6),
        ({"": 0.2, DIFFUSE: 0.6}, "", 0.2),
        ({"": 0.2, DIFFUSE: 0.6}, DIFFUSE, 0.6),
        ({DIFFUSE: 0.6}, "", 0.6),
    ],
)
def test_a_layer_of_an_exr(desk: Desk, layers: dict[str, float], layer: str, light: float) -> None:
    for frame in (1, 2):
        write_layers(desk.images / f"frame_{frame:04d}.exr", layers)
    film = desk.film(desk.run("frame_####.exr", layer=layer))
    assert all(abs(shade - LIGHT[light]) <= 3 for shade in shades(film)), shades(film)


@pytest.mark.parametrize(
    ("layers", "layer", "said"),
    [
        ({COMBINED: 0.2, DIFFUSE: 0.6}, "ViewLayer.Mist", "no-layer"),
        ({"A.Combined": 0.2, "B.Combined": 0.6}, "", "several-layers-set-layer-one"),
        ({"A.Beauty": 0.2, "B.Beauty": 0.6}, "", "several-layers-set-layer-one"),
    ],
)
def test_a_layer_that_is_not_there_or_not_chosen(
    desk: Desk, layers: dict[str, float], layer: str, said: str
) -> None:
    write_layers(desk.images / "frame_0001.exr", layers)
    message = refusal(desk.run("frame_####.exr", layer=layer), permanent=True)
    assert says(message, said)
    assert all(f"'{each}'" in message for each in layers)


def test_only_exr_has_layers(desk: Desk) -> None:
    desk.draw(1)
    assert says(refusal(desk.run(layer=COMBINED), permanent=True), "only-openexr-has-layers")


def test_a_truncated_image_with_layers_is_named(desk: Desk) -> None:
    for frame in (1, 2):
        write_layers(desk.images / f"frame_{frame:04d}.exr", {COMBINED: 0.2})
    second = desk.images / "frame_0002.exr"
    second.write_bytes(second.read_bytes()[:-20])
    assert "frame_0002.exr" in refusal(desk.run("frame_####.exr"), permanent=True)


def test_gaps_are_named_before_anything_is_encoded(desk: Desk) -> None:
    desk.fake(ffmpeg='case "$*" in *libx264*) echo encoding >&2;; esac')
    desk.draw(1, 2, 5, 7, 8)
    farm = desk.run()
    missing = saying(
        "images-missing-film-cannot-gaps", "show/render_results/out/frame_####.png", "3-4, 6"
    )
    assert refusal(farm, permanent=True) == missing
    assert "encoding" not in farm.log


def test_listed_frames_that_are_missing_are_named(desk: Desk) -> None:
    desk.draw(1, 2, 3)
    message = refusal(desk.run(frames="2 6"), permanent=True)
    assert message == saying("images-missing-film-cannot-gaps", "4-6")


def test_no_image_at_all(desk: Desk) -> None:
    desk.draw(1, 2)
    message = refusal(desk.run("frame_##.png"), permanent=True)
    assert message == saying("no-image-project", "show/render_results/out/frame_##.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "exr", "tif"])
@pytest.mark.parametrize("part", [0, 0.3, 0.9])
def test_a_truncated_image_is_named(desk: Desk, suffix: str, part: float) -> None:
    desk.draw(1, 2, 3, 4, 5, suffix=suffix)
    broken = desk.images / f"frame_0003.{suffix}"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: int(part * len(whole))])
    message = refusal(desk.run(f"frame_####.{suffix}"), permanent=True)
    assert says(message, "damaged-not-complete-image", f"frame_0003.{suffix}")


def test_images_of_two_sizes_are_refused(desk: Desk) -> None:
    desk.draw(1, 2, 4)
    write_image(desk.images / "frame_0003.png", 0.5, (64, 64))
    message = refusal(desk.run(), permanent=True)
    names = ("frame_0003.png", f"{OUT}/frame_0001.png")
    assert says(message, "images-differ-in-size", names[0], 64, 64, names[1], 98, 66)


def test_an_encoder_that_this_build_lacks(desk: Desk) -> None:
    desk.fake(ffmpeg='case "$*" in *-encoders*) "$real" "$@" | grep -v libx265; exit; esac')
    desk.draw(1)
    message = refusal(desk.run(codec="H265"), permanent=False)
    assert says(message, "ffmpeg-lacks-encoder", "H265", "libx265")


def test_an_ffmpeg_without_ffprobe(desk: Desk) -> None:
    desk.fake()
    Path(desk.ffmpeg).with_name("ffprobe").unlink()
    desk.draw(1)
    assert says(refusal(desk.run(), permanent=False), "no-ffprobe-beside-films-could")


def test_an_ffmpeg_that_hangs_is_ended(desk: Desk) -> None:
    desk.fake(ffmpeg='case "$*" in *libx264*) exec sleep 1000; esac')
    desk.draw(1, 2)
    message = refusal(desk.run(silence_timeout=1), permanent=False)
    assert says(message, "renderer-was-silent", 1, "silence_timeout")


def test_an_ffmpeg_that_is_killed(desk: Desk) -> None:
    desk.fake(ffmpeg='case "$*" in *libx264*) kill -9 $$; esac')
    desk.draw(1, 2)
    message = refusal(desk.run(), permanent=False)
    assert message == saying("ffmpeg-ended-by-signal", "SIGKILL", saying("may-run-out-memory"))


def test_a_full_disk(desk: Desk) -> None:
    message = "movie.mp4: No space left on device"
    desk.fake(ffmpeg=f'case "$*" in *libx264*) echo "{message}" >&2; exit 1; esac')
    desk.draw(1, 2)
    assert refusal(desk.run(), permanent=False) == saying("disk-render-machine-full")


def test_any_other_failure_is_quoted(desk: Desk) -> None:
    desk.fake(ffmpeg='case "$*" in *libx264*) echo "Some trouble" >&2; exit 4; esac')
    desk.draw(1, 2)
    message = refusal(desk.run(), permanent=False)
    assert message == saying("ffmpeg-failed-with-exit-code", 4, "Some trouble")


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ('"3"', '"2"', saying("frames-instead", 2, 3)),
        ('"24/1"', '"25/1"', saying("frames-second-instead", 25, 24)),
        ("98", "96", saying("pixels-instead", "96x66", "98x66")),
        ("h264", "mpeg4", saying("codec-instead", "mpeg4", "h264")),
    ],
)
def test_a_film_that_is_not_as_asked_is_not_delivered(
    desk: Desk, right: str, wrong: str, fault: saying
) -> None:
    desk.fake(ffprobe=f""""$real" "$@" | sed 's|{right}|{wrong}|'; exit""")
    desk.draw(1, 2, 3)
    message = refusal(desk.run(), permanent=False)
    assert message == saying("film-ffmpeg-made", fault)


def test_a_film_that_cannot_be_read_is_not_delivered(desk: Desk) -> None:
    desk.fake(ffprobe='case "$*" in *-count_frames*) echo "moov atom not found" >&2; exit 1; esac')
    desk.draw(1, 2, 3)
    message = refusal(desk.run(), permanent=False)
    assert message == saying("ffprobe-cannot-read-film-made", "moov atom not found")


@pytest.mark.skipif(bool(probe()), reason="bubblewrap does not work here")
@pytest.mark.parametrize("wrapped", [False, True], ids=["the system's", "somebody's own"])
def test_in_the_sandbox(desk: Desk, wrapped: bool) -> None:
    if wrapped:
        desk.fake()
    desk.draw(1, 2, 3)
    farm = desk.run(sandbox="required")
    assert stream(desk.film(farm))["nb_read_frames"] == "3"


def test_names_that_mean_something_to_ffmpeg(desk: Desk) -> None:
    name = "50%d it's [a], b; c=%03d_"
    desk.draw(1, 2, name=name)
    film = desk.film(desk.run(f"{name}####.png", output_prefix="a %d b's"))
    assert stream(film)["nb_read_frames"] == "2"
