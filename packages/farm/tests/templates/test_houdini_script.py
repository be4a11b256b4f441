"""Houdini's render.py, run as a process by the stand-in hython."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import farm.templates
import pytest
from every_python import interpreter
from farm.runner.outputs import OutputError, check_image
from stand_ins_houdini import VERSION, install

SCRIPT = Path(farm.templates.__file__).parent / "houdini" / "render.py"
MANTRA = {"type": "ifd", "parms": {"vm_picture": "$HIP/render/shot.$F4.png"}}
CAMERA = {"type": "cam", "parms": {"resx": 64, "resy": 36}}


@dataclass
class Run:
    """What came of a process: its exit code, its events and its other lines."""

    code: int
    events: list[dict] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def of(self, name: str) -> list[dict]:
        return [event for event in self.events if event["event"] == name]

    @property
    def failure(self) -> str:
        assert self.code != 0
        (event,) = self.of("failed")
        return event["sentence"]

    @property
    def files(self) -> list[str]:
        return [name for event in self.of("frame_written") for name in event["files"]]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Houdini:
    """A project folder with one scene, and the way to render it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.python, self.licensed = folder, None, True
        self.project = folder / "project"
        self.output, self.partial = folder / "output", folder / "partial"
        (self.project / "film").mkdir(parents=True)
        self.output.mkdir()
        self.partial.mkdir()
        self.scene = self.project / "film" / "shot.hip"

    def write(self, *, stand_in=None, takes=None, variables=None, warnings=(), **nodes) -> None:
        """Save the scene: Mantra and a camera, or what ``nodes`` say (``out__x``: /out/x)."""
        given = {f"/{name.replace('__', '/')}": node for name, node in nodes.items()}
        content = {
            "nodes": {"/obj/cam1": CAMERA, **(given or {"/out/mantra1": MANTRA})},
            "takes": takes or {},
            "variables": variables or {},
            "load_warnings": list(warnings),
            "stand_in": stand_in or {},
        }
        self.scene.write_text(json.dumps(content))

    def command(self, frames: str, rop: str, options: dict) -> list[str]:
        hython = install(self.folder / "bin", self.python, self.licensed)["hython"]
        arguments = {
            "scene": self.scene,
            "project": self.project,
            "output": self.output,
            "partial": self.partial,
            "frames": frames,
            "rop": rop,
            "parent": os.getpid(),
            **{
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in options.items()
            },
        }
        return [str(hython), str(SCRIPT), *(f"--{k}={v}" for k, v in arguments.items())]

    def render(self, frames: str = "1", rop: str = "/out/mantra1", **options) -> Run:
        done = subprocess.run(
            self.command(frames, rop, options),
            env={},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        run = Run(done.returncode)
        for line in done.stdout.splitlines():
            if line.startswith("farm_event: "):
                run.events.append(json.loads(line.removeprefix("farm_event: ")))
            elif line:
                run.lines.append(line)
        if run.code == 0:
            assert not run.of("failed")
        return run

    def delivered(self) -> list[str]:
        files = [path for path in self.output.rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self.output)) for path in files)


@pytest.fixture
def houdini(tmp_path):
    return Houdini(tmp_path)


def node(kind: str, inputs=(), locked=(), expressions=None, **parms) -> dict:
    return {
        "type": kind,
        "parms": parms,
        "inputs": list(inputs),
        "locked": list(locked),
        "expressions": expressions or {},
    }


# Frames


def test_frames_are_rendered_reported_and_delivered(houdini):
    houdini.write()
    run = houdini.render("1-3")
    assert run.code == 0, run
    assert run.of("loaded") == [
        {"event": "loaded", "width": 64, "height": 36, "engine": "ifd", "version": VERSION}
    ]
    names = [event["event"] for event in run.events]
    assert names == ["loaded", *["frame_started", "frame_written"] * 3]
    assert [event["frame"] for event in run.of("frame_written")] == [1, 2, 3]
    assert all(event["seconds"] >= 0 and event["extra"] == [] for event in run.of("frame_written"))
    assert houdini.delivered() == run.files == [f"shot.000{frame}.png" for frame in (1, 2, 3)]
    pictures = {(houdini.output / name).read_bytes() for name in run.files}
    assert len(pictures) == 3
    for name in run.files:
        check_image(houdini.output / name, name, (64, 36))
    assert not [path for path in houdini.partial.rglob("*") if path.is_file()]


def test_the_node_tells_its_progress(houdini):
    houdini.write()
    run = houdini.render("1-2")
    assert run.lines.count("ALF_PROGRESS 50%") == run.lines.count("ALF_PROGRESS 100%") == 2
    assert [line for line in run.lines if line.startswith("openjd_progress")] == [
        "openjd_progress: 50.0",
        "openjd_progress: 100.0",
    ]
    assert "RopNode.render: frame 2" in run.lines


@pytest.mark.parametrize(
    ("frames", "rendered"),
    [
        ("5", [5]),
        ("-2", [-2]),
        ("-3--1", [-3, -2, -1]),
        ("-2,1-9:4", [-2, 1, 5, 9]),
        ("3-1:-1", [3, 2, 1]),
        ("0,1001", [0, 1001]),
    ],
)
def test_frame_lists(houdini, frames, rendered):
    houdini.write()
    run = houdini.render(frames)
    assert [event["frame"] for event in run.of("frame_written")] == rendered
    assert len(houdini.delivered()) == len(rendered)


def test_a_malformed_frame_list(houdini):
    houdini.write()
    assert houdini.render("1..3").failure == "The frame list '1..3' is malformed."


# Where files go


OUTPUTS = [
    ("ifd", "vm_picture"),
    ("arnold", "ar_picture"),
    ("Redshift_ROP", "RS_outputFileNamePrefix"),
    ("ris::3.0", "ri_display_0"),
    ("vray_renderer", "SettingsOutput_img_file_path"),
    ("karma", "picture"),
    ("usdrender", "outputimage"),
]


@pytest.mark.parametrize(("kind", "parm"), OUTPUTS)
def test_each_renderer_writes_into_our_folders(houdini, kind, parm):
    houdini.write(out__r=node(kind, **{parm: "$HIP/render/a/$OS.$F3.png"}))
    run = houdini.render("1-2", "/out/r", roptype=kind)
    assert run.code == 0, run
    assert houdini.delivered() == run.files == ["r.001.png", "r.002.png"]
    assert not (houdini.scene.parent / "render").exists()


@pytest.mark.parametrize(
    ("kind", "parm", "path", "name"),
    [
        ("geometry", "sopoutput", "$HIP/geo/$HIPNAME.$F.bgeo.sc", "shot.1.bgeo.sc"),
        ("dop", "dopoutput", "$HIP/sim.$F.sim", "sim.1.sim"),
        ("alembic", "filename", "$HIP/a.$F.abc", "a.1.abc"),
    ],
)
def test_geometry(houdini, kind, parm, path, name):
    houdini.write(out__g=node(kind, **{parm: path}))
    assert houdini.render("1", "/out/g").files == [name]
    assert houdini.delivered() == [name]


@pytest.mark.parametrize(
    ("kind", "parm"), [("rop_geometry", "sopoutput"), ("filecache::2.0", "file")]
)
def test_caches_inside_geometry_networks(houdini, kind, parm):
    houdini.write(
        obj__g=node("geo"), obj__g__cache=node(kind, **{parm: "$HIP/geo/$OS.$F4.bgeo.sc"})
    )
    run = houdini.render("2-3", "/obj/g/cache", roptype=kind.partition("::")[0])
    assert run.code == 0, run
    assert houdini.delivered() == ["cache.0002.bgeo.sc", "cache.0003.bgeo.sc"]


def test_a_scene_that_exports_scene_descriptions_renders_images(houdini):
    houdini.write(out__a=node("arnold", ar_picture="$HIP/a.$F.png", ar_ass_export_enable=1))
    assert houdini.render("1", "/out/a").files == ["a.1.png"]


def test_scene_descriptions_on_request(houdini):
    houdini.write()
    disk = {"parm": "soho_outputmode", "mode": "1", "path_parm": "soho_diskfile"}
    assert houdini.render("7", disk=disk).files == ["mantra1.7.ifd"]


@pytest.mark.parametrize(
    ("disk", "names"),
    [
        ({"ext": "jpg"}, ["shot.0001.jpg"]),
        ({"ext": ".exr"}, ["shot.0001.exr"]),
        ({"path": "$HIP/elsewhere/beauty_$F2.png"}, ["beauty_01.png"]),
        ({"path": "beauty.$F.png", "ext": "tif"}, ["beauty.1.tif"]),
        ({"path": None, "ext": None, "mode": None, "parm": ""}, ["shot.0001.png"]),
    ],
)
def test_names_and_extensions_that_the_job_chooses(houdini, disk, names):
    houdini.write()
    run = houdini.render("1", disk=disk)
    assert run.files == names
    check_image(houdini.output / names[0], names[0], (64, 36))


def test_the_extension_of_geometry_is_replaced_as_one(houdini):
    houdini.write(out__g=node("geometry", sopoutput="$HIP/x.v2.$F.bgeo.sc"))
    assert houdini.render("1", "/out/g", disk={"ext": "vdb"}).files == ["x.v2.1.vdb"]


def test_the_renderer_that_the_job_chooses(houdini):
    houdini.write(out__u=node("usdrender", outputimage="$HIP/$OS.$F.png"))
    assert houdini.render("1", "/out/u", disk={"renderer": "BRAY_HdKarmaXPU"}).code == 0
    houdini.write()
    assert "has no choice of renderers" in houdini.render(disk={"renderer": "x"}).text


def test_a_name_without_frame_number_gets_one(houdini):
    houdini.write(out__m=node("ifd", vm_picture="$HIP/beauty.png"))
    run = houdini.render("1-2", "/out/m")
    assert run.files == ["beauty.0001.png", "beauty.0002.png"]
    assert "has no frame number" in run.text


@pytest.mark.parametrize("raw", ["ip", ""])
def test_a_node_that_renders_to_a_viewer_renders_to_files(houdini, raw):
    houdini.write(out__m=node("ifd", vm_picture=raw))
    run = houdini.render("1", "/out/m")
    assert run.files == ["shot.m.0001.exr"]
    assert "names no file" in run.text


def test_expressions_in_the_output_path(houdini):
    name = '`chs("/obj/g/f/file")`_$F4.png'
    houdini.write(
        obj__g=node("geo"),
        obj__g__f=node("file", file="hero"),
        out__a=node("ifd", vm_picture=f"$HIP/render/{name}"),
        out__b=node("ifd", expressions={"vm_picture": 'chs("../a/vm_picture")'}),
        out__c=node("ifd", expressions={"vm_picture": 'pythonexprs("x")'}),
        out__d=node("ifd", vm_picture="$HIP/$SUB.$F.png"),
    )
    assert houdini.render("1", "/out/a").files == ["hero_0001.png"]
    assert houdini.render("2", "/out/b").files == ["hero_0002.png"]
    assert "is an expression; give a file name" in houdini.render("1", "/out/c").failure
    assert houdini.render("3", "/out/c", disk={"path": "x.$F.png"}).files == ["x.3.png"]
    failure = houdini.render("1", "/out/d", env={"SUB": "a/b"}).failure
    assert "does not end in a plain file name" in failure


def test_a_locked_output_path(houdini):
    houdini.write(out__m=node("ifd", locked=["vm_picture"], vm_picture="$HIP/m.$F.png"))
    assert houdini.render("1", "/out/m").files == ["m.1.png"]


def test_further_images_of_a_frame_go_with_it(houdini):
    houdini.write(stand_in={"aov": "depth"})
    run = houdini.render("1-2")
    assert [event["files"] for event in run.of("frame_written")] == [
        ["shot.0001.depth.png", "shot.0001.png"],
        ["shot.0002.depth.png", "shot.0002.png"],
    ]


def test_further_images_alone_are_no_frame(houdini):
    houdini.write(stand_in={"aov": "depth", "no_beauty": 2})
    run = houdini.render("1-2")
    assert run.failure == "Frame 2 was not written."
    assert houdini.delivered() == ["shot.0001.depth.png", "shot.0001.png"]


def test_tiles_of_a_frame(houdini):
    houdini.write(out__m=node("ifd", vm_picture="$HIP/bake.%(UDIM)d.$F2.png"))
    run = houdini.render("1-2", "/out/m")
    assert [event["files"] for event in run.of("frame_written")] == [
        ["bake.1001.01.png", "bake.1002.01.png"],
        ["bake.1001.02.png", "bake.1002.02.png"],
    ]


def test_project_param_output(houdini):
    houdini.write(
        out__mantra1=node(
            "ifd", vm_picture="$HIP/m.$F.png", vm_dcmfilename="$HIP/deep/m.deep.$F.rat"
        )
    )
    run = houdini.render("4", outputs=["vm_dcmfilename"])
    (written,) = run.of("frame_written")
    assert written["files"] == ["m.4.png"]
    assert written["extra"] == ["mantra1_vm_dcmfilename/m.deep.4.rat"]
    assert houdini.delivered() == ["m.4.png", "mantra1_vm_dcmfilename/m.deep.4.rat"]
    failure = houdini.render("4", outputs=["/out/mantra1/nothing"]).failure
    assert failure == ("The scene has no parameter /out/mantra1/nothing (project_param_output).")


@pytest.mark.parametrize(
    ("patterns", "delivered"),
    [
        ([], ["shot.0001.depth.png", "shot.0001.png"]),
        (["*.png"], ["shot.0001.depth.png", "shot.0001.png"]),
        (["*.depth.*"], ["shot.0001.depth.png"]),
        (["/film/render/shot.$F4.png"], ["shot.0001.depth.png", "shot.0001.png"]),
        (["shot.####.png", "*.exr"], ["shot.0001.depth.png", "shot.0001.png"]),
        (["shot.[0-9]*[0-9].png"], ["shot.0001.png"]),
    ],
)
def test_output_upload(houdini, patterns, delivered):
    houdini.write(stand_in={"aov": "depth"})
    assert houdini.render("1", upload=patterns).files == delivered
    assert houdini.delivered() == delivered


def test_output_upload_that_selects_nothing(houdini):
    houdini.write()
    run = houdini.render("1", upload=["*.tif"])
    assert "output_upload asks for *.tif only" in run.failure
    assert run.of("failed")[0]["permanent"]
    assert houdini.delivered() == []


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        ({"path_parm": "nothing"}, "has no parameter nothing for its output path"),
        ({"parm": "nothing", "mode": 1}, "has no parameter nothing."),
        ({"path": "$HIP/folder/"}, "is a folder, not a file"),
    ],
)
def test_wrong_disk_outputs(houdini, disk, said):
    houdini.write()
    assert said in houdini.render("1", disk=disk).failure


# Simulations


def test_a_simulation_is_one_render_in_order(houdini):
    houdini.write(out__g=node("geometry", sopoutput="$HIP/geo/$OS.$F.bgeo.sc"))
    run = houdini.render("1-5:2", "/out/g", whole="true")
    assert run.code == 0, run
    names = [(event["event"], event["frame"]) for event in run.events[1:]]
    assert names == [
        (name, frame) for frame in (1, 3, 5) for name in ("frame_started", "frame_written")
    ]
    assert run.files == houdini.delivered() == [f"g.{frame}.bgeo.sc" for frame in (1, 3, 5)]
    assert run.lines.count("Finished Rendering") == 1


def test_frames_of_a_simulation_appear_while_it_goes_on(houdini):
    houdini.write(out__g=node("geometry", sopoutput="$HIP/g.$F.bgeo.sc"), stand_in={"crash_at": 3})
    run = houdini.render("1-4", "/out/g", whole="true")
    assert run.code != 0
    assert run.files == houdini.delivered() == ["g.1.bgeo.sc", "g.2.bgeo.sc"]


@pytest.mark.parametrize("orders", [{"at_end": True}, {"aov": "x"}])
def test_what_appears_at_the_end_is_reported_at_the_end(houdini, orders):
    houdini.write(out__mantra1=MANTRA, stand_in=orders)
    run = houdini.render("1-3", whole="true")
    assert run.code == 0, run
    assert [event["frame"] for event in run.of("frame_written")] == [1, 2, 3]
    assert run.files == [f"shot.000{frame}.png" for frame in (1, 2, 3)]
    extra = [name for event in run.of("frame_written") for name in event["extra"]]
    assert sorted([*run.files, *extra]) == houdini.delivered()


def test_one_file_for_all_frames(houdini):
    houdini.write(out__a=node("alembic", filename="$HIP/$OS.abc"))
    run = houdini.render("1-3", "/out/a", whole="true")
    assert [event["files"] for event in run.of("frame_written")] == [[], [], ["a.abc"]]
    assert houdini.delivered() == ["a.abc"]


def test_a_file_cache_as_a_whole(houdini):
    houdini.write(obj__g=node("geo"), obj__g__c=node("filecache::2.0", file="$HIP/c.$F.bgeo.sc"))
    run = houdini.render("1-2", "/obj/g/c", whole="true")
    assert run.files == houdini.delivered() == ["c.1.bgeo.sc", "c.2.bgeo.sc"]


@pytest.mark.parametrize("frames", ["1,3,4", "3-1:-1", "1-3,2"])
def test_a_simulation_of_anything_but_a_range(houdini, frames):
    houdini.write()
    run = houdini.render(frames, whole="true")
    assert "must be a single rising range" in run.failure
    assert run.of("failed")[0]["permanent"]


def test_gaps_in_a_simulation(houdini):
    houdini.write(out__g=node("geometry", sopoutput="$HIP/g.$F.bgeo.sc"), stand_in={"lie_at": 2})
    run = houdini.render("1-4", "/out/g", whole="true")
    assert run.failure == "Frame 2 was not written."
    assert run.files == ["g.1.bgeo.sc", "g.3.bgeo.sc", "g.4.bgeo.sc"]


def test_output_upload_that_selects_nothing_of_a_simulation(houdini):
    houdini.write()
    run = houdini.render("1-3", whole="true", upload=["*.tif"])
    assert "output_upload asks for *.tif only" in run.failure
    assert houdini.delivered() == []


# Takes, parameters, environment


TAKES = {"wide": {"/obj/cam1/resx": 128, "/out/mantra1/vm_picture": "$HIP/wide/wide.$F4.png"}}


def test_takes(houdini):
    houdini.write(takes=TAKES)
    run = houdini.render("1", take="wide")
    assert run.of("loaded")[0]["width"] == 128
    assert run.files == houdini.delivered() == ["wide.0001.png"]
    check_image(houdini.output / "wide.0001.png", "wide.0001.png", (128, 36))
    assert houdini.render("1", take="Main").files == ["shot.0001.png"]


def test_the_nodes_own_take(houdini):
    houdini.write(takes=TAKES, out__mantra1=node("ifd", vm_picture="$HIP/m.$F4.png", take="wide"))
    assert houdini.render("1").files == ["wide.0001.png"]
    assert houdini.render("1", take="Main").files == ["m.0001.png"]


def test_an_unknown_take(houdini):
    houdini.write(takes=TAKES)
    run = houdini.render("1", take="tall")
    assert run.failure == "The scene has no take 'tall'. It has: Main, wide."
    assert run.of("failed")[0]["permanent"]


def test_parameters(houdini):
    houdini.write()
    parms = {"/obj/cam1/resx": 100, "/obj/cam1/res": [80, 40], "vm_samplesx": 9}
    run = houdini.render("1", parms=parms)
    loaded = run.of("loaded")[0]
    assert (loaded["width"], loaded["height"]) == (80, 40)
    check_image(houdini.output / run.files[0], "it", (80, 40))


def test_parameters_that_override_the_resolution(houdini):
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
        ({"/obj/cam1/nothing": 1}, "no parameter /obj/cam1/nothing that could be 1"),
        ({"nothing": "x"}, "no parameter /out/mantra1/nothing that could be 'x'"),
        ({"/obj/cam1/res": [1, 2, 3]}, "no parameter /obj/cam1/res that could be [1, 2, 3]"),
        ({"/obj/cam1/resx": "wide"}, "The parameter /obj/cam1/resx cannot be set to 'wide'"),
        ({"vm_picture": 5}, "The parameter /out/mantra1/vm_picture cannot be set to 5"),
    ],
)
def test_wrong_parameters(houdini, parms, said):
    houdini.write()
    assert said in houdini.render("1", parms=parms).failure


def test_environment(houdini):
    houdini.write(
        variables={"SHOT": "of_the_scene"},
        out__mantra1=node("ifd", vm_picture="$JOB/$SHOT.$F4.png"),
    )
    assert houdini.render("1").files == ["of_the_scene.0001.png"]
    assert houdini.render("1", env={"SHOT": "sh010"}).files == ["sh010.0001.png"]


def test_environment_that_is_not_the_jobs_to_set(houdini):
    houdini.write(out__mantra1=node("ifd", vm_picture="$HIPNAME.$F4.png"))
    run = houdini.render("1", env={"HIPNAME": "x", "HOUDINI_PATH": "/film", "PATH": "/film"})
    assert run.files == ["shot.0001.png"]
    assert run.text.count("is set by the farm itself") == 2
    assert run.text.count("Houdini reads HOUDINI_PATH when it starts") == 1
    assert "not a name of an environment" in houdini.render("1", env={"A B": 1}).failure


def test_remote_paths_become_local_ones(houdini):
    (houdini.project / "film" / "hero.bgeo").touch()
    houdini.write(
        obj__g=node("geo"),
        obj__g__a=node("file", file="$TEX/hero.bgeo"),
        obj__g__b=node("file"),
        out__mantra1=MANTRA,
    )
    run = houdini.render("1", env={"TEX": "/film"}, parms={"/obj/g/b/file": "/film/hero.bgeo"})
    assert "missing" not in run.text
    assert "refers to 2 files that are missing: $TEX/hero.bgeo, /other/x" in (
        houdini.render("1", parms={"/obj/g/b/file": "/other/x"}).text
    )


def test_gpu(houdini):
    houdini.write(out__k=node("karma", picture='$HIP/`chs("engine")`.$F.png'))
    assert houdini.render("1", "/out/k").files == ["cpu.1.png"]
    assert houdini.render("1", "/out/k", gpu="true").files == ["xpu.1.png"]


# What the scene lacks


def test_missing_nodes(houdini):
    houdini.write(out__a=node("ifd"), out__b=node("geometry"), out__m=node("merge"))
    listed = "Its render nodes are: /out/a (ifd), /out/b (geometry)."
    run = houdini.render("1", "/out/x")
    assert run.failure == f"The scene has no node /out/x. {listed}"
    assert run.of("failed")[0]["permanent"]
    assert houdini.render("1", "/out/a", roptype="karma").failure == (
        f"The node /out/a is of type ifd, not karma. {listed}"
    )
    assert "does not render anything" in houdini.render("1", "/obj/cam1").failure
    assert "rop_nodepath must name one" in houdini.render("1", "").failure
    assert "disk_output_path_parm" in houdini.render("1", "/out/m").failure


def test_the_only_node_of_a_type_need_not_be_named(houdini):
    houdini.write(out__a=node("ris::3.0", ri_display_0="a.$F.png"), out__b=node("geometry"))
    assert houdini.render("1", "", roptype="ris").files == ["a.1.png"]


def test_inputs_are_not_rendered(houdini):
    houdini.write(
        out__g=node("geometry", sopoutput="$HIP/g.$F.bgeo.sc"),
        out__mantra1=node("ifd", inputs=["/out/g"], vm_picture="$HIP/m.$F.png"),
    )
    run = houdini.render("1")
    assert run.files == ["m.1.png"]
    assert "are jobs of their own" in run.text
    assert not list(houdini.project.rglob("*.bgeo.sc"))


def test_missing_inputs_are_warnings(houdini):
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
    warning = "Warning: The scene refers to a file that is missing: film/gone.0012.bgeo."
    assert warning in run.lines


def test_scenes_that_do_not_open(houdini):
    houdini.scene.write_text("not a scene")
    run = houdini.render("1")
    assert run.failure.startswith(f"Houdini {VERSION} cannot open film/shot.hip: ")
    assert run.of("failed")[0]["permanent"]
    houdini.scene.unlink()
    assert houdini.render("1").failure == "The scene film/shot.hip is missing."


def test_load_warnings_are_printed(houdini):
    houdini.write(warnings=["Bad parameter found: x", "Old asset definition"])
    run = houdini.render("1")
    assert run.code == 0
    assert "Warning: Bad parameter found: x" in run.lines
    assert "Warning: Old asset definition" in run.lines


# Failures while rendering


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        ({"fail_at": 3}, "Houdini could not render: Error generating frame 3"),
        ({"lie_at": 3}, "Frame 3 was not written."),
        ({"error_at": 3}, "Frame 3 was not written (Cook error in input: /obj/geo1)."),
    ],
)
def test_a_frame_that_fails(houdini, orders, said):
    houdini.write(stand_in=orders)
    run = houdini.render("1-4")
    assert run.failure.startswith(said)
    assert run.code == 3
    assert not run.of("failed")[0]["permanent"]
    assert houdini.delivered() == ["shot.0001.png", "shot.0002.png"]


def test_a_crash(houdini):
    houdini.write(stand_in={"crash_at": 2})
    run = houdini.render("1-3")
    assert run.code in (-11, 139)
    assert run.of("failed") == []
    assert houdini.delivered() == ["shot.0001.png"]


@pytest.mark.parametrize("order", ["truncate", "wrong_size"])
def test_bad_files_are_the_runners_to_find(houdini, order):
    houdini.write(stand_in={order: 1})
    (name,) = houdini.render("1").files
    with pytest.raises(OutputError):
        check_image(houdini.output / name, name, (64, 36))


def test_no_licence_to_render(houdini):
    houdini.write(stand_in={"licence": True})
    run = houdini.render("1")
    assert "No licenses could be found to run this application." in run.lines
    assert "Please check for a valid license server host" in run.lines
    assert run.failure.startswith("Houdini has no licence: No licenses could be found")
    assert not run.of("failed")[0]["permanent"]


def test_no_licence_to_start(houdini):
    houdini.licensed = False
    houdini.write()
    run = houdini.render("1")
    assert run.code != 0
    assert "No licenses could be found to run this application." in run.lines


@pytest.mark.parametrize(
    ("order", "line"),
    [("licence", "License error"), ("no_devices", "No devices found. Aborting rendering.")],
)
def test_redshift_failures_stay_visible(houdini, order, line):
    houdini.write(
        out__r=node("Redshift_ROP", RS_outputFileNamePrefix="$F.png"), stand_in={order: True}
    )
    run = houdini.render("1", "/out/r")
    assert run.failure
    assert any(text.startswith(line) for text in run.lines)


def test_it_ends_with_its_runner(houdini):
    """A process that starts hython and ends leaves no hython behind, not even a hanging one."""
    houdini.write(stand_in={"hang_at": 2})
    command = houdini.command("1-3", "/out/mantra1", {})
    command = [word for word in command if not word.startswith("--parent")]
    runner = f"""
import os, subprocess, sys
hython = subprocess.Popen({command!r} + [f"--parent={{os.getpid()}}"], stdout=subprocess.PIPE)
for line in hython.stdout:
    if b"RopNode.render: frame 2" in line:
        break
print(hython.pid)
"""
    # The pipe that is passed on closes when hython, its last holder, has ended.
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", runner.replace("stdout=", f"pass_fds=[{writing}], stdout=")],
        pass_fds=[writing],
        check=True,
        capture_output=True,
        timeout=60,
    )
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert done.stdout.strip().isdigit()


@pytest.mark.parametrize("version", ["3.7", "3.9", "3.10"])
def test_each_python_of_houdini(houdini, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"There is no Python {version} here.")
    houdini.python = str(python)
    houdini.write(takes=TAKES)
    run = houdini.render("1-2", take="wide", env={"A": "b"}, upload=["*.png"], whole="true")
    assert run.code == 0, run
    assert run.files == ["wide.0001.png", "wide.0002.png"]
