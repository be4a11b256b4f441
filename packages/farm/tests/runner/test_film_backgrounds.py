"""What is transparent in a film's images: seen over a colour, or kept."""

from pathlib import Path

import OpenImageIO as oiio
import pytest
from messages import says

from .film_desk import HEIGHT, NEEDS_FFMPEG, WIDTH, Desk, pixel, stream, write_glass

pytestmark = NEEDS_FFMPEG

ORANGE = "#ff8000"
OVER_ORANGE = (231, 173, 149)
"""What is seen of a grey of 0.8 in sRGB, half of which is let through, mixed as light."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def write_light(path: Path, shade: float, alpha: float) -> None:
    """Write an EXR of one grey, as light, with its alpha channel."""
    image = oiio.ImageBuf(oiio.ImageSpec(WIDTH, HEIGHT, 4, oiio.HALF))
    assert oiio.ImageBufAlgo.fill(image, (shade * alpha,) * 3 + (alpha,))
    assert image.write(str(path)), image.geterror()


@pytest.mark.parametrize("suffix", ["png", "tif", "tga", "webp"])
def test_a_colour_behind_straight_alpha(desk: Desk, suffix: str) -> None:
    write_glass(desk.images / f"frame_0001.{suffix}")
    film = desk.film(desk.run(f"frame_####.{suffix}", background=ORANGE, quality=1))
    assert pixel(film)[:3] == pytest.approx(OVER_ORANGE, abs=3)


def test_a_colour_behind_multiplied_alpha(desk: Desk) -> None:
    write_glass(desk.images / "frame_0001.tif", multiplied=True)
    film = desk.film(desk.run("frame_####.tif", background=ORANGE.upper(), quality=1))
    assert pixel(film)[:3] == pytest.approx(OVER_ORANGE, abs=3)


@pytest.mark.parametrize(("alpha", "seen"), [(0.5, OVER_ORANGE), (0, (255, 128, 0))])
def test_a_colour_behind_linear_images(desk: Desk, alpha: float, seen: tuple[int, ...]) -> None:
    write_light(desk.images / "frame_0001.exr", 0.6038, alpha)
    film = desk.film(desk.run("frame_####.exr", background=ORANGE, quality=1))
    assert pixel(film)[:3] == pytest.approx(seen, abs=3)


def test_opaque_images_hide_the_colour(desk: Desk) -> None:
    desk.draw(1)
    without = desk.film(desk.run()).read_bytes()
    assert desk.film(desk.run(background=ORANGE)).read_bytes() == without


@pytest.mark.parametrize(
    ("suffix", "background", "seen"),
    [("png", ORANGE, OVER_ORANGE), ("exr", "#000000", (150, 150, 150))],
)
def test_a_colour_takes_the_place_of_the_alpha_channel(
    desk: Desk, suffix: str, background: str, seen: tuple[int, ...]
) -> None:
    image = desk.images / f"frame_0001.{suffix}"
    if suffix == "exr":
        write_light(image, 0.6038, 0.5)
    else:
        write_glass(image)
    run = desk.run(f"frame_####.{suffix}", codec="PRORES", quality=5, background=background)
    assert pixel(desk.film(run)) == pytest.approx((*seen, 255), abs=3)


@pytest.mark.parametrize("kind", ["straight.png", "multiplied.tif", "light.exr"])
def test_prores_4444_keeps_colours_that_are_not_multiplied(desk: Desk, kind: str) -> None:
    name, _, suffix = kind.partition(".")
    image = desk.images / f"frame_0001.{suffix}"
    if suffix == "exr":
        write_light(image, 0.6038, 0.5)
    else:
        write_glass(image, multiplied=name == "multiplied")
    film = desk.film(desk.run(f"frame_####.{suffix}", codec="PRORES", quality=5))
    assert stream(film)["pix_fmt"] == "yuva444p12le"
    assert pixel(film) == pytest.approx((204, 204, 204, 128), abs=4)


@pytest.mark.parametrize("text", ["orange", "#fff", "#ff8000; "])
def test_a_background_that_is_no_colour(desk: Desk, text: str) -> None:
    (told,) = desk.errors(background=text)["background"]
    assert says(told, "give-colour-hexadecimal-digits")
