"""Simulations that were baked to the disk are needed like any file: real bakes, real Blender."""

import shutil
from collections.abc import Collection
from pathlib import Path

import pytest
from blender_asset_tracer.blendfile import BlendFile
from farm_protocol.runner import Outcome
from messages import saying

from .conftest import Rig
from .fake_farm import FakeFarm

pytestmark = pytest.mark.every_blender

POINT_CACHES = ["cloth", "soft", "particles"]


def files_of(lacking: Path, folder: str) -> list[str]:
    found = [each for each in sorted((lacking / folder).rglob("*")) if each.is_file()]
    assert found
    return [each.relative_to(lacking).as_posix() for each in found]


def render(rig: Rig, lacking: Path, scene: str, files: Collection[str] = ()) -> FakeFarm:
    rig.scenes = lacking
    farm = rig.farm(f"caches/{scene}.blend", [[2, 3]], list(files))
    assert rig.run(farm) == 0
    return farm


def has_fluids(lacking: Path) -> None:
    """Skip a test where Blender could bake none."""
    if not (lacking / "caches" / "smoke.blend").exists():
        pytest.skip("PyPI's Blender 5 cannot compute fluids")


def lacks(farm: FakeFarm, path: str) -> bool:
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent, farm.frames) == (Outcome.FAILED, True, {}), farm.log
    return finish.message == saying("scene-needs-file-missing", f"show/caches/{path}")


@pytest.mark.sample(1)
@pytest.mark.parametrize("scene", POINT_CACHES)
def test_a_baked_point_cache_that_is_gone_stops_the_job(
    rig: Rig, lacking: Path, scene: str
) -> None:
    assert lacks(render(rig, lacking, scene), f"blendcache_{scene}")


@pytest.mark.sample(1)
@pytest.mark.parametrize("scene", POINT_CACHES)
def test_with_its_cache_the_scene_renders(rig: Rig, lacking: Path, scene: str) -> None:
    farm = render(rig, lacking, scene, files_of(lacking, f"caches/blendcache_{scene}"))
    assert farm.frames.keys() == {2, 3}, farm.log


def test_a_gap_in_a_cache_stops_the_job(rig: Rig, lacking: Path) -> None:
    files = files_of(lacking, "caches/blendcache_particles")
    (third,) = [each for each in files if "_000003" in each]
    farm = render(rig, lacking, "particles", [each for each in files if each != third])
    assert lacks(farm, third.removeprefix("caches/"))


def test_the_end_of_a_cache_that_is_gone_stops_the_job(rig: Rig, lacking: Path) -> None:
    """Blender would go on with the last frame that is there."""
    files = files_of(lacking, "caches/blendcache_cloth")
    there = [each for each in files if "_000001" in each or "_000002" in each]
    (third,) = [each for each in files if "_000003" in each]
    assert lacks(render(rig, lacking, "cloth", there), third.removeprefix("caches/"))


@pytest.mark.sample(1)
@pytest.mark.parametrize("scene", POINT_CACHES)
def test_a_whole_cache_lacks_none_of_its_frames(rig: Rig, lacking: Path, scene: str) -> None:
    rig.scenes = lacking
    files = files_of(lacking, f"caches/blendcache_{scene}")
    last = max(int(each.rsplit("_", 2)[1]) for each in files)
    farm = rig.farm(f"caches/{scene}.blend", [[1, last, last + 1]], files)
    assert rig.run(farm) == 0
    assert farm.frames.keys() == {1, last, last + 1}, farm.log


@pytest.mark.sample(1)
@pytest.mark.parametrize("scene", ["unbaked", "off"])
def test_a_cache_that_no_picture_needs_stops_nothing(rig: Rig, lacking: Path, scene: str) -> None:
    assert render(rig, lacking, scene).frames.keys() == {2, 3}


@pytest.mark.sample(1)
@pytest.mark.parametrize(("scene", "part"), [("smoke", "data"), ("water", "mesh")])
def test_a_baked_fluid_that_is_gone_stops_the_job(
    rig: Rig, lacking: Path, scene: str, part: str
) -> None:
    has_fluids(lacking)
    assert lacks(render(rig, lacking, scene), f"{scene}_cache/{part}")


@pytest.mark.sample(1)
@pytest.mark.parametrize("scene", ["smoke", "water"])
def test_with_its_bake_a_fluid_renders(rig: Rig, lacking: Path, scene: str) -> None:
    has_fluids(lacking)
    farm = render(rig, lacking, scene, files_of(lacking, f"caches/{scene}_cache"))
    assert farm.frames.keys() == {2, 3}, farm.log


@pytest.fixture
def ocean(lacking: Path, tmp_path: Path) -> Path:
    """A copy of the scenes' caches with an ocean that counts as baked."""
    made = tmp_path / "ocean"
    shutil.copytree(lacking / "caches" / "sea", made / "caches" / "sea")
    scene = made / "caches" / "ocean.blend"
    shutil.copyfile(lacking / "caches" / "ocean.blend", scene)
    with BlendFile(scene, mode="rb+") as opened:
        for thing in opened.find_blocks_from_code(b"OB"):
            modifier = thing.get_pointer((b"modifiers", b"first"))
            if modifier is not None and modifier.dna_type_name == "OceanModifierData":
                modifier.set(b"cached", 1)
    return made


def test_a_baked_ocean_that_is_gone_stops_the_job(rig: Rig, ocean: Path) -> None:
    assert lacks(render(rig, ocean, "ocean"), "sea")


def test_a_gap_in_an_ocean_stops_the_job(rig: Rig, ocean: Path) -> None:
    files = ["caches/sea/disp_0001.exr", "caches/sea/disp_0002.exr"]
    assert lacks(render(rig, ocean, "ocean", files), "sea/disp_0003.exr")


def test_with_its_bake_an_ocean_renders(rig: Rig, ocean: Path) -> None:
    farm = render(rig, ocean, "ocean", files_of(ocean, "caches/sea"))
    assert farm.frames.keys() == {2, 3}, farm.log
