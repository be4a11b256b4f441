"""What a scene lacks, or what is done otherwise than on its artist's machine, warns of the job."""

from pathlib import Path

import pytest
from farm_protocol.runner import Outcome
from messages import of_scene, saying

from .conftest import Rig

pytestmark = pytest.mark.every_blender


def told(rig: Rig) -> list[str]:
    return of_scene(rig.farms[-1].requests[-1].warnings)


def gone(library: str, *blocks: str) -> saying:
    return saying("linked-data-missing", f"show/linked/{library}", *blocks)


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("scene", "files", "blocks"),
    [
        ("shot", ["assets"], "material 'oak', object 'table'"),
        ("film", ["assets", "shot"], "object 'table'"),
    ],
)
def test_what_a_library_has_lost_stops_the_job(
    rig: Rig, lacking: Path, scene: str, files: list[str], blocks: str
) -> None:
    rig.scenes = lacking
    names = [f"linked/{each}.blend" for each in files]
    farm = rig.farm(f"linked/{scene}.blend", [[1, 2]], names)
    assert rig.run(farm) == 0
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent, farm.frames) == (Outcome.FAILED, True, {}), farm.log
    lost = f"show/linked/assets.blend ({blocks})"
    assert finish.message == saying("frames-need-data-scenes-libraries", lost)
    # Unless the submission says otherwise.
    farm = rig.farm(f"linked/{scene}.blend", [[1, 2]], names, missing_files="warn")
    assert rig.run(farm) == 0
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED, farm.log
    assert told(rig) == [gone("assets.blend", blocks)]


def test_what_no_pixel_needs_of_a_library_is_a_warning(rig: Rig, lacking: Path) -> None:
    rig.scenes = lacking
    farm = rig.farm("linked/aside.blend", [[1, 2]], ["linked/assets.blend"])
    assert rig.run(farm) == 0
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED, farm.log
    assert told(rig) == [gone("assets.blend", "object 'table'")]


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("scene", "warning"),
    [
        ("scripts", saying("scenes-python-texts-not-run", "'move.py', 'rig_ui.py'")),
        ("camera", saying("scene-no-active-camera-rendering", "Scene", "Camera")),
        ("region", saying("scene-has-render-region")),
    ],
)
def test_what_is_done_otherwise_is_told_once(
    rig: Rig, lacking: Path, scene: str, warning: saying
) -> None:
    rig.scenes = lacking
    farm = rig.farm(f"told/{scene}.blend", [[1, 2, 3]])
    assert rig.run(farm) == 0
    assert farm.frames.keys() == {1, 2, 3}, farm.log
    assert told(rig) == [warning]
    # Whoever waits for the last frame reads them at once.
    assert farm.frames[3].warnings == [warning]


def test_a_scene_that_lacks_nothing_warns_of_nothing(rig: Rig) -> None:
    farm = rig.farm("texture.blend", [[1]], ["textures/wood.png"])
    assert rig.run(farm) == 0
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED, farm.log
    assert told(rig) == []
