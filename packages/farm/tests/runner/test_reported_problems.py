"""What came out wrong on other farms without an error: real Blender. See docs/fidelity.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from blenders import Blender
from farm_protocol.runner import Outcome
from messages import says

from .conftest import HERE, Rig
from .fake_farm import FakeFarm

pytestmark = pytest.mark.every_blender

RED, BLACK, CYAN = (255, 0, 0), (0, 0, 0), (0, 255, 255)


@pytest.fixture(scope="session")
def reported(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blender.made_by(HERE / "make_reported.py", tmp_path_factory.mktemp("reported"))


def render(rig: Rig, folder: Path, scene: str, claims: list[list[int]], **params: Any) -> FakeFarm:
    rig.scenes = folder
    farm = rig.farm(f"{scene}.blend", claims, **params)
    assert rig.run(farm) == 0
    return farm


def middles(rig: Rig, farm: FakeFarm, frame: int) -> list[tuple[int, ...]]:
    """Return the colours in the middle of a frame's pictures."""
    assert frame in farm.frames, farm.log
    found = []
    for output in sorted(farm.frames[frame].outputs, key=lambda each: each.path):
        path = rig.tmp_path / Path(output.path).name
        path.write_bytes(farm.blobs[output.hash])
        image = oiio.ImageBuf(str(path))
        pixel: Sequence[float] = image.getpixel(image.spec().width // 2, image.spec().height // 2)
        found.append(tuple(round(255 * part) for part in pixel[:3]))
    return found


def test_each_picture_is_of_its_own_frame(rig: Rig, reported: Path) -> None:
    """In whatever order and by however many machines they are rendered."""
    farm = render(rig, reported, "numbered", [[9, 2, 11], [1], [12, 3]])
    for frame in (9, 2, 11, 1, 12, 3):
        assert middles(rig, farm, frame) == [(round(255 * frame / 20), 0, 0)]


@pytest.mark.parametrize("scene", ["visible", "persistent"])
def test_what_comes_and_goes_does_so_at_its_frames(rig: Rig, reported: Path, scene: str) -> None:
    farm = render(rig, reported, scene, [[1, 2, 3, 4], [7]])
    for frame in (1, 2, 3, 4, 7):
        assert middles(rig, farm, frame) == [BLACK if frame % 2 else RED]


@pytest.mark.parametrize(
    ("scene", "colour"),
    [("composited", CYAN), ("edited", BLACK), ("hidden_in_viewport", RED)],
)
def test_a_scene_renders_as_its_artist_left_it(
    rig: Rig, reported: Path, scene: str, colour: tuple[int, ...]
) -> None:
    assert middles(rig, render(rig, reported, scene, [[1]]), 1) == [colour]


def test_each_eye_has_a_picture_of_its_own(rig: Rig, reported: Path) -> None:
    farm = render(rig, reported, "stereo", [[1]])
    assert [Path(each.path).stem for each in farm.frames[1].outputs] == [
        "frame_0001_L",
        "frame_0001_R",
    ]
    assert middles(rig, farm, 1) == [RED, BLACK]


def test_markers_choose_the_camera_unless_the_job_does(rig: Rig, reported: Path) -> None:
    farm = render(rig, reported, "cut", [[4, 5]])
    assert middles(rig, farm, 4) + middles(rig, farm, 5) == [RED, BLACK]
    farm = render(rig, reported, "cut", [[4, 5]], camera="Camera")
    assert middles(rig, farm, 4) + middles(rig, farm, 5) == [RED, RED]


def test_a_camera_that_was_deleted_renders_nothing(rig: Rig, reported: Path) -> None:
    assert middles(rig, render(rig, reported, "old_camera", [[1]]), 1) == [RED]
    finish = render(rig, reported, "old_camera", [[1]], camera="Old").finishes["c1"]
    assert (finish.outcome, finish.permanent) == (Outcome.FAILED, True)
    assert says(finish.message, "no-names-compared-exactly", "camera", "Old", "Scene", "'Camera'")
