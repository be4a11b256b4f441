"""Houdini's render.py: which frames it renders, and where their files go."""

from typing import Any

import pytest
from farm.runner.results.image_check import examine
from messages import saying, says
from stand_ins_houdini import VERSION

from .houdini_rig import Houdini, node

# Frames


def test_frames_are_rendered_reported_and_delivered(houdini: Houdini) -> None:
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
        examine(houdini.output / name, name, (64, 36))
    assert not [path for path in houdini.partial.rglob("*") if path.is_file()]


def test_the_node_tells_its_progress(houdini: Houdini) -> None:
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
def test_frame_lists(houdini: Houdini, frames: str, rendered: list[int]) -> None:
    houdini.write()
    run = houdini.render(frames)
    assert [event["frame"] for event in run.of("frame_written")] == rendered
    assert len(houdini.delivered()) == len(rendered)


def test_a_malformed_frame_list(houdini: Houdini) -> None:
    houdini.write()
    assert houdini.render("1..3").failure == saying("frame-list-malformed", "1..3")


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
def test_each_renderer_writes_into_our_folders(houdini: Houdini, kind: str, parm: str) -> None:
    parms: dict[str, Any] = {parm: "$HIP/render/a/$OS.$F3.png"}
    houdini.write(out__r=node(kind, **parms))
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
def test_geometry(houdini: Houdini, kind: str, parm: str, path: str, name: str) -> None:
    parms: dict[str, Any] = {parm: path}
    houdini.write(out__g=node(kind, **parms))
    assert houdini.render("1", "/out/g").files == [name]
    assert houdini.delivered() == [name]


@pytest.mark.parametrize(
    ("kind", "parm"), [("rop_geometry", "sopoutput"), ("filecache::2.0", "file")]
)
def test_caches_inside_geometry_networks(houdini: Houdini, kind: str, parm: str) -> None:
    parms: dict[str, Any] = {parm: "$HIP/geo/$OS.$F4.bgeo.sc"}
    houdini.write(obj__g=node("geo"), obj__g__cache=node(kind, **parms))
    run = houdini.render("2-3", "/obj/g/cache", roptype=kind.partition("::")[0])
    assert run.code == 0, run
    assert houdini.delivered() == ["cache.0002.bgeo.sc", "cache.0003.bgeo.sc"]


def test_a_scene_that_exports_scene_descriptions_renders_images(houdini: Houdini) -> None:
    houdini.write(out__a=node("arnold", ar_picture="$HIP/a.$F.png", ar_ass_export_enable=1))
    assert houdini.render("1", "/out/a").files == ["a.1.png"]


def test_scene_descriptions_on_request(houdini: Houdini) -> None:
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
def test_names_and_extensions_that_the_job_chooses(
    houdini: Houdini, disk: dict[str, object], names: list[str]
) -> None:
    houdini.write()
    run = houdini.render("1", disk=disk)
    assert run.files == names
    examine(houdini.output / names[0], names[0], (64, 36))


def test_the_extension_of_geometry_is_replaced_as_one(houdini: Houdini) -> None:
    houdini.write(out__g=node("geometry", sopoutput="$HIP/x.v2.$F.bgeo.sc"))
    assert houdini.render("1", "/out/g", disk={"ext": "vdb"}).files == ["x.v2.1.vdb"]


def test_the_renderer_that_the_job_chooses(houdini: Houdini) -> None:
    houdini.write(out__u=node("usdrender", outputimage="$HIP/$OS.$F.png"))
    assert houdini.render("1", "/out/u", disk={"renderer": "BRAY_HdKarmaXPU"}).code == 0
    houdini.write()
    assert says(houdini.render(disk={"renderer": "x"}).text, "node-no-choice-renderers")


def test_a_name_without_frame_number_gets_one(houdini: Houdini) -> None:
    houdini.write(out__m=node("ifd", vm_picture="$HIP/beauty.png"))
    run = houdini.render("1-2", "/out/m")
    assert run.files == ["beauty.0001.png", "beauty.0002.png"]
    assert says(run.text, "output-no-frame-number-becomes")


@pytest.mark.parametrize("raw", ["ip", ""])
def test_a_node_that_renders_to_a_viewer_renders_to_files(houdini: Houdini, raw: str) -> None:
    houdini.write(out__m=node("ifd", vm_picture=raw))
    run = houdini.render("1", "/out/m")
    assert run.files == ["shot.m.0001.exr"]
    assert says(run.text, "names-no-file-rendering", "/out/m/vm_picture", "$HIPNAME.$OS.$F4.exr")


def test_expressions_in_the_output_path(houdini: Houdini) -> None:
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
    assert says(houdini.render("1", "/out/c").failure, "output-path-expression-give-file")
    assert houdini.render("3", "/out/c", disk={"path": "x.$F.png"}).files == ["x.3.png"]
    failure = houdini.render("1", "/out/d", env={"SUB": "a/b"}).failure
    assert says(failure, "output-path-does-not-end")


def test_a_locked_output_path(houdini: Houdini) -> None:
    houdini.write(out__m=node("ifd", locked=["vm_picture"], vm_picture="$HIP/m.$F.png"))
    assert houdini.render("1", "/out/m").files == ["m.1.png"]


def test_further_images_of_a_frame_go_with_it(houdini: Houdini) -> None:
    houdini.write(stand_in={"aov": "depth"})
    run = houdini.render("1-2")
    assert [event["files"] for event in run.of("frame_written")] == [
        ["shot.0001.depth.png", "shot.0001.png"],
        ["shot.0002.depth.png", "shot.0002.png"],
    ]


def test_further_images_alone_are_no_frame(houdini: Houdini) -> None:
    houdini.write(stand_in={"aov": "depth", "no_beauty": 2})
    run = houdini.render("1-2")
    assert says(run.failure, "frame-not-written", 2)
    assert houdini.delivered() == ["shot.0001.depth.png", "shot.0001.png"]


def test_tiles_of_a_frame(houdini: Houdini) -> None:
    houdini.write(out__m=node("ifd", vm_picture="$HIP/bake.%(UDIM)d.$F2.png"))
    run = houdini.render("1-2", "/out/m")
    assert [event["files"] for event in run.of("frame_written")] == [
        ["bake.1001.01.png", "bake.1002.01.png"],
        ["bake.1001.02.png", "bake.1002.02.png"],
    ]


def test_project_param_output(houdini: Houdini) -> None:
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
    assert failure == saying("scene-no-parameter-project-param", "/out/mantra1/nothing")


@pytest.mark.parametrize(
    ("patterns", "delivered"),
    [
        ([], ["shot.0001.depth.png", "shot.0001.png"]),
        (["", " "], ["shot.0001.depth.png", "shot.0001.png"]),
        (["", "*.depth.*"], ["shot.0001.depth.png"]),
        (["*.png"], ["shot.0001.depth.png", "shot.0001.png"]),
        (["*.depth.*"], ["shot.0001.depth.png"]),
        (["/film/render/shot.$F4.png"], ["shot.0001.depth.png", "shot.0001.png"]),
        (["shot.####.png", "*.exr"], ["shot.0001.depth.png", "shot.0001.png"]),
        (["shot.[0-9]*[0-9].png"], ["shot.0001.png"]),
    ],
)
def test_output_upload(houdini: Houdini, patterns: list[str], delivered: list[str]) -> None:
    houdini.write(stand_in={"aov": "depth"})
    assert houdini.render("1", upload=patterns).files == delivered
    assert houdini.delivered() == delivered


def test_output_upload_that_selects_nothing(houdini: Houdini) -> None:
    houdini.write()
    run = houdini.render("1", upload=["*.tif"])
    assert says(run.failure, "render-writes-but-output-upload", "*.tif")
    assert run.of("failed")[0]["permanent"]
    assert houdini.delivered() == []


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        ({"path_parm": "nothing"}, saying("node-no-parameter-output-path", "nothing")),
        ({"parm": "nothing", "mode": 1}, saying("node-no-parameter", "nothing")),
        ({"path": "$HIP/folder/"}, saying("output-path-folder-not-file")),
    ],
)
def test_wrong_disk_outputs(houdini: Houdini, disk: dict[str, object], said: saying) -> None:
    houdini.write()
    assert houdini.render("1", disk=disk).failure == said
