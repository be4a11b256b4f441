"""What is told about frames: decisions on numbers, and numbers of real images."""

import dataclasses
import math
from pathlib import Path

import OpenImageIO as oiio
import pytest
from farm.frame_health.looks import flags
from farm.frame_health.looks import picture as picture_of
from farm.frame_health.statistics import Channel, ImageStatistics
from farm.runner.results.image_check import examine
from farm_protocol.frames import BRIGHTEST, Certainty, FlagCode
from hypothesis import given
from hypothesis import strategies as st
from messages import saying

CELLS = 144
WHITE, BLACK, CLEAR = (1, 1, 1, 1), (0, 0, 0, 1), (0, 0, 0, 0)


def picture(light: float = 0.3) -> ImageStatistics:
    """Statistics of a healthy frame, as bright as ``light``."""
    colour = [Channel(name, 0.0, 1.0, light, 0.2) for name in "RGB"]
    channels = (*colour, Channel("A", 1.0, 1.0, 1.0, 0.0))
    return ImageStatistics(100, channels, 0.0, (light,) * CELLS)


def even(*values: float) -> ImageStatistics:
    channels = tuple(
        Channel(name, value, value, value, 0.0) for name, value in zip("RGBA", values, strict=True)
    )
    return ImageStatistics(100, channels, 0.0, (values[1] / (1 + values[1]),) * CELLS)


def test_a_healthy_frame_has_no_flags() -> None:
    assert flags(1, picture()) == []


@pytest.mark.parametrize(
    ("image", "code", "certainty", "message"),
    [
        (
            even(*CLEAR),
            FlagCode.EMPTY,
            Certainty.HINT,
            saying("frame-empty-every-pixel-fade", 7, "transparent"),
        ),
        (
            even(*BLACK),
            FlagCode.EMPTY,
            Certainty.HINT,
            saying("frame-empty-every-pixel-fade", 7, "black"),
        ),
        (
            even(0.5, 0.2, 0.1, 1),
            FlagCode.ONE_COLOUR,
            Certainty.HINT,
            saying("frame-only-one-colour-every", 7),
        ),
        (
            dataclasses.replace(picture(), channels=(Channel("R", 0, 1, 0.5, 0.1, 3, 2),)),
            FlagCode.NON_FINITE,
            Certainty.CERTAIN,
            saying("frame-has-damaged-colours", 7, "3 NaN", 2),
        ),
        (
            dataclasses.replace(picture(), magenta=0.31),
            FlagCode.MISSING_TEXTURE,
            Certainty.HINT,
            saying("frame-may-lack-texture-magenta", 7, 31),
        ),
    ],
)
def test_what_a_frame_tells_by_itself(
    image: ImageStatistics, code: FlagCode, certainty: Certainty, message: saying
) -> None:
    (found,) = flags(7, image)
    assert (found.frame, found.code, found.certainty) == (7, code, certainty)
    assert found.message == message


def test_a_black_shape_in_alpha_is_not_empty() -> None:
    channels = (*(Channel(name, 0, 0, 0, 0) for name in "RGB"), Channel("A", 0, 1, 0.2, 0.4))
    assert flags(1, dataclasses.replace(picture(), channels=channels)) == []


def test_light_without_alpha_is_not_empty() -> None:
    channels = (*(Channel(name, 0, 1, 0.1, 0.1) for name in "RGB"), Channel("A", 0, 0, 0, 0))
    assert flags(1, dataclasses.replace(picture(), channels=channels)) == []


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
COUNTS = st.integers(0, 100)
CHANNELS = st.builds(Channel, st.sampled_from("RGBAYZ"), *[NUMBERS] * 4, COUNTS, COUNTS)
LIGHTS = st.floats(0, 1)
IMAGES = st.builds(
    ImageStatistics,
    st.integers(1, 10**8),
    st.lists(CHANNELS, min_size=1, max_size=4).map(tuple),
    LIGHTS,
    st.lists(LIGHTS, min_size=CELLS, max_size=CELLS).map(tuple),
)


@given(st.integers(-(2**31), 2**31 - 1), IMAGES)
def test_any_numbers_get_messages_and_only_damage_is_certain(
    frame: int, image: ImageStatistics
) -> None:
    found = flags(frame, image)
    assert all(each.message.startswith(f"Frame {frame} ") for each in found)
    damaged = any(each.nan or each.infinite for each in image.channels)
    assert damaged == any(each.certainty is Certainty.CERTAIN for each in found)
    assert len({each.code for each in found}) == len(found)


@given(IMAGES)
def test_what_the_farm_compares_by_are_whole_numbers(image: ImageStatistics) -> None:
    sent = picture_of(image)
    assert sent.emptiness == image.emptiness
    assert [light / BRIGHTEST for light in sent.signature] == pytest.approx(
        image.signature, abs=1 / BRIGHTEST
    )


Region = tuple[tuple[float, ...], int, int]
"""Values, and the columns from and to which they go."""


def draw(
    path: Path,
    *regions: Region,
    names: str = "RGBA",
    kind: str = "float",
    size: tuple[int, int] = (64, 36),
) -> Path:
    """Write an image of which each region (values, x begin, x end) is filled."""
    spec = oiio.ImageSpec(*size, len(names), kind)
    spec.channelnames = tuple(names)
    image = oiio.ImageBuf(spec)
    for values, begin, end in regions:
        oiio.ImageBufAlgo.fill(image, values, oiio.ROI(begin, end, 0, size[1], 0, 1, 0, len(names)))
    assert image.write(str(path)), image.geterror()
    return path


def measured(path: Path) -> ImageStatistics:
    found = examine(path, path.name, None)
    assert found is not None
    return found


def codes(path: Path) -> list[FlagCode]:
    return [each.code for each in flags(1, measured(path))]


@pytest.mark.parametrize(("suffix", "kind"), [("png", "uint8"), ("exr", "half"), ("tif", "uint16")])
def test_images_of_a_file_are_told_apart(tmp_path: Path, suffix: str, kind: str) -> None:
    def codes_of(*regions: Region) -> list[FlagCode]:
        return codes(draw(tmp_path / f"frame.{suffix}", *regions, kind=kind))

    assert codes_of((CLEAR, 0, 64)) == [FlagCode.EMPTY]
    assert codes_of((BLACK, 0, 64)) == [FlagCode.EMPTY]
    assert codes_of((WHITE, 0, 64)) == [FlagCode.ONE_COLOUR]
    assert codes_of((WHITE, 0, 32), (BLACK, 32, 64)) == []
    assert codes_of(((1, 0, 1, 1), 0, 8), (WHITE, 8, 64)) == [FlagCode.MISSING_TEXTURE]
    # As under light, and through a view transform.
    assert codes_of(((0.6, 0.21, 0.62, 1), 0, 8), (WHITE, 8, 64)) == [FlagCode.MISSING_TEXTURE]
    assert codes_of(((1, 0, 1, 1), 0, 1), (WHITE, 1, 64)) == []
    assert codes_of(((1, 0, 0.5, 1), 0, 8), ((0.9, 0.7, 0.9, 1), 8, 64)) == []


def test_dithered_black_is_black(tmp_path: Path) -> None:
    # As Blender writes it into 8 bits: some of its pixels are a step brighter.
    lifted = (1 / 255, 1 / 255, 1 / 255, 1)
    path = tmp_path / "frame.png"
    assert codes(draw(path, (BLACK, 0, 64), (lifted, 0, 16), kind="uint8")) == [FlagCode.EMPTY]
    assert codes(draw(path, (lifted, 0, 64), kind="uint8")) == [FlagCode.ONE_COLOUR]


def test_values_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    nan, infinite = (math.nan, 0.5, 0.5, 1), (0.5, math.inf, 0.5, 1)
    path = draw(
        tmp_path / "frame.exr", ((0.5, 0.5, 0.5, 1), 0, 60), (nan, 60, 62), (infinite, 62, 64)
    )
    found = measured(path)
    assert (found.channels[0].nan, found.channels[1].infinite) == (72, 72)
    assert [each.code for each in flags(1, found)] == [FlagCode.NON_FINITE]
    assert all(math.isfinite(cell) for cell in found.signature)


def test_statistics_are_those_of_the_image(tmp_path: Path) -> None:
    path = draw(tmp_path / "frame.exr", ((0.25, 0.5, 0, 1), 0, 32), ((0.75, 0.5, 3, 1), 32, 64))
    found = measured(path)
    assert found.pixels == 64 * 36
    assert [each.name for each in found.channels] == ["R", "G", "B", "A"]
    red, green, blue, _ = found.channels
    assert (red.minimum, red.maximum, red.mean) == (0.25, 0.75, 0.5)
    assert red.deviation == pytest.approx(0.25)
    assert (green.deviation, blue.maximum) == (0, 3)
    left, right = found.signature[0], found.signature[-1]
    assert left == pytest.approx(0.410725 / 1.410725, abs=1e-3)
    assert right == pytest.approx(0.73365 / 1.73365, abs=1e-3)


def test_grey_images_and_images_smaller_than_the_signature(tmp_path: Path) -> None:
    path = draw(tmp_path / "grey.png", ((1,), 0, 1), names="Y", kind="uint8", size=(3, 2))
    found = measured(path)
    assert len(found.channels) == 1
    assert len(found.signature) == CELLS
    assert found.magenta == 0
    assert flags(1, found) == []


def draw_layers(path: Path, channels: dict[str, float]) -> Path:
    """Write an EXR whose channels, in this order, have one value each; half of it is black."""
    spec = oiio.ImageSpec(64, 36, len(channels), "float")
    spec.channelnames = tuple(channels)
    image = oiio.ImageBuf(spec)
    roi = oiio.ROI(0, 32, 0, 36, 0, 1, 0, len(channels))
    oiio.ImageBufAlgo.fill(image, tuple(channels.values()), roi)
    assert image.write(str(path)), image.geterror()
    return path


def layer(name: str, *values: float, letters: str = "RGBA") -> dict[str, float]:
    return {f"{name}{letter}": value for letter, value in zip(letters, values, strict=True)}


PICTURE = (0.2, 0.4, 0.6, 1.0)
WHITE_AO = layer("ViewLayer.AO.", 1, 1, 1, letters="RGB")


@pytest.mark.parametrize(
    "others",
    [
        {"View.Depth.Z": math.inf},
        WHITE_AO,
        layer("View.AO.", *WHITE),
        layer("A.CryptoMatte00.", *WHITE, letters="rgba"),
    ],
    ids=["depth", "occlusion", "occlusion with alpha", "matte"],
)
@pytest.mark.parametrize(
    "name", ["", "ViewLayer.Combined.", "Scene.rgba.", "C.", "z.BEAUTY.", "Combined."]
)
def test_the_picture_of_a_layered_file_is_measured_and_no_pass(
    tmp_path: Path, others: dict[str, float], name: str
) -> None:
    path = draw_layers(tmp_path / "frame.exr", others | layer(name, *PICTURE))
    found = measured(path)
    assert {each.name: each.maximum for each in found.channels} == pytest.approx(
        dict(zip("RGBA", PICTURE, strict=True))
    )
    assert flags(1, found) == []


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        # A layer without a name is the picture, whatever the others are called.
        (layer("Combined.", *WHITE) | layer("", *PICTURE), dict(zip("RGBA", PICTURE, strict=True))),
        # None is called after the picture: the first that has colours.
        (
            layer("a.Normal.", 0.7, 0.8, 0.9, letters="XYZ") | layer("b.x.", *PICTURE),
            dict(zip("RGBA", PICTURE, strict=True)),
        ),
        (layer("b.x.", *PICTURE, letters="rgba"), dict(zip("RGBA", PICTURE, strict=True))),
        (WHITE_AO | {"Y": 0.3}, {"Y": 0.3}),
        (WHITE_AO | layer("beauty.", 0.3, 1, letters="YA"), {"Y": 0.3, "A": 1}),
        (
            layer("a.x.", 0.7, letters="Y") | layer("b.x.", *PICTURE[:3], letters="RGB"),
            {"R": 0.2, "G": 0.4, "B": 0.6},
        ),
    ],
    ids=["default", "first", "lower case", "luminance", "named luminance", "colours win"],
)
def test_which_layer_is_the_picture(
    tmp_path: Path, channels: dict[str, float], expected: dict[str, float]
) -> None:
    found = measured(draw_layers(tmp_path / "frame.exr", channels))
    assert {each.name: each.maximum for each in found.channels} == pytest.approx(expected)


def test_a_damaged_picture_behind_a_healthy_pass_is_found(tmp_path: Path) -> None:
    nan = layer("ViewLayer.Combined.", math.nan, 0.4, 0.6, 1)
    path = draw_layers(tmp_path / "frame.exr", WHITE_AO | nan)
    assert FlagCode.NON_FINITE in codes(path)


def test_the_next_frame_of_the_same_name_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    draw(path, (CLEAR, 0, 64), kind="uint8")
    assert codes(path) == [FlagCode.EMPTY]
    draw(path, (WHITE, 0, 32), kind="uint8", size=(128, 36))
    assert codes(path) == []


def test_a_deep_image_is_no_picture(tmp_path: Path) -> None:
    spec = oiio.ImageSpec(64, 36, 5, "float")
    spec.channelnames, spec.deep = tuple("RGBAZ"), True
    path = tmp_path / "deep.exr"
    assert oiio.ImageBuf(spec).write(str(path))
    assert examine(path, path.name, None) is None
