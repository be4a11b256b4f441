"""Houdini's render.py: what a job sets in the scene, and what the scene lacks."""

import pytest
from farm.runner.results.image_check import examine
from messages import saying, says
from stand_ins_houdini import VERSION

from .houdini_rig import MANTRA, TAKES, Houdini, node

# Takes, parameters, environment


def test_takes(houdini: Houdini) -> None:
    houdini.write(takes=TAKES)
    run = houdini.render("1", take="wide")
    assert run.of("loaded")[0]["width"] == 128
    assert run.files == houdini.delivered() == ["wide.0001.png"]
    examine(houdini.output / "wide.0001.png", "wide.0001.png", (128, 36))
    assert houdini.render("1", take="Main").files == ["shot.0001.png"]


def test_the_nodes_own_take(houdini: Houdini) -> None:
    houdini.write(takes=TAKES, out__mantra1=node("ifd", vm_picture="$HIP/m.$F4.png", take="wide"))
    assert houdini.render("1").files == ["wide.0001.png"]
    assert houdini.render("1", take="Main").files == ["m.0001.png"]


def test_an_unknown_take(houdini: Houdini) -> None:
    houdini.write(takes=TAKES)
    run = houdini.render("1", take="tall")
    assert run.failure == saying("scene-no-take", "tall", "Main, wide")
    assert run.of("failed")[0]["permanent"]


def test_parameters(houdini: Houdini) -> None:
    houdini.write()
    parms = {"/obj/cam1/resx": 100, "/obj/cam1/res": [80, 40], "vm_samplesx": 9}
    run = houdini.render("1", parms=parms)
    loaded = run.of("loaded")[0]
    assert (loaded["width"], loaded["height"]) == (80, 40)
    examine(houdini.output / run.files[0], "it", (80, 40))


def test_parameters_that_override_the_resolution(houdini: Houdini) -> None:
    houdini.write()
    half = {"override_camerares": True, "res_fraction": "0.5"}
    assert houdini.render("1", parms=half).of("loaded")[0]["width"] == 32
    own = {"override_camerares": 1, "res_fraction": "specific", "res_override": [20, 10]}
    assert houdini.render("1", parms=own).of("loaded")[0]["height"] == 10
    uncertain = {"override_camerares": 1, "res_fraction": "0.3"}
    assert houdini.render("1", parms=uncertain).of("loaded")[0]["width"] is None


@pytest.mark.parametrize(
    ("parms", "said"),
    [
        ({"/obj/cam1/nothing": 1}, saying("scene-no-parameter-could", "/obj/cam1/nothing", 1)),
        ({"nothing": "x"}, saying("scene-no-parameter-could", "/out/mantra1/nothing", "'x'")),
        (
            {"/obj/cam1/res": [1, 2, 3]},
            saying("scene-no-parameter-could", "/obj/cam1/res", "[1, 2, 3]"),
        ),
        ({"/obj/cam1/resx": "wide"}, saying("parameter-cannot-set", "/obj/cam1/resx", "'wide'")),
        ({"vm_picture": 5}, saying("parameter-cannot-set", "/out/mantra1/vm_picture", 5)),
    ],
)
def test_wrong_parameters(houdini: Houdini, parms: dict[str, object], said: saying) -> None:
    houdini.write()
    assert houdini.render("1", parms=parms).failure == said


def test_environment(houdini: Houdini) -> None:
    houdini.write(
        variables={"SHOT": "of_the_scene"},
        out__mantra1=node("ifd", vm_picture="$JOB/$SHOT.$F4.png"),
    )
    assert houdini.render("1").files == ["of_the_scene.0001.png"]
    assert houdini.render("1", env={"SHOT": "sh010"}).files == ["sh010.0001.png"]


def test_environment_that_is_not_the_jobs_to_set(houdini: Houdini) -> None:
    houdini.write(out__mantra1=node("ifd", vm_picture="$HIPNAME.$F4.png"))
    run = houdini.render("1", env={"HIPNAME": "x", "HOUDINI_PATH": "/film", "PATH": "/film"})
    assert run.files == ["shot.0001.png"]
    for name in ("HIPNAME", "PATH"):
        assert says(run.text, "variable-project-env-set-farm", name)
    assert says(run.text, "houdini-variable-too-late", "HOUDINI_PATH")
    assert not says(run.text, "variable-project-env-set-farm", "HOUDINI_PATH")
    assert says(houdini.render("1", env={"A B": 1}).failure, "project-env-not-name-environment")


def test_remote_paths_become_local_ones(houdini: Houdini) -> None:
    (houdini.project / "film" / "hero.bgeo").touch()
    houdini.write(
        obj__g=node("geo"),
        obj__g__a=node("file", file="$TEX/hero.bgeo"),
        obj__g__b=node("file"),
        out__mantra1=MANTRA,
    )
    run = houdini.render("1", env={"TEX": "/film"}, parms={"/obj/g/b/file": "/film/hero.bgeo"})
    assert "missing" not in run.text
    assert says(
        houdini.render("1", parms={"/obj/g/b/file": "/other/x"}).text,
        "scene-refers-files-missing",
        2,
        "$TEX/hero.bgeo, /other/x",
    )


def test_gpu(houdini: Houdini) -> None:
    houdini.write(out__k=node("karma", picture='$HIP/`chs("engine")`.$F.png'))
    assert houdini.render("1", "/out/k").files == ["cpu.1.png"]
    assert houdini.render("1", "/out/k", gpu="true").files == ["xpu.1.png"]


# What the scene lacks


def test_missing_nodes(houdini: Houdini) -> None:
    houdini.write(out__a=node("ifd"), out__b=node("geometry"), out__m=node("merge"))
    listed = saying("render-nodes", "/out/a (ifd), /out/b (geometry)")
    run = houdini.render("1", "/out/x")
    assert run.failure == saying("scene-no-node", "/out/x", listed)
    assert run.of("failed")[0]["permanent"]
    assert houdini.render("1", "/out/a", roptype="karma").failure == (
        saying("node-type-not", "/out/a", "ifd", "karma", listed)
    )
    assert says(houdini.render("1", "/obj/cam1").failure, "node-does-not-render-anything")
    assert says(houdini.render("1", "").failure, "scene-rop-nodepath-must-name")
    assert "disk_output_path_parm" in houdini.render("1", "/out/m").failure


def test_the_only_node_of_a_type_need_not_be_named(houdini: Houdini) -> None:
    houdini.write(out__a=node("ris::3.0", ri_display_0="a.$F.png"), out__b=node("geometry"))
    assert houdini.render("1", "", roptype="ris").files == ["a.1.png"]


def test_inputs_are_not_rendered(houdini: Houdini) -> None:
    houdini.write(
        out__g=node("geometry", sopoutput="$HIP/g.$F.bgeo.sc"),
        out__mantra1=node("ifd", inputs=["/out/g"], vm_picture="$HIP/m.$F.png"),
    )
    run = houdini.render("1")
    assert run.files == ["m.1.png"]
    assert says(run.text, "inputs-not-rendered-with-they")
    assert not list(houdini.project.rglob("*.bgeo.sc"))


def test_missing_inputs_are_warnings(houdini: Houdini) -> None:
    (houdini.scene.parent / "tile.1002.exr").touch()
    houdini.write(
        obj__g=node("geo"),
        obj__g__a=node("file", file="$HIP/gone.$F4.bgeo"),
        obj__g__b=node("file", file="op:/obj/geo2"),
        obj__g__c=node("file", file="$HIP/tile.<UDIM>.exr"),
        obj__g__d=node("rop_geometry", sopoutput="$HIP/not_yet.$F.bgeo.sc"),
        out__mantra1=MANTRA,
    )
    run = houdini.render("12")
    assert run.code == 0
    lacks = saying("scene-refers-file-missing", "film/gone.0012.bgeo")
    assert [event["message"] for event in run.of("warned")] == [lacks]


def test_scenes_that_do_not_open(houdini: Houdini) -> None:
    houdini.scene.write_text("not a scene")
    run = houdini.render("1")
    assert says(run.failure, "houdini-cannot-open-file-damaged", VERSION, "film/shot.hip")
    assert run.of("failed")[0]["permanent"]
    houdini.scene.unlink()
    assert houdini.render("1").failure == saying("scene-missing", "film/shot.hip")


def test_load_warnings_are_told(houdini: Houdini) -> None:
    houdini.write(warnings=["Bad parameter found: x", "Old asset definition"])
    run = houdini.render("1")
    assert run.code == 0
    told = [event["message"] for event in run.of("warned")]
    assert told == ["Bad parameter found: x", "Old asset definition"]
