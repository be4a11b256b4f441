"""USD scenes of Houdini's operation "render" through the real runner: husk is a strict stand-in."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from farm.products import BUILT_IN, Template
from farm_protocol.runner import Outcome
from messages import saying, says
from pydantic import JsonValue
from stand_ins_houdini import install

from .fake_farm import FakeFarm
from .in_process import end, names, run_job

WORLD = 'def Xform "World" (\n    {}\n)\n{{\n}}\n'


def stage(*layers: str, **orders: object) -> str:
    """Return a ``.usda`` with orders for the stand-in, whose one prim refers to layers."""
    listed = "\n    ".join(layers)
    return f"#usda 1.0\n# stand-in: {json.dumps(orders)}\n{WORLD.format(listed)}"


def run(
    folder: Path,
    text: str,
    claims: list[list[int]],
    name: str = "shot.usda",
    licensed: bool = True,
    gpu: bool = False,
    **params: JsonValue,
) -> FakeFarm:
    scene = folder / "project" / name
    scene.parent.mkdir(exist_ok=True)
    scene.write_text(text)
    hython = install(folder / "bin", licensed=licensed)["hython"]
    given: dict[str, JsonValue] = {"frames": "1 10", "gpu": gpu, **params}
    return run_job(folder, "hou", hython, "render", name, claims, given, gpu=gpu)


def test_frames_of_a_stage_are_delivered_with_their_numbers(tmp_path: Path) -> None:
    farm = run(tmp_path, stage(), [[1, 2, 3], [4, 6, 8, 10], [9]])
    assert {each.outcome for each in farm.finishes.values()} == {Outcome.COMPLETED}, farm.log
    frames = (1, 2, 3, 4, 6, 8, 9, 10)
    assert names(farm) == {frame: [f"shot.{frame:04d}.exr"] for frame in frames}
    assert "-f 4 -n 4 -i 2 " in farm.log


def test_negative_frames(tmp_path: Path) -> None:
    farm = run(tmp_path, stage(), [[-3, -1, 1]], frames="-3 1 2")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert names(farm) == {
        -3: ["shot.-0003.exr"],
        -1: ["shot.-0001.exr"],
        1: ["shot.0001.exr"],
    }


@pytest.mark.parametrize(
    ("path", "ext", "file"),
    [
        ("/renders/beauty.$F4.png", "", "beauty.0002.png"),
        ("C:\\renders\\beauty it's-<F3>.png", "", "beauty it's-002.png"),
        ("beauty_%04d_v2.PNG", "", "beauty_0002_v2.PNG"),
        ("beauty.####.exr", ".png", "beauty.0002.png"),
        ("beauty.$F.jpg", "", "beauty.2.jpg"),
        ("beauty.png", "", "beauty.0002.png"),  # else frames would replace each other
        ("beauty", "tiff", "beauty.0002.tif"),
        ("", "png", "shot.0002.png"),
    ],
)
def test_a_name_and_an_extension_can_be_given(
    tmp_path: Path, path: str, ext: str, file: str
) -> None:
    farm = run(
        tmp_path,
        stage(),
        [[2]],
        disk_output_path=path,
        disk_output_ext=ext,
        output_upload=["x.exr", "*b*2*", "shot.$F4.*"],
    )
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert names(farm) == {2: [file]}


@pytest.mark.parametrize(
    ("params", "drawn_by"),
    [
        ({}, "BRAY_HdKarma"),
        ({"gpu": True}, "BRAY_HdKarmaXPU"),
        ({"disk_output_renderer": "BRAY_HdKarmaXPU"}, "BRAY_HdKarmaXPU"),
        ({"disk_output_renderer": "BRAY_HdKarma", "gpu": True}, "BRAY_HdKarma"),
    ],
)
def test_the_renderer_is_the_one_that_is_asked_for(
    tmp_path: Path, params: dict[str, object], drawn_by: str
) -> None:
    farm = run(tmp_path, stage(), [[1]], **params)  # type: ignore[arg-type]
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert f"Renderer: {drawn_by}\n" in farm.log


def test_a_renderer_that_is_not_installed_fails(tmp_path: Path) -> None:
    farm = run(tmp_path, stage(), [[1]], disk_output_renderer="HdStorm")
    assert end(farm).outcome is Outcome.FAILED
    assert "Unable to find render delegate HdStorm" in end(farm).message


def test_the_projects_variables_reach_husk(tmp_path: Path) -> None:
    variables: JsonValue = {"SHOW": "/show/tex", "PATH": "/tmp"}
    farm = run(tmp_path, stage(environment=True), [[1]], project_env=variables)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    (show,) = (line for line in farm.log.splitlines() if "SHOW=" in line)
    assert show.endswith("/project/show/tex")
    assert "HOUDINI_OCL_DEVICETYPE=CPU" in farm.log
    assert "PATH=/tmp\n" not in farm.log
    assert says(farm.log, "variable-project-env-set-farm", "PATH")


@pytest.mark.parametrize("name", ["shot.usd", "SHOT.USDA", "shot.usdc", "shot.usdz"])
def test_each_kind_of_usd_file_goes_to_husk(tmp_path: Path, name: str) -> None:
    (tmp_path / "project").mkdir()
    file = tmp_path / "project" / name
    if name.endswith("z"):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("scene.usda", stage())
    else:
        file.write_bytes(b"PXR-USDC\0" if name.endswith("c") else stage().encode())
    hython = install(tmp_path / "bin")["hython"]
    farm = run_job(tmp_path, "hou", hython, "render", name, [[1]], {"frames": "1"})
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert names(farm) == {1: [f"{Path(name).stem}.0001.exr"]}


def test_what_is_no_usd_file_fails(tmp_path: Path) -> None:
    farm = run(tmp_path, "{}", [[1]])
    assert end(farm).outcome is Outcome.FAILED
    assert "Unable to load USD file" in end(farm).marker


@pytest.mark.parametrize(
    ("orders", "outcome", "delivered"),
    [
        ({"licence": True}, Outcome.NO_LICENCE, set()),
        ({"fail_at": 3}, Outcome.FAILED, {1, 2}),
        ({"lie_at": 3}, Outcome.FAILED, {1, 2, 4}),
        ({"truncate": 3}, Outcome.FAILED, {1, 2, 4}),
        ({"crash_at": 3}, Outcome.FAILED, {1, 2}),
        ({"no_devices": True}, Outcome.FAILED, set()),
        ({"usd_error": True, "seconds": 0.1}, Outcome.FAILED, set()),
        ({"error": True, "seconds": 0.1}, Outcome.FAILED, set()),
    ],
)
def test_what_goes_wrong_is_noticed(
    tmp_path: Path, orders: dict[str, object], outcome: Outcome, delivered: set[int]
) -> None:
    farm = run(tmp_path, stage(**orders), [[1, 2, 3, 4]])
    assert end(farm).outcome is outcome, farm.log
    # Of the last file that is there nobody knows whether it is whole, until the next one is.
    assert set(farm.frames) <= delivered
    if "lie_at" in orders or "truncate" in orders:
        assert set(farm.frames) == delivered, farm.log
        assert "3" in end(farm).message


def test_a_frame_is_delivered_before_the_last_one_is_rendered(tmp_path: Path) -> None:
    farm = run(tmp_path, stage(hang_at=4), [[1, 2, 3, 4]], silence_timeout=10)
    assert end(farm).outcome is Outcome.FAILED
    assert says(end(farm).message, "renderer-was-silent", 10, "silence_timeout")
    assert set(farm.frames) == {1, 2}


def test_a_frame_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    farm = run(tmp_path, stage(hang_at=1), [[1, 2]], frame_timeout=2)
    assert end(farm).outcome is Outcome.FAILED
    assert "frame_timeout" in end(farm).message


def test_husk_without_a_licence_has_not_failed(tmp_path: Path) -> None:
    assert end(run(tmp_path, stage(), [[1]], licensed=False)).outcome is Outcome.NO_LICENCE


@pytest.mark.parametrize(
    "layer", ["references = @./tree.usd@", "payload = @./tree.usd@", "subLayers = [@./tree.usd@]"]
)
def test_a_layer_that_is_missing_fails_the_job(tmp_path: Path, layer: str) -> None:
    """husk itself renders without it, and ends with 0."""
    farm = run(tmp_path, stage(layer, seconds=0.1), [[1, 2]])
    assert end(farm).outcome is Outcome.FAILED
    assert end(farm).permanent
    assert end(farm).message == saying("scene-refers-to-missing-file", "./tree.usd")
    assert farm.frames == {}


def test_a_layer_that_is_there_renders(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "tree.usd").write_text(stage())
    farm = run(tmp_path, stage("references = @./tree.usd@"), [[1]])
    assert end(farm).outcome is Outcome.COMPLETED, farm.log


def test_a_houdini_without_husk_says_so(tmp_path: Path) -> None:
    hython = install(tmp_path / "bin")["hython"]
    os.remove(hython.with_name("husk"))
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "shot.usda").write_text(stage())
    farm = run_job(tmp_path, "hou", hython, "render", "shot.usda", [[1]], {"frames": "1"})
    assert end(farm).outcome is Outcome.FAILED
    assert says(end(farm).message, "render-machines-no-beside", "husk", hython)


def test_husk_lies_beside_the_hython_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "shot.usda").write_text(stage())
    link = tmp_path / "hython"
    link.symlink_to(install(tmp_path / "hfs" / "bin")["hython"])
    farm = run_job(tmp_path, "hou", link, "render", "shot.usda", [[1]], {"frames": "1"})
    assert end(farm).outcome is Outcome.COMPLETED, farm.log


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"disk_output_path": "beauty.$F4.pic"}, "ends in '.pic'"),
        ({"output_upload": ["*.png"]}, "*.png"),
        ({"project_env": {"A B": "1"}}, "'A B' in project_env"),
    ],
)
def test_what_cannot_be_written_fails_for_good(
    tmp_path: Path, params: dict[str, object], words: str
) -> None:
    farm = run(tmp_path, stage(), [[1]], **params)  # type: ignore[arg-type]
    assert words in end(farm).message
    assert end(farm).permanent


# What is known without a runner


MEANS_NOTHING = saying("not-for-usd-scenes")
ONE_NUMBER = saying("not-valid-value", saying("write-file-name-with-one"))


def usd() -> Template:
    template = BUILT_IN.load("hou", "render")
    assert template is not None
    return template.for_scene("show/shot.usd")


@pytest.mark.parametrize(
    ("params", "field", "message"),
    [
        ({"take": "wide"}, "take", MEANS_NOTHING),
        ({"rop_nodetype": "karma"}, "rop_nodetype", MEANS_NOTHING),
        ({"rop_nodepath": "/out/karma1"}, "rop_nodepath", MEANS_NOTHING),
        ({"disk_output_mode": "1"}, "disk_output_mode", MEANS_NOTHING),
        ({"disk_output_parm": "x"}, "disk_output_parm", MEANS_NOTHING),
        ({"disk_output_path_parm": "x"}, "disk_output_path_parm", MEANS_NOTHING),
        ({"disk_output_ext": "pic"}, "disk_output_ext", saying("not-valid-value-use", "exr, png")),
        ({"disk_output_path": "$HIPNAME.$F4.exr"}, "disk_output_path", ONE_NUMBER),
        ({"disk_output_path": "$F4/a.$F4.$F4.exr"}, "disk_output_path", ONE_NUMBER),
        ({"disk_output_path": "a/.exr"}, "disk_output_path", ONE_NUMBER),
        (
            {"disk_output_renderer": "-V"},
            "disk_output_renderer",
            saying("not-valid-value", saying("write-name-render-delegate-such")),
        ),
    ],
)
def test_what_is_wrong_with_a_usd_scene_is_named(
    params: dict[str, object], field: str, message: saying
) -> None:
    errors = usd().validate({"frames": "1", **params}).errors  # type: ignore[dict-item]
    assert errors == {field: [message]}
    if message is MEANS_NOTHING:
        assert errors[field][0].startswith(f"{field} ")


def test_what_a_plug_in_leaves_empty_is_no_mistake() -> None:
    empty: dict[str, object] = {"take": "", "rop_nodepath": "", "project_param": {}}
    checked = usd().validate({"frames": "1", **empty})  # type: ignore[dict-item]
    assert (checked.errors, checked.warnings) == ({}, [])


def test_what_other_jobs_of_the_project_need_is_left_out_with_a_warning() -> None:
    of_project: dict[str, object] = {"project_param": {"/a/b": 1}, "project_param_output": ["/c"]}
    checked = usd().validate({"frames": "1", **of_project})  # type: ignore[dict-item]
    assert checked.errors == {}
    assert [text.split()[0] for text in checked.warnings] == list(of_project)
    assert not set(of_project) & set(checked.values)


@pytest.mark.parametrize(
    ("operation", "scene", "template"),
    [
        ("render", "show/a.usd", "hou_husk"),
        ("render", "show/a.USDZ", "hou_husk"),
        ("render", "show/a.hip", "hou_render"),
        ("render", "show/a.usd.hipnc", "hou_render"),
        ("sim", "show/a.usd", "hou_sim"),
        ("batch", "show/a.hip", "hou_batch"),
    ],
)
def test_the_suffix_says_which_program(operation: str, scene: str, template: str) -> None:
    known = BUILT_IN.load("hou", operation)
    assert known is not None
    chosen = known.for_scene(scene)
    assert (chosen.name, chosen.app) == (template, "hou")


def test_what_is_no_scene_of_houdini_is_told_with_all_that_are() -> None:
    known, sim = BUILT_IN.load("hou", "render"), BUILT_IN.load("hou", "sim")
    assert known is not None
    assert sim is not None
    assert known.scene_refusal("show/a.usdc") == ""
    scenes = ".hiplc or .usd or .usda or .usdc or .usdz"
    assert says(known.scene_refusal("show/a.ma"), "not-scene-must-file", scenes)
    assert says(sim.scene_refusal("show/a.usdc"), "not-scene-must-file", ".hip or .hipnc or .hiplc")
