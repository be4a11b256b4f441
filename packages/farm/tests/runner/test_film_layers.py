"""Films of OpenEXR images with several parts, layers and views."""

from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from blenders import Blender
from farm.confine import probe
from farm.products.shared.farm_exr import read_layout
from messages import says

from .film_desk import HEIGHT, NEEDS_FFMPEG, WIDTH, Desk, pixel, refusal, shades, stream

pytestmark = NEEDS_FFMPEG

LIGHT = {0.1: 89, 0.2: 124, 0.4: 170, 0.6: 203}
"""Greys as light, and how sRGB shows them."""
COMBINED, DIFFUSE = "ViewLayer.Combined", "ViewLayer.Diffuse Color"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def part(
    light: float, prefix: str = "", name: str = "", view: str = "", channels: str = "RGB"
) -> oiio.ImageBuf:
    """Return a part of an image: one grey, as light."""
    spec = oiio.ImageSpec(WIDTH, HEIGHT, len(channels), oiio.HALF)
    spec.channelnames = tuple(f"{prefix}.{each}" if prefix else each for each in channels)
    spec.attribute("oiio:subimagename", name)
    spec.attribute("compression", "zip")
    if view:
        spec.attribute("view", view)
    image = oiio.ImageBuf(spec)
    values = [0.5 if each == "A" else light for each in channels]
    assert oiio.ImageBufAlgo.fill(image, tuple(values))
    return image


def write_parts(path: Path, *parts: oiio.ImageBuf) -> None:
    output = oiio.ImageOutput.create(str(path))
    specs = [each.spec() for each in parts]
    assert output.open(str(path), tuple(specs)), output.geterror()
    for number, (spec, image) in enumerate(zip(specs, parts, strict=True)):
        if number:
            assert output.open(str(path), spec, "AppendSubimage"), output.geterror()
        assert image.write(output), image.geterror()
    output.close()


def layers() -> list[oiio.ImageBuf]:
    """Return what Blender 5 writes as a multilayer file."""
    return [
        part(0.1, "ViewLayer.Depth", "ViewLayer.Depth", channels="Z"),
        part(0.2, COMBINED, COMBINED, channels="RGBA"),
        part(0.4, DIFFUSE, DIFFUSE),
    ]


def eyes() -> list[oiio.ImageBuf]:
    """Return what Blender 5 writes of a scene with two views, with a pass."""
    return [
        part(0.1, COMBINED, f"{COMBINED}-left", "left"),
        part(0.2, COMBINED, f"{COMBINED}-right", "right"),
        part(0.4, DIFFUSE, f"{DIFFUSE}-left", "left"),
        part(0.6, DIFFUSE, f"{DIFFUSE}-right", "right"),
    ]


@pytest.mark.parametrize(("layer", "light"), [("", 0.2), (COMBINED, 0.2), (DIFFUSE, 0.4)])
def test_a_layer_that_is_a_part(desk: Desk, layer: str, light: float) -> None:
    for frame in (1, 2, 3):
        write_parts(desk.images / f"frame_{frame:04d}.exr", *layers())
    film = desk.film(desk.run("frame_####.exr", layer=layer, quality=1))
    assert shades(film) == pytest.approx([LIGHT[light]] * 3, abs=3)


@pytest.mark.parametrize(
    ("layer", "view", "light"),
    [
        ("", "", 0.1),
        ("", "left", 0.1),
        ("", "right", 0.2),
        (DIFFUSE, "", 0.4),
        (DIFFUSE, "right", 0.6),
    ],
)
def test_a_view_that_is_a_part(desk: Desk, layer: str, view: str, light: float) -> None:
    write_parts(desk.images / "frame_0001.exr", *eyes())
    farm = desk.run("frame_####.exr", layer=layer, stereo_view=view, quality=1)
    assert shades(desk.film(farm)) == pytest.approx([LIGHT[light]], abs=3)


@pytest.mark.parametrize(("view", "light"), [("", 0.1), ("left", 0.1), ("right", 0.2)])
def test_views_that_have_only_a_name(desk: Desk, view: str, light: float) -> None:
    both = [part(0.1, "", "left", "left"), part(0.2, "", "right", "right")]
    write_parts(desk.images / "frame_0001.exr", *both)
    film = desk.film(desk.run("frame_####.exr", stereo_view=view, quality=1))
    assert shades(film) == pytest.approx([LIGHT[light]], abs=3)


@pytest.mark.parametrize(
    ("prefixes", "layer", "view", "light"),
    [
        # Blender 3 and 5 with interleaved layers, and pictures alone.
        ((f"{COMBINED}.left", f"{COMBINED}.right"), "", "", 0.1),
        ((f"{COMBINED}.left", f"{COMBINED}.right"), "", "right", 0.2),
        ((f"{COMBINED}.left", f"{COMBINED}.right"), COMBINED, "right", 0.2),
        ((f"{COMBINED}.left", f"{COMBINED}.right"), f"{COMBINED}.right", "", 0.2),
        (("", "right"), "", "", 0.1),
        (("", "right"), "", "left", 0.1),
        (("", "right"), "", "right", 0.2),
        (("left", "right"), "", "", 0.1),
        (("left", "right"), "", "right", 0.2),
    ],
)
def test_views_in_the_names_of_channels(
    desk: Desk, prefixes: tuple[str, str], layer: str, view: str, light: float
) -> None:
    first, second = (part(0.1, prefixes[0]), part(0.2, prefixes[1]))
    image = oiio.ImageBufAlgo.channel_append(first, second)
    spec = image.specmod()
    spec.attribute("multiView", oiio.TypeDesc("string[2]"), ("left", "right"))
    spec.attribute("oiio:subimagename", "")
    assert image.write(str(desk.images / "frame_0001.exr")), image.geterror()
    farm = desk.run("frame_####.exr", layer=layer, stereo_view=view, quality=1)
    assert shades(desk.film(farm)) == pytest.approx([LIGHT[light]], abs=3)


@pytest.mark.parametrize(("layer", "light"), [("", 0.2), ("albedo", 0.4)])
def test_parts_as_other_programs_name_them(desk: Desk, layer: str, light: float) -> None:
    parts = [part(0.2, "", "rgba", channels="RGBA"), part(0.4, "", "albedo")]
    write_parts(desk.images / "frame_0001.exr", *parts)
    film = desk.film(desk.run("frame_####.exr", layer=layer, quality=1))
    assert shades(film) == pytest.approx([LIGHT[light]], abs=3)


def test_what_is_transparent_in_a_part(desk: Desk) -> None:
    write_parts(desk.images / "frame_0001.exr", *layers())
    film = desk.film(desk.run("frame_####.exr", codec="PRORES", quality=5))
    assert stream(film)["pix_fmt"] == "yuva444p12le"
    # 0.4 of light, of which half is let through.
    assert pixel(film) == pytest.approx((LIGHT[0.4],) * 3 + (128,), abs=4)
    film = desk.film(desk.run("frame_####.exr", background="#0000ff", quality=1))
    assert pixel(film)[:3] == pytest.approx((124, 124, 218), abs=4)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"layer": "ViewLayer.Mist"}, "no-layer"),
        ({"stereo_view": "middle"}, "no-view"),
        ({"layer": COMBINED, "stereo_view": "Left"}, "no-view"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    desk: Desk, params: dict[str, Any], said: str
) -> None:
    write_parts(desk.images / "frame_0001.exr", *eyes())
    message = refusal(desk.run("frame_####.exr", **params), permanent=True)
    assert says(message, said)
    there = ("left", "right") if said == "no-view" else (COMBINED, DIFFUSE)
    assert all(f"'{each}'" in message for each in there)


def test_a_view_of_images_without_any(desk: Desk) -> None:
    write_parts(desk.images / "frame_0001.exr", *layers())
    message = refusal(desk.run("frame_####.exr", stereo_view="left"), permanent=True)
    assert says(message, "no-view", "left")


@pytest.mark.parametrize("cut", [20, 2000, 4000])
def test_a_truncated_image_of_parts_is_named(desk: Desk, cut: int) -> None:
    for frame in (1, 2, 3):
        write_parts(desk.images / f"frame_{frame:04d}.exr", *layers())
    second = desk.images / "frame_0002.exr"
    second.write_bytes(second.read_bytes()[:-cut])
    assert "frame_0002.exr" in refusal(desk.run("frame_####.exr"), permanent=True)


def test_parts_of_two_sizes_are_refused(desk: Desk) -> None:
    write_parts(desk.images / "frame_0001.exr", *layers())
    small = [oiio.ImageBufAlgo.resize(each, roi=oiio.ROI(0, 64, 0, 64)) for each in layers()]
    for each, like in zip(small, layers(), strict=True):
        each.specmod().full_width = each.specmod().full_height = 64
        each.specmod().attribute("oiio:subimagename", str(like.spec()["oiio:subimagename"]))
    write_parts(desk.images / "frame_0002.exr", *small)
    message = refusal(desk.run("frame_####.exr"), permanent=True)
    assert says(message, "images-differ-in-size", "frame_0002.exr", 64, 64)


@pytest.mark.parametrize("several", [True, False], ids=["parts", "one part"])
def test_damage_in_the_middle_is_named(desk: Desk, several: bool) -> None:
    images = [desk.images / f"frame_{frame:04d}.exr" for frame in (1, 2, 3)]
    for image in images:
        write_parts(image, *(layers() if several else [part(0.2)]))
    whole = bytearray(images[1].read_bytes())
    with images[1].open("rb") as file:
        place = read_layout(file).places[-1]
    # Behind the numbers with which a chunk begins.
    whole[place + 20 : place + 32] = bytes(12)
    images[1].write_bytes(whole)
    farm = desk.run("frame_####.exr", layer=DIFFUSE if several else "")
    message = refusal(farm, permanent=True)
    assert says(message, "damaged-not-complete-image", "frame_0002.exr")


@pytest.mark.every_blender(always=True)
def test_what_blender_writes(desk: Desk, blender: Blender) -> None:
    blender.run(Path(__file__).with_name("make_layers.py"), str(desk.images))
    written = sorted(desk.images.iterdir())
    assert written
    for image in written:
        name = f"{image.stem.rpartition('_')[0]}_####.exr"
        for view, light in (("", 0.2), ("left", 0.2), ("right", 0.6)):
            if view and "stereo" not in name:
                continue
            film = desk.film(desk.run(name, stereo_view=view, quality=1))
            assert shades(film, (32, 32)) == pytest.approx([LIGHT[light]], abs=3), (name, view)


@pytest.mark.skipif(bool(probe()), reason="bubblewrap does not work here")
def test_in_the_sandbox(desk: Desk) -> None:
    write_parts(desk.images / "frame_0001.exr", *eyes())
    farm = desk.run("frame_####.exr", sandbox="required", stereo_view="right", quality=1)
    assert shades(desk.film(farm)) == pytest.approx([LIGHT[0.2]], abs=3)
