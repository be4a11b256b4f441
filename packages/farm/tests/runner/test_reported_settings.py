"""Settings that were lost or mixed up on other farms, without an error. See docs/fidelity.md."""

from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from blenders import Blender
from messages import of_scene, saying, says

from .conftest import HERE, Rig

pytestmark = pytest.mark.every_blender

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
SEQUENCE = [f"seq/t_{number:04}.png" for number in (1, 2, 3)]


@pytest.fixture(scope="session")
def scenes(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blender.made_by(HERE / "make_reported_settings.py", tmp_path_factory.mktemp("settings"))


class Pictures:
    """What a job's frames look like."""

    def __init__(self, rig: Rig, file: str, claims: list[list[int]], /, **params: Any) -> None:
        self._folder = rig.tmp_path
        self.farm = rig.farm(f"{file}.blend", claims, **params)
        assert rig.run(self.farm) == 0

    def of(self, frame: int) -> oiio.ImageBuf:
        assert frame in self.farm.frames, self.farm.log
        (output,) = self.farm.frames[frame].outputs
        path = self._folder / Path(output.path).name
        path.write_bytes(self.farm.blobs[output.hash])
        return oiio.ImageBuf(str(path))

    def size(self, frame: int) -> tuple[int, int]:
        spec = self.of(frame).spec()
        return spec.width, spec.height

    def row(self, frame: int) -> list[tuple[float, ...]]:
        """The pixels across the middle, as numbers from 0 to 1."""
        image = self.of(frame)
        spec = image.spec()
        return [image.getpixel(x, spec.height // 2) for x in range(spec.width)]

    def middle(self, frame: int) -> tuple[int, ...]:
        row = self.row(frame)
        return tuple(round(255 * part) for part in row[len(row) // 2])[:3]


def of_frame(number: int) -> tuple[int, int, int]:
    return round(255 * number / 20), 0, 0


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("scene", "params", "expected"),
    [
        ("composited_scenes", {}, {5: of_frame(5), 2: of_frame(2)}),
        ("sequence", {"files": SEQUENCE}, {3: BLUE, 1: RED, 2: GREEN}),
        ("other_scene", {"scene": "B"}, {5: of_frame(5), 2: of_frame(2)}),
        ("scene_strip", {}, {4: of_frame(3), 2: of_frame(1)}),
        ("stretched", {}, {8: of_frame(4), 2: of_frame(1)}),
        ("layered", {}, {1: RED, 2: RED}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_moves_is_where_it_is_at_that_frame(
    rig: Rig, scene: str, params: dict[str, Any], expected: dict[int, tuple[int, ...]]
) -> None:
    """In another scene, in the sequencer, in textures, in whatever order frames are rendered."""
    *first, last = expected
    pictures = Pictures(rig, scene, [first, [last]], **params)
    assert {frame: pictures.middle(frame) for frame in expected} == expected


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(20, 0, (20, 12)), (0, 0, (24, 12)), (20, 10, (20, 10)), (0, 10, (24, 10))],
)
def test_the_percentage_is_for_what_the_job_leaves_open(
    rig: Rig, width: int, height: int, size: tuple[int, int]
) -> None:
    pictures = Pictures(rig, "sized", [[1]], output_width=width, output_height=height)
    assert pictures.size(1) == size
    assert {pixel[:3] for pixel in pictures.row(1)} == {(1, 0, 0)}


@pytest.mark.long
def test_the_second_eye_may_open_later(rig: Rig) -> None:
    pictures = Pictures(rig, "eyes_later", [[1, 2]])
    assert [pictures.size(1), pictures.size(2)] == [(16, 8), (32, 8)]


def test_a_job_s_samples_are_those_of_all_frames(rig: Rig) -> None:
    """With a sample for each pixel none is in between; an edge across them tells."""
    for samples, smooth in ((0, False), (64, True)):
        pictures = Pictures(rig, "sampled", [[2]], samples=samples)
        assert any(0 < pixel[0] < 1 for pixel in pictures.row(2)) == smooth


@pytest.mark.long
def test_a_job_s_view_layer_is_that_of_all_frames(rig: Rig) -> None:
    pictures = Pictures(rig, "layered", [[1, 2]], view_layer="Empty")
    assert [pictures.middle(1), pictures.middle(2)] == [BLACK, BLACK]


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("scene", "kind", "red"),
    [
        ("viewed", "PNG", 188),  # twice as bright, and sRGB
        ("viewed", "OPEN_EXR", 64),
        ("viewed_by_file", "PNG", 188),
    ],
)
def test_the_scene_s_view_is_in_its_pictures(rig: Rig, scene: str, kind: str, red: int) -> None:
    assert Pictures(rig, scene, [[1]], output_format=kind).middle(1) == (red, 0, 0)


FOREIGN = "view 'Studio', look 'Studio's look'"


@pytest.mark.parametrize(
    "params", [{"missing_files": "warn"}, {"output_format": "OPEN_EXR"}], ids=["wanted", "linear"]
)
def test_a_view_of_another_configuration_is_told(rig: Rig, params: dict[str, str]) -> None:
    """Blender takes its own in place of it, and goes on."""
    farm = Pictures(rig, "foreign_view", [[1]], **params).farm
    told = of_scene(farm.frames[1].warnings)
    assert told == [saying("colour-management-lacking", FOREIGN)]


def test_frames_that_need_such_a_view_are_not_rendered_in_other_colours(rig: Rig) -> None:
    farm = Pictures(rig, "foreign_view", [[1]]).farm
    (finish,) = farm.finishes.values()
    assert says(finish.message, "frames-would-have-other-colours", FOREIGN)
    assert finish.permanent
    assert not farm.frames


STUDIO = """\
ocio_profile_version: 1
roles:
  {scene_linear: linear, default_byte: linear, default_sequencer: linear, data: linear,
   color_picking: linear, texture_paint: linear, aces_interchange: linear}
displays:
  sRGB:
    - !<View> {name: Studio, colorspace: shown, looks: Studio's look}
looks:
  - !<Look>
    name: Studio's look
    process_space: linear
    transform: !<MatrixTransform> {matrix: [0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}
colorspaces:
  - !<ColorSpace> {name: linear, bitdepth: 32f, isdata: false, allocation: uniform}
  - !<ColorSpace>
    name: shown
    bitdepth: 32f
    isdata: false
    from_reference: !<MatrixTransform> {matrix: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}
"""
"""Shows half as much green as there is red, and no red."""


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration that the machine's environment names."""
    config = tmp_path / "studio" / "config.ocio"
    config.parent.mkdir()
    config.write_text(STUDIO)
    monkeypatch.setenv("OCIO", str(config))
    return config


@pytest.mark.usefixtures("studio")
def test_a_studio_s_colour_management_is_blender_s(rig: Rig) -> None:
    pictures = Pictures(rig, "foreign_view", [[1]])
    assert of_scene(pictures.farm.frames[1].warnings) == []
    assert pictures.middle(1) == (0, 128, 0)


@pytest.mark.parametrize("damage", ["cut off", "gone"])
def test_a_studio_s_colour_management_that_cannot_be_read_is_not_replaced(
    rig: Rig, studio: Path, damage: str
) -> None:
    """Not even for a scene whose view Blender has, too, for this one may be another."""
    if damage == "gone":
        studio.unlink()
    else:
        studio.write_text("roles: {")
    farm = Pictures(rig, "viewed", [[1]]).farm
    (finish,) = farm.finishes.values()
    assert says(finish.message, "renderer-reported-error", finish.marker)
    assert str(studio) in finish.marker
    assert not finish.permanent
    assert not farm.frames


@pytest.mark.long
def test_motion_is_blurred_over_the_shutter_not_over_the_step(rig: Rig) -> None:
    pictures = Pictures(rig, "blurred", [[3, 8], [13]])
    rows = [pictures.row(frame) for frame in (3, 8, 13)]
    for row in rows:
        assert sum(0 < pixel[0] < 1 for pixel in row) in (2, 3), row
    assert rows[0] == rows[1] == rows[2]


@pytest.mark.long
def test_denoised_frames_are_each_their_own(rig: Rig) -> None:
    """By a Blender that can; from another one there are none."""
    pictures = Pictures(rig, "denoised", [[5, 2], [7]])
    if rig.blender.major >= 5 or pictures.farm.frames:
        for frame in (5, 2, 7):
            # A denoiser rounds.
            assert pictures.middle(frame)[0] == pytest.approx(of_frame(frame)[0], abs=3)
    else:
        assert says(pictures.farm.finishes["c1"].message, "blender-without-denoising")


@pytest.mark.long
def test_half_of_what_is_half_transparent_is_there(rig: Rig) -> None:
    pictures = Pictures(rig, "half_transparent", [[1]])
    red, _, _, alpha = pictures.row(1)[8]
    # OpenImageIO multiplies the colours of a PNG by its alpha.
    assert red == pytest.approx(0.5, abs=0.08)
    assert alpha == pytest.approx(0.5, abs=0.08)


@pytest.mark.long
def test_numbers_may_be_long_or_negative(rig: Rig) -> None:
    pictures = Pictures(rig, "far", [[10001, -3], [123456]])
    names = {frame: each.outputs[0].path for frame, each in pictures.farm.frames.items()}
    assert {frame: Path(path).name for frame, path in names.items()} == {
        10001: "frame_10001.png",
        -3: "frame_-0003.png",
        123456: "frame_123456.png",
    }
    for frame in names:
        assert pictures.middle(frame) == of_frame(frame % 20)


@pytest.mark.long
def test_both_eyes_in_one_picture_are_in_the_job_s_format(rig: Rig) -> None:
    pictures = Pictures(rig, "side_by_side", [[1]], output_format="OPEN_EXR")
    assert pictures.size(1) == (32, 8)
    assert pictures.of(1).file_format_name == "openexr"


@pytest.mark.long
def test_colours_are_as_deep_as_the_scene_s(rig: Rig) -> None:
    assert str(Pictures(rig, "deep", [[1]]).of(1).spec().format) == "uint16"
