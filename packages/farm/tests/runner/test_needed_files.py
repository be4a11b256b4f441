"""Missing files of what a scene has, but does not render, and of what looks like it: real Blender.

`test_blender_needs` has the rules; here are switched-off modifiers, replaced materials, pictures of
the sequencer, nodes that lead nowhere, and slots of no face.
"""

from pathlib import Path

import pytest
from blenders import Blender
from farm.scenes.blend_assets import AssetKind, usages
from farm_protocol.runner import Outcome
from messages import of_scene, saying

from .conftest import HERE, Rig
from .fake_farm import FakeFarm

pytestmark = pytest.mark.every_blender


@pytest.fixture(scope="module")
def scenes(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blender.made_by(HERE / "make_needed.py", tmp_path_factory.mktemp("needed"))


def render(rig: Rig, scene: str) -> FakeFarm:
    farm = rig.farm(f"{scene}.blend", [[1]])
    assert rig.run(farm) == 0
    return farm


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    "scene",
    [
        *("off_nodes", "override", "sequencer", "layers_aside", "muted_mix", "slot"),
        *("off_displace", "off_mesh_cache", "off_volume", "muted_constraint", "late_strip"),
        *("muted_image", "muted_link", "unused_input", "slot_smooth"),
    ],
)
def test_a_file_of_what_is_not_rendered_is_a_warning(rig: Rig, scene: str) -> None:
    farm = render(rig, f"needless/{scene}")
    assert farm.frames.keys() == {1}, farm.log
    told = of_scene(farm.requests[-1].warnings)
    assert told == [saying("unused-files-missing", "show/needless/gone.png")]


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    "scene",
    [
        *("same_texture", "override", "strip_of_scene", "layers_in_file", "mix", "slot_solid"),
        *("animated_modifier", "texture_of_particles", "constraint", "overriding", "muted_strip"),
        *("unused_sequencer", "image", "used_input", "slot"),
    ],
)
def test_a_file_of_what_only_looks_like_it_stops_the_job(rig: Rig, scene: str) -> None:
    farm = render(rig, f"needful/{scene}")
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent, farm.frames) == (Outcome.FAILED, True, {}), farm.log
    assert finish.message == saying("scene-needs-file-missing", "show/needful/gone.png")


@pytest.mark.every_blender(also_4=True)
@pytest.mark.parametrize(
    ("scene", "renders"), [("needless/import_aside", True), ("needful/imported", False)]
)
def test_what_geometry_nodes_import_is_needed_where_they_show_it(
    rig: Rig, scenes: Path, scene: str, renders: bool
) -> None:
    if not (scenes / f"{scene}.blend").exists():
        pytest.skip("needs Blender 4.5 or newer")
    assert bool(render(rig, scene).frames) is renders
    # Also told without Blender, and so gathered.
    named = usages("a.blend", {"a.blend": scenes / f"{scene}.blend"})
    assert ("//gone.png", AssetKind.IMPORTED) in {(each.path, each.kind) for each in named}


def test_what_is_certain_without_blender(scenes: Path) -> None:
    """So that such a scene is refused when it is submitted, and no other."""
    certain = {
        f"{blend.parent.name}/{blend.stem}"
        for blend in scenes.glob("*/*.blend")
        if any(each.is_needed for each in usages("a.blend", {"a.blend": blend}))
    }
    assert certain == {f"needful/{name}" for name in ("override", "slot", "unused_sequencer")}
