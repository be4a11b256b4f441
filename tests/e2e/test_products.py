"""A job of each product, from the client library to files on the artist's disk.

The programs are the farm's own strict stand-ins, where they are not the real ones.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from gridmarkets import Job, Project, WatchFile
from messages import says
from stand_ins import install
from stand_ins.scenes import write_scene
from stand_ins_houdini import install as install_houdini

from .conftest import Studio, a_studio

PRODUCTS = ("nuke", "maya", "c4d", "vray")
HIP = {
    "nodes": {
        "/out/mantra1": {
            "type": "ifd",
            "parms": {
                "vm_picture": "$HIP/render/$SHOT.$F4.png",
                "vm_dcmfilename": "$HIP/render/deep.$F4.exr",
            },
        },
        "/out/cache": {"type": "geometry", "parms": {"sopoutput": "$HIP/geo/smoke.$F4.bgeo.sc"}},
        "/out/wires": {"type": "geometry", "parms": {"sopoutput": "$HIP/geo/wires.$F4.bgeo.sc"}},
        "/obj/cam1": {"type": "cam", "parms": {"resx": 64, "resy": 36}},
    }
}


ARNOLD: dict[str, Any] = {"renderer": "arnold", "plugins": ["mtoa"]}
ARNOLD_IS_A_MODULE = """case "$* in $MAYA_MODULE_PATH" in
*"-r arnold"*" in "*/mtoa*) ;;
*"-r arnold"*) echo "Error: There is no renderer arnold."; exit 1 ;;
esac
exec """


@pytest.fixture
def studio_with_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """A studio whose farm has a program of every product."""
    programs = {name: str(path) for name, path in install(tmp_path / "bin", *PRODUCTS).items()}
    (tmp_path / "mtoa").mkdir()
    (tmp_path / "mtoa" / "mtoa.mod").write_text("+ mtoa 5.4.1 any\n")
    monkeypatch.setenv("MTOA_PATH", str(tmp_path / "mtoa"))
    render = Path(programs["maya"])
    render.write_text(render.read_text().replace("exec ", ARNOLD_IS_A_MODULE, 1))
    programs["hou"] = str(install_houdini(tmp_path / "houdini")["hython"])
    monkeypatch.setenv("FARM_PROGRAMS", json.dumps(programs))
    # The stand-ins are scripts of this repository, which no sandbox shows.
    monkeypatch.setenv("FARM_SANDBOX", "off")
    yield from a_studio(tmp_path)


def job(app: str, scene: str, operation: str = "render", **params: Any) -> Job:
    name = app if operation == "render" else operation
    return Job(name, app, "", operation, f"show/{scene}", frames="1 2", **params)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on PATH")
def test_a_job_of_each_product(studio_with_everything: Studio) -> None:
    studio = studio_with_everything
    folder = studio.folder / "show"
    folder.mkdir()
    for product in PRODUCTS:
        scene = write_scene(folder, product)
        if product == "nuke":
            (folder / "comp.nk").write_text(scene.read_text().replace("a.%04d", "comp.%04d"))
    (folder / "scene.hip").write_text(json.dumps(HIP))
    (folder / "scene.usda").write_text("#usda 1.0\n")

    client = studio.client()
    resolver = client.get_product_resolver()
    known = set(resolver.get_all_types(False))
    assert known >= {"blender", "ffmpeg", "hou", *PRODUCTS}
    assert client.get_machines("nuke", "render")
    assert client.get_machines("maya", "render", plugins=["mtoa"])

    project = Project(
        str(folder),
        submission_name="s",
        project_env={"SHOT": "hip"},
        project_param={"/obj/cam1/resx": 48},
        project_param_output=["/out/mantra1/vm_dcmfilename"],
    )
    project.add_files(project.LocalRoot, project.RemoteRoot)
    project.add_watch_files(WatchFile(f"{project.remote_output_folder}/.+", str(studio.results)))
    film = Job(
        "film",
        "ffmpeg",
        "",
        "transcode",
        f"{project.remote_output_folder}/c4d_####.png",
        frame_rate="24",
        output_prefix="film",
    )
    c4d = job("c4d", "scene.c4d", output_prefix="c4d_", output_format="png")
    film.add_dependencies(c4d)
    project.add_jobs(
        c4d,
        film,
        job("maya", "scene.ma", **ARNOLD, output_prefix="maya_", output_format="exr"),
        job("vray", "scene.vrscene", output_prefix="vray_", output_format="exr"),
        job("nuke", "scene.nk", write_nodes="Write1"),
        job("nuke", "comp.nk", "composite", write_nodes="Write1"),
        job("hou", "scene.hip", rop_nodepath="/out/mantra1", output_upload=["hip.$F4.*"]),
        Job(
            "usd",
            "hou",
            "",
            "render",
            "show/scene.usda",
            frames="1 2",
            disk_output_path="usd.$F4.png",
        ),
        job("hou", "scene.hip", "sim", rop_nodepath="/out/cache"),
        job("hou", "scene.hip", "batch", rop_nodepath="/out/wires"),
    )
    told = client.wait_for_project(client.submit_project(project))
    assert {each["name"]: each["state"] for each in told["jobs"]} == dict.fromkeys(
        ("c4d", "film", "maya", "vray", "nuke", "composite", "hou", "usd", "sim", "batch"),
        "completed",
    ), told
    frames = [
        f"{stem}{frame:04d}.{suffix}"
        for stem, suffix in (
            *(("a.", "png"), ("comp.", "png"), ("c4d_", "png"), ("hip.", "png"), ("usd.", "png")),
            *(("smoke.", "bgeo.sc"), ("wires.", "bgeo.sc")),
        )
        for frame in (1, 2)
    ]
    frames += [f"{stem}_{frame:04d}.exr" for stem in ("maya", "vray") for frame in (1, 2)]
    assert [path.name for path in studio.frames()] == sorted([*frames, "film.mp4"])
    picture = oiio.ImageInput.open(str(studio.results / "hip.0001.png"))
    assert picture is not None
    assert (picture.spec().width, picture.spec().height) == (48, 36)
    assert images_of(studio.results / "film.mp4") == 2


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on PATH")
def test_a_film_of_what_was_rendered_the_day_before(studio_with_everything: Studio) -> None:
    studio = studio_with_everything
    folder = studio.folder / "show"
    folder.mkdir()
    write_scene(folder, "c4d")
    client = studio.client()
    monday = Project(str(folder), submission_name="monday")
    monday.add_files(monday.LocalRoot, monday.RemoteRoot)
    monday.add_jobs(job("c4d", "scene.c4d", output_prefix="c4d_", output_format="png"))
    told = client.wait_for_project(client.submit_project(monday))
    assert [each["state"] for each in told["jobs"]] == ["completed"], told

    tuesday = Project(str(folder), submission_name="tuesday")
    images = f"{monday.remote_output_folder}/c4d_####.png"
    tuesday.add_jobs(Job("film", "ffmpeg", "", "transcode", images, output_prefix="film"))
    tuesday.add_watch_files(WatchFile(f"{tuesday.remote_output_folder}/.+", str(studio.results)))
    told = client.wait_for_project(client.submit_project(tuesday, skip_upload=True))
    assert [each["state"] for each in told["jobs"]] == ["completed"], told
    assert images_of(studio.results / "film.mp4") == 2


def images_of(film: Path) -> int:
    """Return how many images a film has."""
    counted = subprocess.run(
        [
            *("ffprobe", "-v", "error", "-count_frames", "-select_streams", "v"),
            *("-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"),
            str(film),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(counted.stdout.strip().rstrip(","))


def test_no_job_replaces_a_file_of_another(studio_with_everything: Studio) -> None:
    studio = studio_with_everything
    folder = studio.folder / "show"
    folder.mkdir()
    text = write_scene(folder, "nuke").read_text()
    (folder / "large.nk").write_text(
        text.replace('format "32 24 0 0 32 24', 'format "64 48 0 0 64 48')
    )
    project = Project(str(folder), submission_name="s")
    project.add_files(project.LocalRoot, project.RemoteRoot)
    project.add_watch_files(WatchFile(f"{project.remote_output_folder}/.+", str(studio.results)))
    for name in ("scene", "large"):
        scene = f"show/{name}.nk"
        params = {"frames": "1 2", "write_nodes": "Write1"}
        project.add_jobs(Job(name, "nuke", "", "render", scene, instances=1, **params))
    client = studio.client()
    told = client.wait_for_project(client.submit_project(project))
    first, late = sorted(told["jobs"], key=lambda each: each["state"])
    assert (first["state"], late["state"]) == ("completed", "failed"), told
    assert says(late["message"], "file-written-by-another-job", first["name"])
    assert "'a.000" in late["message"]
    widths = {oiio.ImageBuf(str(path)).spec().width for path in studio.frames()}
    assert widths == {{"scene": 32, "large": 64}[first["name"]]}
    assert [path.name for path in studio.frames()] == ["a.0001.png", "a.0002.png"]
