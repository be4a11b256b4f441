"""A missing file stops a job when a pixel needs it, and else is a warning: real Blender."""

from pathlib import Path

import pytest
from farm.scenes.blend_assets import usages
from farm_protocol.runner import Outcome
from messages import of_scene, saying

from .conftest import Rig
from .fake_farm import FakeFarm

pytestmark = pytest.mark.every_blender


def render(rig: Rig, lacking: Path, scene: str, missing_files: str = "fail") -> FakeFarm:
    rig.scenes = lacking
    farm = rig.farm(f"{scene}.blend", [[1, 2]], missing_files=missing_files)
    assert rig.run(farm) == 0
    return farm


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("scene", "path"),
    [
        ("group", "gone.png"),
        ("collection", "gone.png"),
        ("excluded", "gone.png"),
        ("layer", "gone.png"),
        ("parent", "gone.png"),
        ("compositor", "gone.png"),
        ("hidden", "blendcache_hidden"),
    ],
)
def test_what_no_pixel_needs_is_a_warning(rig: Rig, lacking: Path, scene: str, path: str) -> None:
    farm = render(rig, lacking, f"needless/{scene}")
    assert farm.frames.keys() == {1, 2}, farm.log
    told = of_scene(farm.requests[-1].warnings)
    assert told == [saying("unused-files-missing", f"show/needless/{path}")]


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    "scene",
    [
        *("group", "instance", "animated", "set", "compositor", "set_material", "socket"),
        *("displace", "world"),
    ],
)
def test_what_a_pixel_needs_stops_the_job(rig: Rig, lacking: Path, scene: str) -> None:
    farm = render(rig, lacking, f"needful/{scene}")
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent, farm.frames) == (Outcome.FAILED, True, {}), farm.log
    assert finish.message == saying("scene-needs-file-missing", "show/needful/gone.png")


def test_what_is_certain_without_blender_is_never_what_no_pixel_needs(lacking: Path) -> None:
    certain = {
        f"{kind}/{blend.stem}"
        for kind in ("needless", "needful")
        for blend in (lacking / kind).glob("*.blend")
        if any(
            each.is_needed and "gone" in each.path for each in usages("a.blend", {"a.blend": blend})
        )
    }
    assert certain == {f"needful/{name}" for name in ("group", "instance", "world")}


def test_who_knows_better_renders_without_it(rig: Rig, lacking: Path) -> None:
    farm = render(rig, lacking, "needful/group", missing_files="warn")
    assert farm.frames.keys() == {1, 2}, farm.log
    told = of_scene(farm.requests[-1].warnings)
    assert told == [saying("rendered-without-files", "show/needful/gone.png")]
