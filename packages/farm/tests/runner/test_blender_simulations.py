"""A simulation that is not baked comes out the same, whichever frames a machine is asked for."""

from pathlib import Path

import OpenImageIO as oiio
import pytest
from messages import saying

from .conftest import Rig, made_by
from .fake_farm import FakeFarm

TOLD = "simulations-not-baked"


@pytest.fixture(scope="session")
def simulations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_by("make_simulations.py", tmp_path_factory.mktemp("simulations"))


def render(rig: Rig, simulations: Path, scene: str, claims: list[list[int]]) -> FakeFarm:
    rig.scenes = simulations
    farm = rig.farm(f"{scene}.blend", claims)
    assert rig.run(farm) == 0
    return farm


def picture(rig: Rig, farm: FakeFarm, frame: int) -> oiio.ImageBuf:
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
        ("smoke", "Cube"),
        ("zone", "Cube"),
    ],
)
def test_a_frame_alone_is_the_frame_of_the_whole(
    rig: Rig, simulations: Path, scene: str, owner: str
) -> None:
    if not (simulations / f"{scene}.blend").exists():
        pytest.skip("needs Blender 4.0 or newer")
    whole = render(rig, simulations, scene, [list(range(1, 13))])
    parts = render(rig, simulations, scene, [[1, 12], [9]])
    for frame in (9, 12):
        assert are_equal(picture(rig, whole, frame), picture(rig, parts, frame))
    assert not are_equal(picture(rig, whole, 1), picture(rig, whole, 12))
    for farm in (whole, parts):
        (warning,) = farm.requests[-1].warnings
        assert warning == saying(TOLD, owner, "1")


def test_what_was_baked_is_not_computed_again(rig: Rig, simulations: Path) -> None:
    farm = render(rig, simulations, "baked", [[12], [1]])
    assert farm.requests[-1].warnings == []
    assert not are_equal(picture(rig, farm, 1), picture(rig, farm, 12))
