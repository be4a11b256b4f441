"""What is told about frames: decisions on numbers, and numbers of real images."""

import dataclasses
import itertools
import math
from pathlib import Path

import OpenImageIO as oiio
import pytest
from farm.runner.health import Neighbours, difference, flags
from farm.runner.image_statistics import Channel, ImageStatistics, measure
from farm.runner.outputs import check_image
from farm_protocol.frames import Certainty, FlagCode
from hypothesis import given
from hypothesis import strategies as st

CELLS = 144
WHITE, BLACK, CLEAR = (1, 1, 1, 1), (0, 0, 0, 1), (0, 0, 0, 0)


def picture(light: float = 0.3, *others: float) -> ImageStatistics:
    """Statistics of a healthy frame, as bright as ``light``; ``others``: of its last cells."""
    colour = [Channel(name, 0.0, 1.0, light, 0.2) for name in "RGB"]
    signature = (light,) * (CELLS - len(others)) + others
    return ImageStatistics(100, (*colour, Channel("A", 1.0, 1.0, 1.0, 0.0)), 0.0, signature)


def even(*values: float) -> ImageStatistics:
    channels = tuple(
        Channel(name, value, value, value, 0.0) for name, value in zip("RGBA", values, strict=True)
    )
    return ImageStatistics(100, channels, 0.0, (values[1] / (1 + values[1]),) * CELLS)


def told(found):
    return [(each.frame, each.code, each.certainty) for each in found]


def hindsight(images: dict[int, ImageStatistics], order=None):
    neighbours = Neighbours(list(images))
    return [flag for frame in order or images for flag in neighbours.add(frame, images[frame])]


def test_a_healthy_frame_has_no_flags():
    assert flags(1, picture()) == []


@pytest.mark.parametrize(
    ("image", "code", "certainty", "sentence"),
    [
        (
            even(*CLEAR),
            FlagCode.EMPTY,
            Certainty.HINT,
            "Frame 7 is empty: every pixel is transparent. In a fade that is right.",
        ),
        (
            even(*BLACK),
            FlagCode.EMPTY,
            Certainty.HINT,
            "Frame 7 is empty: every pixel is black. In a fade that is right.",
        ),
        (
            even(0.5, 0.2, 0.1, 1),
            FlagCode.ONE_COLOUR,
            Certainty.HINT,
            "Frame 7 has one colour only: every pixel is the same.",
        ),
        (
            dataclasses.replace(picture(), channels=(Channel("R", 0, 1, 0.5, 0.1, 3, 2),)),
            FlagCode.NON_FINITE,
            Certainty.CERTAIN,
            "Frame 7 is damaged: it has 3 NaN and 2 infinite values among its colours.",
        ),
        (
            dataclasses.replace(picture(), magenta=0.31),
            FlagCode.MISSING_TEXTURE,
            Certainty.HINT,
            "Frame 7 may lack a texture: 31% of it are magenta, which is what a missing one looks "
            "like.",
        ),
    ],
)
def test_what_a_frame_tells_by_itself(image, code, certainty, sentence):
    (found,) = flags(7, image)
    assert (found.frame, found.code, found.certainty) == (7, code, certainty)
    assert found.sentence == sentence


def test_a_black_shape_in_alpha_is_not_empty():
    channels = (*(Channel(name, 0, 0, 0, 0) for name in "RGB"), Channel("A", 0, 1, 0.2, 0.4))
    assert flags(1, dataclasses.replace(picture(), channels=channels)) == []


def test_light_without_alpha_is_not_empty():
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
    st.lists(LIGHTS, min_size=4, max_size=4).map(tuple),
)


@given(st.integers(-(2**31), 2**31 - 1), IMAGES)
def test_any_numbers_get_sentences_and_only_damage_is_certain(frame, image):
    found = flags(frame, image)
    assert all(each.sentence.startswith(f"Frame {frame} ") for each in found)
    damaged = any(each.nan or each.infinite for each in image.channels)
    assert damaged == any(each.certainty is Certainty.CERTAIN for each in found)
    assert len({each.code for each in found}) == len(found)


@given(IMAGES, IMAGES, IMAGES)
def test_difference_is_a_distance(one, two, three):
    assert difference(one, one) == 0
    assert 0 <= difference(one, two) == difference(two, one) <= 1
    assert difference(one, three) <= difference(one, two) + difference(two, three) + 1e-9


def test_a_frame_unlike_both_neighbours_is_told_with_hindsight():
    neighbours = Neighbours([10, 30, 20])
    assert neighbours.add(10, picture(0.3)) == []
    assert neighbours.add(20, picture(0.6)) == []
    (found,) = neighbours.add(30, picture(0.31))
    assert told([found]) == [(20, FlagCode.OUTLIER, Certainty.HINT)]
    assert found.sentence == "Frame 20 looks different from frames 10 and 30, which look alike."


@pytest.mark.parametrize(
    "images",
    [
        # a cut, a movement, noise, a short list
        [0.2, 0.2, 0.7, 0.7],
        [0.1, 0.2, 0.3, 0.4, 0.5],
        [0.300, 0.310, 0.300, 0.312],
        [0.1, 0.9],
        [0.5],
    ],
)
def test_cuts_movement_and_noise_are_no_outliers(images):
    assert hindsight({n: picture(light) for n, light in enumerate(images)}) == []


def test_an_empty_frame_between_pictures_is_certain():
    for empty in (even(*CLEAR), even(*BLACK)):
        images = {6: picture(0.3), 7: empty, 8: picture(0.3)}
        (found,) = hindsight(images)
        assert told([found]) == [(7, FlagCode.EMPTY, Certainty.CERTAIN)]
        assert found.sentence.endswith(", unlike frames 6 and 8.")


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
def test_fades_and_pauses_in_black_stay_hints(lights):
    images = {n: picture(light) if light else even(*BLACK) for n, light in enumerate(lights)}
    assert all(each.certainty is Certainty.HINT for each in hindsight(images))
    for frame, image in images.items():
        assert all(each.certainty is Certainty.HINT for each in flags(frame, image))


@given(st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.31, 0.9]), min_size=1, max_size=6), st.randoms())
def test_the_order_of_frames_does_not_matter(lights, random):
    images = {n: picture(light) if light else even(*BLACK) for n, light in enumerate(lights)}
    expected = sorted(told(hindsight(images)))
    order = list(images)
    random.shuffle(order)
    assert sorted(told(hindsight(images, order))) == expected


def test_every_order_of_five_frames_tells_the_same():
    images = {n: picture(light) for n, light in enumerate([0.3, 0.8, 0.3, 0.3, 0.9])}
    for order in itertools.permutations(images):
        assert told(hindsight(images, order)) == [(1, FlagCode.OUTLIER, Certainty.HINT)]


def test_a_frame_that_comes_twice_is_harmless():
    images = {n: picture() for n in range(9)}
    neighbours = Neighbours(list(images))
    for frame in [*images, *images]:
        assert neighbours.add(frame, images[frame]) == []


def draw(path: Path, *regions, names="RGBA", kind="float", size=(64, 36)) -> Path:
    """Write an image of which each region (values, x begin, x end) is filled."""
    spec = oiio.ImageSpec(*size, len(names), kind)
    spec.channelnames = list(names)
    image = oiio.ImageBuf(spec)
    for values, begin, end in regions:
        oiio.ImageBufAlgo.fill(image, values, oiio.ROI(begin, end, 0, size[1], 0, 1, 0, len(names)))
    assert image.write(str(path)), image.geterror()
    return path


def measured(path: Path) -> ImageStatistics:
    found = measure(check_image(path, path.name, None))
    assert found is not None
    return found


def codes(path: Path):
    return [each.code for each in flags(1, measured(path))]


@pytest.mark.parametrize(("suffix", "kind"), [("png", "uint8"), ("exr", "half"), ("tif", "uint16")])
def test_images_of_a_file_are_told_apart(tmp_path, suffix, kind):
    def codes_of(*regions):
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


def test_dithered_black_is_black(tmp_path):
    # As Blender writes it into 8 bits: some of its pixels are a step brighter.
    lifted = (1 / 255, 1 / 255, 1 / 255, 1)
    path = tmp_path / "frame.png"
    assert codes(draw(path, (BLACK, 0, 64), (lifted, 0, 16), kind="uint8")) == [FlagCode.EMPTY]
    assert codes(draw(path, (lifted, 0, 64), kind="uint8")) == [FlagCode.ONE_COLOUR]


def test_values_that_are_not_finite_are_counted(tmp_path):
    nan, infinite = (math.nan, 0.5, 0.5, 1), (0.5, math.inf, 0.5, 1)
    path = draw(
        tmp_path / "frame.exr", ((0.5, 0.5, 0.5, 1), 0, 60), (nan, 60, 62), (infinite, 62, 64)
    )
    found = measured(path)
    assert (found.channels[0].nan, found.channels[1].infinite) == (72, 72)
    assert [each.code for each in flags(1, found)] == [FlagCode.NON_FINITE]
    assert all(math.isfinite(cell) for cell in found.signature)


def test_statistics_are_those_of_the_image(tmp_path):
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


def test_grey_images_and_images_smaller_than_the_signature(tmp_path):
    path = draw(tmp_path / "grey.png", ((1,), 0, 1), names="Y", kind="uint8", size=(3, 2))
    found = measured(path)
    assert len(found.channels) == 1
    assert len(found.signature) == CELLS
    assert found.magenta == 0
    assert flags(1, found) == []


def test_of_a_layered_file_the_first_picture_counts_and_its_depth_does_not(tmp_path):
    spec = oiio.ImageSpec(64, 36, 5, "float")
    spec.channelnames = ["View.Depth.Z", *(f"View.Combined.{name}" for name in "RGBA")]
    image = oiio.ImageBuf(spec)
    oiio.ImageBufAlgo.fill(
        image, (math.inf, 0.2, 0.4, 0.6, 1.0), oiio.ROI(0, 32, 0, 36, 0, 1, 0, 5)
    )
    path = tmp_path / "frame.exr"
    assert image.write(str(path))
    found = measured(path)
    assert {each.name: each.maximum for each in found.channels} == pytest.approx(
        {"R": 0.2, "G": 0.4, "B": 0.6, "A": 1.0}
    )
    assert flags(1, found) == []


def test_the_next_frame_of_the_same_name_is_measured_anew(tmp_path):
    path = tmp_path / "frame.png"
    draw(path, (CLEAR, 0, 64), kind="uint8")
    assert codes(path) == [FlagCode.EMPTY]
    draw(path, (WHITE, 0, 32), kind="uint8", size=(128, 36))
    assert codes(path) == []


def test_a_deep_image_is_no_picture(tmp_path):
    spec = oiio.ImageSpec(64, 36, 5, "float")
    spec.channelnames, spec.deep = [*"RGBAZ"], True
    path = tmp_path / "deep.exr"
    assert oiio.ImageBuf(spec).write(str(path))
    assert measure(check_image(path, path.name, None)) is None
