"""A simulation that is not baked comes out the same, whichever frames a machine is asked for."""

from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from blenders import Blender
from farm_protocol.runner import Outcome
from messages import saying

from .conftest import HERE, Rig
from .fake_farm import FakeFarm

pytestmark = pytest.mark.every_blender

TOLD = "simulations-not-baked"


@pytest.fixture(scope="session")
def simulations(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blender.made_by(HERE / "make_simulations.py", tmp_path_factory.mktemp("simulations"))


OF_ANOTHER_SCENE = ("set", "node", "node_rigid", "strip")


def render(rig: Rig, simulations: Path, scene: str, claims: list[list[int]]) -> FakeFarm:
    rig.scenes = simulations
    params: dict[str, Any] = {"scene": "Shot"} if scene in OF_ANOTHER_SCENE else {}
    farm = rig.farm(f"{scene}.blend", claims, **params)
    assert rig.run(farm) == 0
    return farm


def picture(rig: Rig, farm: FakeFarm, frame: int) -> oiio.ImageBuf:
    assert frame in farm.frames, farm.log
    (output,) = farm.frames[frame].outputs
    path = rig.tmp_path / f"{output.hash}.png"
    path.write_bytes(farm.blobs[output.hash])
    return oiio.ImageBuf(str(path))


def are_equal(first: oiio.ImageBuf, second: oiio.ImageBuf) -> bool:
    return bool(oiio.ImageBufAlgo.compare(first, second, 0.0, 0.0).maxerror == 0)


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("scene", "owner"),
    [
        ("rigid", "Scene (rigid bodies)"),
        ("hidden", "Scene (rigid bodies)"),
        ("cloth", "Grid"),
        ("soft", "Grid"),
        ("unseen", "Grid"),
        ("folded", "Grid"),
        ("set", "Scene (rigid bodies)"),
        ("node", "Grid"),
        ("node_rigid", "Scene (rigid bodies)"),
        ("strip", "Grid"),
        ("smoke", "Cube"),
        ("zone", "Cube"),
    ],
)
def test_a_frame_alone_is_the_frame_of_the_whole(
    rig: Rig, simulations: Path, scene: str, owner: str
) -> None:
    if not (simulations / f"{scene}.blend").exists():
        pytest.skip("needs Blender 4.0 or newer")
    if scene == "smoke" and rig.blender.major >= 5:
        pytest.skip("PyPI's Blender 5 cannot compute fluids")
    whole = render(rig, simulations, scene, [list(range(1, 13))])
    parts = render(rig, simulations, scene, [[1, 12], [9]])
    for frame in (9, 12):
        assert are_equal(picture(rig, whole, frame), picture(rig, parts, frame))
    assert not are_equal(picture(rig, whole, 1), picture(rig, whole, 12))
    for farm in (whole, parts):
        (warning,) = farm.requests[-1].warnings
        assert warning == saying(TOLD, owner, "1")


def test_a_fluid_that_blender_fails_to_compute_is_no_picture(rig: Rig, simulations: Path) -> None:
    """It prints why, goes on with a fluid that stands still, and ends with 0."""
    if rig.blender.major < 5:
        pytest.skip("this Blender can compute fluids")
    finish = render(rig, simulations, "smoke", [list(range(1, 13))]).finishes["c1"]
    assert (finish.outcome, finish.permanent) == (Outcome.FAILED, False)
    assert "is not defined" in finish.marker


def test_what_was_baked_is_not_computed_again(rig: Rig, simulations: Path) -> None:
    farm = render(rig, simulations, "baked", [[12], [1]])
    assert farm.requests[-1].warnings == []
    assert not are_equal(picture(rig, farm, 1), picture(rig, farm, 12))
