"""What Blender only prints, or does not even that, and goes on without: the job's warnings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from blenders import Blender
from messages import of_scene, saying, says

from .conftest import HERE, Rig
from .fake_farm import FakeFarm

pytestmark = pytest.mark.every_blender


@pytest.fixture(scope="module")
def scenes(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blender.made_by(HERE / "make_changed_scenes.py", tmp_path_factory.mktemp("changed"))


def render(
    rig: Rig, scene: str, *files: str, frames: Sequence[int] = (1, 2), **params: Any
) -> FakeFarm:
    farm = rig.farm(f"{scene}.blend", [[*frames]], files=[*files], **params)
    assert rig.run(farm) == 0
    return farm


def test_a_modifier_that_does_not_work_is_told_once(rig: Rig) -> None:
    farm = render(rig, "modifier")
    told = saying("modifier-did-not-work", "Smooth", "Cube", "Bind data required")
    assert of_scene(farm.frames[1].warnings) == [told], farm.log


def test_a_dropped_override_is_told(rig: Rig) -> None:
    farm = render(rig, "override", "library.blend")
    assert saying("library-override-dropped", "OBMain") in farm.frames[1].warnings, farm.log


def test_a_volume_that_cannot_be_read_is_missing(rig: Rig) -> None:
    farm = render(rig, "volume", "smoke.vdb")
    (finish,) = farm.finishes.values()
    assert says(finish.message, "scene-needs-file-missing", "smoke.vdb"), farm.log
    assert not farm.frames


@pytest.mark.sample(5)
@pytest.mark.parametrize(
    "name",
    [
        *("cut.png", "changed.png", "cut.jpg", "cut.exr", "nothing.tga"),
        *("cut.tif", "nothing.png", "nothing.jpg", "nothing.exr"),
    ],
)
def test_a_damaged_image_stops_the_job(rig: Rig, name: str) -> None:
    farm = render(rig, name.replace(".", "_"), name)
    (finish,) = farm.finishes.values()
    assert says(finish.message, "scene-needs-file-missing", name), farm.log
    assert not farm.frames


def test_a_damaged_image_that_no_pixel_needs_stops_nothing(rig: Rig) -> None:
    assert render(rig, "hidden_picture", "nothing.tga").frames.keys() == {1, 2}


def test_a_damaged_image_is_told_to_who_renders_without_it(rig: Rig) -> None:
    farm = render(rig, "cut_png", "cut.png", missing_files="warn")
    assert saying("rendered-without-files", "show/cut.png") in farm.frames[1].warnings, farm.log


@pytest.mark.sample(2)
@pytest.mark.parametrize("ending", ["png", "exr", "jpg", "tif", "tga"])
def test_a_whole_image_is_no_damaged_one(rig: Rig, ending: str) -> None:
    farm = render(rig, f"whole_{ending}", f"whole.{ending}")
    assert of_scene(farm.frames[1].warnings) == [], farm.log


def test_denoising_is_that_of_the_scene(rig: Rig) -> None:
    """Or another one, with a warning; by a Blender that cannot denoise there are no frames."""
    optix, composited = render(rig, "optix"), render(rig, "composited")
    if optix.frames:
        assert of_scene(optix.frames[1].warnings) == [saying("optix-replaced")]
        assert of_scene(composited.frames[1].warnings) == []
    else:
        assert says(optix.finishes["c1"].message, "blender-without-denoising")
        assert not composited.frames
        assert says(composited.finishes["c1"].message, "compositing-without-denoising")


@pytest.mark.parametrize("scene", ["sequence", "composited_sequence"])
def test_files_of_a_sequence_are_needed_by_the_frames_that_show_them(rig: Rig, scene: str) -> None:
    there = [f"seq/s_{number:04}.png" for number in (1, 2, 4)]
    farm = render(rig, scene, *there, frames=(11, 12, 13))
    assert says(farm.finishes["c1"].message, "scene-needs-file-missing", "show/seq/s_0003.png")
    assert not farm.frames
    assert render(rig, scene, *there, frames=(12, 14)).frames.keys() == {12, 14}
