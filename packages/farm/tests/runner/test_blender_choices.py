"""What a job may choose of a Blender scene: seen in the pictures, and in the messages."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from blenders import Blender
from farm.catalogue.products import Installed, product_rows
from farm.products import BUILT_IN, SHARED
from farm.renderers import Discovery
from farm_protocol.runner import LicenceServer, Outcome
from messages import saying, says

from .conftest import Rig
from .fake_farm import FakeFarm

HERE = Path(__file__).parent
ADDONS = HERE / "blender_scripts"
SIZE = (64, 36)


@pytest.fixture(scope="module")
def scenes(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with the two files of make_choices.py."""
    folder = tmp_path_factory.mktemp("choices")
    addons = {"BLENDER_USER_SCRIPTS": str(ADDONS)}
    blender.run(HERE / "make_choices.py", str(folder), environment=addons)
    return folder


class Picture:
    """A rendered frame."""

    def __init__(self, farm: Any, folder: Path) -> None:
        assert farm.finishes["c1"].outcome is Outcome.COMPLETED, farm.finishes["c1"].message
        (output,) = farm.frames[1].outputs
        path = folder / Path(output.path).name
        path.write_bytes(farm.blobs[output.hash])
        image = oiio.ImageBuf(str(path))
        width, height = self.size = (image.spec().width, image.spec().height)
        rows = [[image.getpixel(x, y) for x in range(width)] for y in range(height)]
        self.middle = tuple(round(255 * part) for part in rows[height // 2][width // 2][:3])
        self.reds = {round(255 * pixel[0]) for row in rows for pixel in row}


RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


@pytest.mark.every_blender(always=True)
def test_left_out_the_scene_decides(rig: Rig, tmp_path: Path) -> None:
    farm = rig.farm("choices.blend", [[1]])
    assert rig.run(farm) == 0
    picture = Picture(farm, tmp_path)
    assert (picture.size, picture.middle) == (SIZE, RED)
    assert picture.reds == {0, 255}, "one sample: no pixel is in between"


@pytest.mark.every_blender
@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("params", "middle", "size"),
    [
        ({"camera": "Green", "output_width": 40, "output_height": 30}, GREEN, (40, 30)),
        ({"scene": "Shot B", "output_width": 96}, BLUE, (96, 36)),
        ({"view_layer": "Without red", "output_height": 18, "tile_size": 8}, BLACK, (64, 18)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_choice_changes_the_picture(
    rig: Rig,
    tmp_path: Path,
    params: dict[str, Any],
    middle: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    farm = rig.farm("choices.blend", [[1]], **params)
    assert rig.run(farm) == 0
    picture = Picture(farm, tmp_path)
    assert picture.middle == middle
    assert picture.size == size


def test_more_samples_smooth_the_edges(rig: Rig, tmp_path: Path) -> None:
    farm = rig.farm("choices.blend", [[1]], samples=64)
    assert rig.run(farm) == 0
    assert len(Picture(farm, tmp_path).reds) > 10


def test_what_the_scene_has_not_is_refused_for_good(rig: Rig) -> None:
    farm = rig.farm("choices.blend", [[1]], scene="Shot B", camera="Red")
    assert rig.run(farm) == 0
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent) == (Outcome.FAILED, True)
    assert finish.message == saying("no-names-compared-exactly", "camera", "Red", "Shot B", "Blue")


def test_a_kind_of_gpu_that_is_not_there_is_named(rig: Rig) -> None:
    farm = rig.farm("choices.blend", [[1]], gpu=True, gpu_devices="hip:0")
    rig.run(farm)
    assert says(farm.finishes["c1"].message, "job-asks-gpu-but-machine", "HIP")
    assert not farm.finishes["c1"].permanent


SCRIPT = """
import json, sys
from types import SimpleNamespace as Made
file, *sys.path[:0] = sys.argv[-3:]
import bpy, farm_choices, farm_setup
from farm_events import SceneError

def said(function, *arguments):
    try:
        return function(*arguments)
    except SceneError as error:
        return str(error)

class Preferences:
    # Cycles' own, on a machine with a processor and three cards.
    compute_device_type = "NONE"
    def get_devices(self):
        kinds = ["CPU"] + [self.compute_device_type] * 3
        named = [(kind, f"{kind} {i}") for i, kind in enumerate(kinds)]
        self.devices = [Made(type=kind, name=name, use=True) for kind, name in named]

def used(text):
    preferences = Preferences()
    context = Made(preferences=Made(addons={"cycles": Made(preferences=preferences)}))
    farm_setup.bpy = Made(context=context, app=bpy.app)
    cycles = Made(device="CPU")
    scene = Made(render=Made(engine="CYCLES"), cycles=cycles, animation_data=None)
    farm_setup.set_device(scene, True, text)
    return [cycles.device] + [device.name for device in preferences.devices if device.use]

bpy.ops.wm.open_mainfile(filepath=file)
scene = bpy.context.scene
told = {text: said(used, text) for text in ("", "CUDA", "cuda:2", "HIP:0,1", "CUDA:3")}
told["camera"] = said(farm_choices.set_camera, scene, "green")
told["scene"] = said(farm_choices.choose_scene, "Shot C")
told["view layer"] = said(farm_choices.set_view_layer, scene, "Second")
told["size"] = said(farm_choices.set_size, scene, 3, 0)
told["tile"] = said(farm_choices.set_tile_size, scene, 7)
scene.render.engine = "BLENDER_WORKBENCH"
told["tiles"] = said(farm_choices.set_tile_size, scene, 64)
told["samples"] = said(farm_choices.set_samples, scene, 64)
farm_setup.set_engine(scene, "BLENDER_EEVEE")
if scene.eevee.bl_rna.properties["taa_render_samples"].is_animatable:  # not in Blender 3
    scene.eevee.keyframe_insert("taa_render_samples", frame=1)
farm_choices.set_samples(scene, 7)
scene.frame_set(2)
told["eevee"] = [scene.eevee.taa_render_samples, scene.view_layers[0].samples]
print("TOLD", json.dumps(told))
"""


@pytest.mark.every_blender
def test_what_blender_and_its_cards_have_not_is_named(
    blender: Blender, scenes: Path, tmp_path: Path
) -> None:
    """In one Blender, for speed. The cards are made up, the scene is Blender's."""
    template = BUILT_IN.load("blender", "render")
    assert template is not None
    (tmp_path / "script.py").write_text(SCRIPT)
    folders = [str(template.scripts), str(SHARED)]
    done = blender.run(tmp_path / "script.py", str(scenes / "choices.blend"), *folders)
    (told,) = [each for each in done.splitlines() if each.startswith("TOLD ")]
    no = "no-names-compared-exactly"
    assert json.loads(told.removeprefix("TOLD ")) == {
        "": ["GPU", "OPTIX 1", "OPTIX 2", "OPTIX 3"],
        "CUDA": ["GPU", "CUDA 1", "CUDA 2", "CUDA 3"],
        "cuda:2": ["GPU", "CUDA 3"],
        "HIP:0,1": ["GPU", "HIP 1", "HIP 2"],
        "CUDA:3": saying("no-such-render-device", "CUDA", 3, "0: CUDA 1, 1: CUDA 2, 2: CUDA 3"),
        "camera": saying(no, "camera", "green", "Scene", "'Green', 'Red'"),
        "scene": saying(no, "scene", "Shot C", "'Scene', 'Shot B'"),
        "view layer": saying(no, "view layer", "Second", "Scene", "'ViewLayer', 'Without red'"),
        "size": saying("frame-too-small", "output_width", 3),
        "tile": saying("tile-size-but-cycles-tiles", 7),
        "tiles": saying("tile-size-without-effect", "BLENDER_WORKBENCH"),
        "samples": saying("samples-without-effect", "BLENDER_WORKBENCH"),
        "eevee": [7, 0],
    }


# V-Ray for Blender


def with_vray(farm: FakeFarm, plugin: str = "blender_vray:6.20.1") -> FakeFarm:
    farm.job = farm.job.model_copy(update={"plugins": [plugin]})
    return farm


@pytest.mark.parametrize(
    ("scene", "params"),
    [
        ("vray.blend", {}),
        pytest.param("choices.blend", {"engine": "V-Ray"}, marks=pytest.mark.long),
    ],
)
def test_vray_renders_with_its_plug_in(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: str, params: dict[str, Any]
) -> None:
    monkeypatch.setenv("BLENDER_USER_SCRIPTS", str(ADDONS))
    settings = tmp_path / "licence settings"
    settings.mkdir()
    monkeypatch.setenv("VRAY_AUTH_CLIENT_FILE_PATH", str(settings))
    farm = with_vray(rig.farm(scene, [[1]], **params))
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        address = f"<VRLClient><Host>{host}</Host><Port>{port}</Port></VRLClient>"
        (settings / "vrlclient.xml").write_text(address)
        servers = [LicenceServer(host=host, port=port)]
        farm.job = farm.job.model_copy(update={"licence_servers": servers})
        assert rig.run(farm) == 0
    picture = Picture(farm, tmp_path)
    assert (picture.size, picture.middle) == (SIZE, GREEN)


@pytest.mark.sample(1)
@pytest.mark.parametrize("place", ["home", "linked", "variable"])
def test_an_add_on_that_the_farm_offers_is_loaded(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("BLENDER_USER_SCRIPTS", raising=False)
    version = next(Discovery().of("blender")).version
    configuration = home / ".config" / "blender" / BUILT_IN.series("blender", version) / "scripts"
    scripts = tmp_path / "studio" if place == "variable" else configuration
    if place == "variable":
        monkeypatch.setenv("BLENDER_USER_SCRIPTS", str(scripts))
    module = scripts / "addons" / "vray_blender"
    (scripts / "addons").mkdir(parents=True)
    if place == "linked":
        shutil.copytree(ADDONS / "addons" / module.name, tmp_path / "source" / "vray")
        module.symlink_to(tmp_path / "source" / "vray")
    else:
        shutil.copytree(ADDONS / "addons" / module.name, module)

    blender = next(Discovery().of("blender"))
    rows = product_rows([Installed(blender.app, blender.version, blender.plugins)])
    (offered,) = next(row for row in rows if row.app_type == "blender").compatible_modules
    monkeypatch.setenv("VRAY_AUTH_CLIENT_FILE_PATH", str(tmp_path / "no licence"))
    farm = with_vray(rig.farm("vray.blend", [[1]]), offered)
    rig.run(farm)
    # It is loaded: that it has no licence nobody else says.
    assert farm.finishes["c1"].outcome is Outcome.NO_LICENCE, farm.finishes["c1"].message


@pytest.mark.parametrize(
    ("scene", "params"),
    [("vray.blend", {}), pytest.param("choices.blend", {"engine": "vray"}, marks=pytest.mark.long)],
)
def test_without_the_plug_in_no_other_engine_takes_its_place(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, scene: str, params: dict[str, Any]
) -> None:
    monkeypatch.setenv("BLENDER_USER_SCRIPTS", str(ADDONS))
    farm = rig.farm(scene, [[1]], **params)
    assert rig.run(farm) == 0
    finish = farm.finishes["c1"]
    assert finish.outcome is Outcome.FAILED
    assert says(finish.message, "render-engine-not-part-blender", "VRAY_RENDER_RT")
    assert says(finish.message, "comes-with-plug-add-jobs", "blender_vray")


@pytest.mark.every_blender
def test_another_engine_may_render_a_vray_scene(rig: Rig, tmp_path: Path) -> None:
    farm = rig.farm("vray.blend", [[1]], engine="cycles", samples=1)
    assert rig.run(farm) == 0
    assert Picture(farm, tmp_path).middle == RED


def test_a_machine_without_the_add_on_says_where_it_looked(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BLENDER_USER_SCRIPTS", raising=False)
    farm = with_vray(rig.farm("vray.blend", [[1]]))
    # The runner itself refuses what it looks for and does not find.
    update = {"unseen_plugins": farm.job.plugins}
    farm.job = farm.job.model_copy(update=update)
    rig.run(farm)
    finish = farm.finishes["c1"]
    assert says(
        finish.message, "add-plug-not-machine-blender", "vray_blender", "blender_vray:6.20.1"
    )
    assert "BLENDER_USER_SCRIPTS" in finish.message
    assert not finish.permanent


def test_a_vray_without_licence_waits_for_one(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLENDER_USER_SCRIPTS", str(ADDONS))
    monkeypatch.delenv("VRAY_AUTH_CLIENT_FILE_PATH", raising=False)
    farm = with_vray(rig.farm("vray.blend", [[1]]))
    rig.run(farm)
    assert farm.finishes["c1"].outcome is Outcome.NO_LICENCE
