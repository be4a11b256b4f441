"""Scenes whose files lie all over their artist's machine, with a map: real Blender."""

import json
import shutil
from pathlib import Path

import OpenImageIO as oiio
import pytest
from blenders import Blender
from farm_protocol.path_maps import path_map_of
from farm_protocol.runner import Outcome
from messages import of_scene, saying

from .conftest import HERE, Rig
from .fake_farm import FakeFarm

pytestmark = pytest.mark.every_blender

SHADES = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
"""Of the planes, as `make_mapped.py` makes them."""


@pytest.fixture(scope="module")
def mapped(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project: the scene, a map, and what was gathered; its artist's machine is gone."""
    root = tmp_path_factory.mktemp("artist")
    fonts = [each for each in Path("/usr/share/fonts").rglob("*.ttf") if each.is_file()]
    if fonts:
        shutil.copyfile(fonts[0], root / "font.ttf")
    blender.made_by(HERE / "make_mapped.py", root)
    project = tmp_path_factory.mktemp("project")
    (project / "shots").mkdir()
    shutil.move(root / "desk" / "scenes" / "scene.blend", project / "shots" / "scene.blend")
    shutil.move(root / "lib", project / "_gathered" / "aaaa")
    shutil.move(root / "other", project / "_gathered" / "bbbb")
    if fonts:
        (project / "_gathered" / "cccc").mkdir()
        shutil.move(root / "font.ttf", project / "_gathered" / "cccc" / "font.ttf")
    rules = {
        ("POSIX", f"{root}/desk/scenes/scene.blend"): "show/shots/scene.blend",
        ("POSIX", f"{root}/lib"): "show/_gathered/aaaa",
        ("POSIX", str(root)): "show/_gathered/cccc",
        ("WINDOWS", "d:/show/lib/windows.png"): "show/_gathered/bbbb/windows.png",
        ("WINDOWS", "\\\\server\\SHARE"): "show/_gathered/bbbb",
    }
    told = [
        {"source_path_format": system, "source_path": source, "destination_path": place}
        for (system, source), place in rules.items()
    ]
    place = project / path_map_of("show/shots/scene.blend").removeprefix("show/")
    place.write_text(json.dumps({"rules": told}))
    return project


def render(rig: Rig, project: Path, *without: str) -> FakeFarm:
    rig.scenes = project
    found = [each.relative_to(project).as_posix() for each in project.rglob("*") if each.is_file()]
    found.remove("shots/scene.blend")
    files = [each for each in found if each not in without]
    farm = rig.farm("shots/scene.blend", [[2]], files=files)
    assert rig.run(farm) == 0
    return farm


def shades(farm: FakeFarm, folder: Path) -> list[float]:
    """Return how bright each plane of frame 2 is."""
    (output,) = farm.frames[2].outputs
    place = folder / "frame.png"
    place.write_bytes(farm.blobs[output.hash])
    image = oiio.ImageBuf(str(place))
    return [round(image.getpixel(4 * column + 2, 2)[0], 1) for column in range(len(SHADES))]


@pytest.mark.every_blender(always=True)
def test_each_file_is_found_where_it_lies_now(rig: Rig, mapped: Path, tmp_path: Path) -> None:
    farm = render(rig, mapped)
    assert farm.frames.keys() == {2}, farm.log
    assert shades(farm, tmp_path) == SHADES
    assert of_scene(farm.requests[-1].warnings) == []


def test_what_was_not_gathered_is_told_as_the_artist_knows_it(rig: Rig, mapped: Path) -> None:
    farm = render(rig, mapped, "_gathered/bbbb/network.png")
    finish = farm.finishes["c1"]
    assert (finish.outcome, farm.frames) == (Outcome.FAILED, {}), farm.log
    assert finish.message == saying("scene-needs-file-missing", "\\\\Server/share/network.png")


@pytest.fixture(scope="module")
def kinds(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of scenes, each with another kind of file; its artist's machine is gone."""
    root = tmp_path_factory.mktemp("artist")
    blender.made_by(HERE / "make_mapped_kinds.py", root)
    project = tmp_path_factory.mktemp("kinds")
    shutil.move(root / "desk", project / "shots")
    shutil.move(root / "lib", project / "_gathered" / "aaaa")
    rule = {"source_path_format": "POSIX", "source_path": f"{root}/lib"}
    rules = [rule | {"destination_path": "show/_gathered/aaaa"}]
    for scene in (project / "shots").glob("*.blend"):
        place = path_map_of(f"show/shots/{scene.name}").removeprefix("show/")
        (project / place).write_text(json.dumps({"rules": rules}))
    return project


@pytest.mark.parametrize("kind", ["mesh_cache", "volume", "clip", "strip", "imported"])
def test_each_kind_of_file_is_in_the_picture(
    rig: Rig, kinds: Path, tmp_path: Path, kind: str
) -> None:
    if not (kinds / "shots" / f"{kind}.blend").exists():
        pytest.skip("needs Blender 4.5 or newer")
    rig.scenes = kinds
    found = [each.relative_to(kinds).as_posix() for each in kinds.rglob("*") if each.is_file()]
    files = [each for each in found if not each.endswith(".blend")]
    farm = rig.farm(f"shots/{kind}.blend", [[1]], files=files)
    assert rig.run(farm) == 0
    assert farm.frames.keys() == {1}, farm.log
    (output,) = farm.frames[1].outputs
    (tmp_path / "frame.png").write_bytes(farm.blobs[output.hash])
    assert oiio.ImageBuf(str(tmp_path / "frame.png")).getpixel(8, 4)[0] == pytest.approx(1)
    assert of_scene(farm.requests[-1].warnings) == []
