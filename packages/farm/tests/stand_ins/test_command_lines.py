"""Each stand-in's own grammar: what it takes, what becomes of it, what it refuses."""

import shlex
import subprocess
from pathlib import Path

import OpenImageIO as oiio
import pytest

from stand_ins.scenes import images, write_scene

from .conftest import Run

# They test what other tests use; those notice soon when it is broken.
pytestmark = pytest.mark.long

TIFF = "Write {\n file [value root.name].%d.tif\n name T\n}\n"
FOLDERLESS = "Write {\n file nowhere/a.%04d.png\n name W\n}\n"
GROUP = "Group {\n name G\n}\n Write {\n  file out/g.%04d.png\n  name W\n }\nend_group\n"
CAMERA = 'createNode camera -n "sideShape" -p "side";\n'
LAYER = 'createNode renderLayer -n "beauty";\n'
MAYA = "-r arnold -rd out -im a"
OUTPUT = "image = out/a\nframes = 0 1 1\nformat = JPG\n"
C4D = "-nogui -render scene.c4d -oformat PNG"
VRAY = "-sceneFile=scene.vrscene -display=0"

TAKEN = [
    # product, command line, what else the scene says, images
    (
        "nuke",
        "-F 1-5x2 -F 9 -X Write1 scene.nk",
        "",
        "out/a.0001.png out/a.0003.png out/a.0005.png out/a.0009.png",
    ),
    ("nuke", "-F -2--1 -X Write1 -x scene.nk", "", "out/a.-001.png out/a.-002.png"),
    ("nuke", "-F 1 -F 1-1 -X Write1,Write2 -c 2G -i scene.nk", "", "out/a.0001.png out/b.0001.exr"),
    ("nuke", "-X Write2 -F 1 scene.nk", "", "out/b.0001.exr"),
    ("nuke", "-x -F 7 scene.nk", TIFF, "out/a.0007.png out/b.0007.exr scene.nk.7.tif"),
    ("nuke", "-F 1 -X G.W scene.nk", GROUP, "out/g.0001.png"),
    ("maya", f"{MAYA} -of jpeg -s 2 -e 3 -fnc name_#.ext scene.ma", "", "out/a_2.jpg out/a_3.jpg"),
    ("maya", f"{MAYA} -of tif -s 9 -fnc 3 -pad 3 scene.ma", "", "out/a.009.tif out/a.010.tif"),
    (
        "maya",
        f"{MAYA} -of png -e 7 -b 3 -fnc name#.ext scene.ma",
        "",
        "out/a1.png out/a4.png out/a7.png",
    ),
    ("maya", f"{MAYA} -of exr scene.ma", "", "out/a.exr"),
    ("maya", f"{MAYA} -s 1 -e 2 -fnc name.ext scene.ma", "", "out/a.exr"),
    ("maya", "-r file -proj out scene.ma", "", "out/images/scene.exr"),
    ("maya", "-cam closeShape -im <Camera>/<Scene> scene.ma", "", "images/close/scene.exr"),
    ("maya", f"{MAYA} scene.ma", CAMERA, "out/persp/a.exr out/side/a.exr"),
    ("maya", f"{MAYA} scene.ma", LAYER, "out/beauty/a.exr out/masterLayer/a.exr"),
    ("maya", f"{MAYA} -rl beauty scene.ma", LAYER, "out/beauty/a.exr"),
    ("maya", f"{MAYA} -rl off scene.ma", LAYER, "out/masterLayer/a.exr"),
    ("maya", "-r sw -rd out -of iff -im a scene.ma", "", "out/a.iff"),
    ("c4d", f"{C4D} -frame 4 -oimage out/a", "", "out/a0004.png"),
    (
        "c4d",
        f"{C4D} -frame 1 9 4 -oimage out/a -take close",
        "",
        "out/a0001.png out/a0005.png out/a0009.png",
    ),
    ("c4d", f"{C4D} -frame 2 -oimage out/v2", "", "out/v2_0002.png"),
    ("c4d", f"{C4D} -frame 2 -omultipass out/m", "", "out/m_diffuse0002.png"),
    ("c4d", "-render scene.c4d", OUTPUT, "out/a0000.jpg out/a0001.jpg"),
    (
        "vray",
        f"{VRAY} -imgFile=out/a.png '-frames=1-5,4;20'",
        "",
        "out/a.0001.png out/a.0005.png out/a.0020.png",
    ),
    ("vray", f"{VRAY} -imgFile=out/a.png -frames=-2--1", "", "out/a.-001.png out/a.-002.png"),
    ("vray", f"{VRAY} -imgFile=out/a.png -frames=5 -noFrameNumbers=1", "", "out/a.png"),
    ("vray", f"{VRAY}", "", "scene.png"),
    ("vray", f"{VRAY} -ImgFile=out/a.png -verboseLevel=1", "", "scene.png"),
    ("vray", f"{VRAY} -parameterOverride=output.img_file=out/o.png", "", "out/o.png"),
    ("vray", f"{VRAY} -parameterOverride=SettingsOutput::img_file=out/o.png", "", "out/o.png"),
    ("vray", f"{VRAY} -rtEngine=5 -camera=view@cam", "", "scene.png"),
]
REFUSED = [
    # product, command line, what else the scene says, exit code, text
    ("nuke", "-F 1-3 scene.nk", "", 1, "display"),
    ("nuke", "-F 1,3 -x scene.nk", "", 1, "bad value for -F"),
    ("nuke", "-F 3-1 -x scene.nk", "", 1, "bad frame range"),
    ("nuke", "-F 1-3x0 -x scene.nk", "", 1, "bad frame range"),
    ("nuke", "-x -F", "", 1, "bad value for -F"),
    ("nuke", "-x", "", 1, "one script"),
    ("nuke", "-x scene.nk -F 1", "", 1, "one script"),
    ("nuke", "-x -V 9 scene.nk", "", 1, "bad value for -V"),
    ("nuke", "-x -m many scene.nk", "", 1, "bad value for -m"),
    ("nuke", "-x --frames 1 scene.nk", "", 1, "unknown option"),
    ("nuke", "-t -x scene.nk", "", 1, "SyntaxError"),
    ("nuke", "-x missing.nk", "", 1, "ERROR: missing.nk: can't open"),
    ("nuke", "-X Write9 scene.nk", "", 1, "ERROR: Write9"),
    ("nuke", "-X Disabled scene.nk", "", 1, "no active Write operators"),
    ("nuke", "-F 1 -X W scene.nk", FOLDERLESS, 1, "ERROR: W: nowhere/a.0001.png: No such file"),
    ("nuke", "-F 1 -X W scene.nk", "Write {\n file a.mov\n name W\n}\n", 1, "unknown file type"),
    ("nuke", "-F 1 -X W scene.nk", "Write {\n name W\n}\n", 1, "file name is empty"),
    ("nuke", "-F 1 -X W scene.nk", "Write {\n file [exec ls]\n name W\n}\n", 1, "command name"),
    ("nuke", "-x scene.nk", "Blur {\n size 2\n", 1, "ERROR: scene.nk: missing close-brace"),
    ("nuke", "-x scene.nk", "blur me\n", 1, "blur: unknown command"),
    ("nuke", "-F 1 -X W scene.nk", GROUP, 1, "ERROR: W: no such node"),
    ("nuke", "-x scene.nk", "end_group\n", 1, "end_group: unknown command"),
    ("maya", "scene.ma -r arnold", "", 1, "Usage: Render"),
    ("maya", "", "", 1, "Usage: Render"),
    ("maya", "-r mentalray scene.ma", "", 1, "Cannot find the renderer"),
    ("maya", "-frames 1 scene.ma", "", 1, "unknown option -frames"),
    ("maya", "-r sw -ai:lve 1 scene.ma", "", 1, "unknown option -ai:lve"),
    ("maya", "-x wide scene.ma", "", 1, "bad value for -x"),
    ("maya", "-s 1.5 scene.ma", "", 1, "bad value for -s"),
    ("maya", "missing.ma", "", 210, "File not found"),
    ("maya", "-proj missing scene.ma", "", 210, "failed to render"),
    ("maya", "-cam nobody scene.ma", "", 210, "Camera nobody does not exist."),
    ("maya", "-rl nothing scene.ma", "", 210, "Render layer nothing does not exist"),
    ("maya", "-of PNG scene.ma", "", 210, "Image format PNG"),
    ("maya", "-r redshift -of iff scene.ma", "", 210, "Image format iff"),
    ("maya", "-fnc frame.ext scene.ma", "", 210, "File name convention"),
    ("maya", "-rd scene.ma/x scene.ma", "", 210, "(kFailure)"),
    ("maya", "scene.ma", 'setAttr "perspShape.rnd" no;\n', 210, "No renderable camera"),
    ("maya", "scene.ma", 'setAttr "defaultRenderGlobals.ren" "x";\n', 210, "not available"),
    ("maya", "scene.ma", 'setAttr ".a" "open;\n', 210, "Unterminated string"),
    ("maya", "scene.ma", "createNode transform", 210, "Syntax error"),
    ("c4d", "", "", 1, "usage: Commandline"),
    ("c4d", f"{C4D} -oimage out/a -frames 1 3", "", 1, "Bad argument: -frames"),
    ("c4d", f"{C4D} -oimage out/a -frame 3 1", "", 1, "Bad argument: -frame 3 1"),
    ("c4d", f"{C4D} -oimage out/a -frame", "", 1, "Bad argument: -frame"),
    ("c4d", f"{C4D} -oimage out/a -oresolution 64", "", 1, "Bad argument: -oresolution"),
    ("c4d", f"{C4D} -oimage out/a -take far", "", 1, "Error rendering project"),
    ("c4d", f"{C4D} -oimage out/a -oformat PSD", "", 1, "Unable to write file"),
    ("c4d", f"{C4D} -oimage out/a -oformat png", "", 1, "Bad argument: -oformat"),
    ("c4d", f"{C4D} -oimage nowhere/a", "", 1, "Files cannot be written - please check output"),
    ("c4d", C4D, "", 1, "Files cannot be written - please check output paths!"),
    ("c4d", f"{C4D} -oimage out/a", "asset = wood.png\n", 1, "Asset missing: wood.png\nRendering"),
    ("c4d", f"{C4D} -oimage out/a", "resolution 1 1\n", 1, "Error loading document"),
    ("c4d", "-render missing.c4d", "", 1, "Document not found"),
    ("c4d", "-render other.txt", "", 1, "Error loading project"),
    ("vray", "-imgFile=out/a.png -display=0", "", 1, "No scene file"),
    (
        "vray",
        "-sceneFile=scene.vrscene -imgFile=out/a.png",
        "",
        1,
        "error: Could not open the disp",
    ),
    ("vray", "-sceneFile=missing.vrscene -display=0", "", 1, 'No file "missing.vrscene" exists'),
    ("vray", "-scenefile=scene.vrscene -display=0", "", 1, 'Unknown command line option "-scenef'),
    ("vray", f"{VRAY} -frames=1..3", "", 1, "error: Bad value"),
    ("vray", f"{VRAY} -frames=3-1", "", 1, "error: No frames"),
    ("vray", f"{VRAY} -rtEngine=2", "", 1, "error: Bad value"),
    ("vray", f"{VRAY} -camera", "", 1, "error: Bad value"),
    ("vray", f"{VRAY} -camera=nobody", "", 1, 'error: Camera "nobody" not found'),
    ("vray", f"{VRAY} -imgFile=out/a.psd", "", 1, "error: Could not create image file"),
    ("vray", f"{VRAY} -imgFile=nowhere/a.png", "", 1, "error: Could not create image file"),
    ("vray", f"{VRAY} -parameterOverride=output::a=1", "", 1, "error: -parameterOverride"),
    ("vray", f"{VRAY} -parameterOverride=SettingsOutput.a=1", "", 1, "error: -parameterOverride"),
    ("vray", f"{VRAY} -parameterOverride=output.img_width=wide", "", 1, "no integer: wide"),
    ("vray", f"{VRAY} -remapPathFile=other.txt", "", 1, "error: Could not read path remap file"),
    ("vray", f"{VRAY} -remapPathFile=missing.xml", "", 1, "error: Could not read path remap file"),
    ("vray", VRAY, "Node {\n}\n", 1, "error: Could not parse scene file"),
]


@pytest.mark.parametrize(("product", "line", "extra", "expected"), TAKEN)
def test_taken(
    run: Run, tmp_path: Path, product: str, line: str, extra: str, expected: str
) -> None:
    write_scene(tmp_path, product, extra=extra)
    done = run(product, *shlex.split(line))
    assert done.returncode == 0, done.stdout
    assert images(tmp_path) == expected.split()


@pytest.mark.parametrize(("product", "line", "extra", "code", "text"), REFUSED)
def test_refused(
    run: Run, tmp_path: Path, product: str, line: str, extra: str, code: int, text: str
) -> None:
    write_scene(tmp_path, product, extra=extra)
    (tmp_path / "other.txt").write_text("This is something else.\n")
    done = run(product, *shlex.split(line))
    assert text in done.stdout
    assert (done.returncode, images(tmp_path)) == (code, [])


def test_nuke_goes_on_after_an_error_when_told_so(run: Run, tmp_path: Path) -> None:
    write_scene(tmp_path, "nuke", "fail-at 2")
    done = run("nuke", "-F", "1-3", "--cont", "-X", "Write1", "scene.nk")
    assert (done.returncode, images(tmp_path)) == (1, ["out/a.0001.png", "out/a.0003.png"])


def test_nuke_puts_relative_files_into_the_project_directory(run: Run, tmp_path: Path) -> None:
    scene = write_scene(tmp_path, "nuke")
    scene.write_text(scene.read_text().replace("Root {", "Root {\n project_directory proj"))
    assert run("nuke", "-F", "1", "-X", "Write2", "scene.nk").returncode == 0
    assert images(tmp_path) == ["proj/out/b.0001.exr"]


def test_nuke_asks_for_the_licence_of_its_mode(run: Run, tmp_path: Path) -> None:
    write_scene(tmp_path, "nuke", "licence")
    assert "interactive" in run("nuke", "-i", "-x", "scene.nk").stdout
    assert "render only" in run("nuke", "-x", "scene.nk").stdout


@pytest.mark.parametrize(
    ("renderer", "progress", "failed", "licence"),
    [
        ("sw", "[PROGRESS] 50 percent", "(kFailure)", "Could not obtain a license"),
        ("arnold", "50% done", "[mtoa] Failed batch render", "Could not obtain a license"),
        ("vray", "Rendering image...: 50.0%", "error: ", "error: Could not obtain a license"),
        ("redshift", "[PROGRESS] 50 percent", "Frame rendering aborted", "License error"),
        ("renderman", "R90000    50%", "(kFailure)", "{SEVERE} License"),
    ],
)
def test_mayas_renderers_speak_their_own_languages(
    run: Run, tmp_path: Path, renderer: str, progress: str, failed: str, licence: str
) -> None:
    arguments = ("-r", renderer, "-s", "1", "-e", "2", "scene.ma")
    write_scene(tmp_path, "maya", "fail-at 2")
    done = run("maya", *arguments)
    assert progress in done.stdout
    assert failed in done.stdout
    assert done.stdout.endswith("failed to render.\n// Maya exited with status 210\n")
    write_scene(tmp_path, "maya", "licence")
    assert licence in run("maya", *arguments).stdout


def test_maya_skips_frames_that_exist(run: Run, tmp_path: Path) -> None:
    write_scene(tmp_path, "maya")
    (tmp_path / "out" / "a.2.exr").write_bytes(b"kept")
    arguments = ("-rd", "out", "-im", "a", "-fnc", "3", "-s", "1", "-e", "2", "scene.ma")
    assert run("maya", "-skipExistingFrames", "true", *arguments).returncode == 0
    assert (tmp_path / "out" / "a.2.exr").read_bytes() == b"kept"
    assert run("maya", "-skipExistingFrames", "false", *arguments).returncode == 0
    assert (tmp_path / "out" / "a.2.exr").read_bytes() != b"kept"


def test_redshift_in_cinema_4d_aborts_in_its_own_words(run: Run, tmp_path: Path) -> None:
    write_scene(tmp_path, "c4d", "fail-at 1", extra="renderer = redshift\n")
    done = run("c4d", "-render", "scene.c4d", "-frame", "1", "-oimage", "out/a")
    assert "Frame rendering aborted\nRendering failed" in done.stdout


REMAP = """<RemapPaths>
  <RemapItem><From>Z:/tex</From><To>here</To></RemapItem>
</RemapPaths>"""


def test_v_ray_maps_the_paths_of_textures_and_does_not_stop_for_missing_ones(
    run: Run, tmp_path: Path
) -> None:
    write_scene(tmp_path, "vray", extra='BitmapBuffer wood {\n  file="Z:/tex/wood.png";\n}\n')
    arguments = ("-sceneFile=scene.vrscene", "-display=0")
    done = run("vray", *arguments)
    assert done.returncode == 0
    assert 'error: Could not load bitmap file "Z:/tex/wood.png"' in done.stdout
    (tmp_path / "map.xml").write_text(REMAP)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "wood.png").write_bytes(b"wood")
    assert "wood.png" not in run("vray", *arguments, "-remapPathFile=map.xml").stdout


@pytest.mark.parametrize(
    ("options", "shows"),
    [
        ([], b"\x1b[1;32mRendering image...: 100.0%\x1b[0m\r"),
        (["-progressUseColor=0", "-progressUseCR=0"], b"\nRendering image...: 100.0%\n"),
        (["-showProgress=0"], b""),
    ],
)
def test_v_rays_progress_is_for_people_unless_told_otherwise(
    programs: dict[str, Path], tmp_path: Path, options: list[str], shows: bytes
) -> None:
    write_scene(tmp_path, "vray")
    command = [str(programs["vray"]), "-sceneFile=scene.vrscene", "-display=0", "-verboseLevel=2"]
    done = subprocess.run([*command, *options], cwd=tmp_path, env={}, capture_output=True)
    assert done.stdout.endswith(shows)
    assert bool(done.stdout) == bool(shows)


def test_v_ray_skips_frames_that_exist(run: Run, tmp_path: Path) -> None:
    write_scene(tmp_path, "vray")
    (tmp_path / "scene.png").write_bytes(b"kept")
    run("vray", "-sceneFile=scene.vrscene", "-display=0", "-skipExistingFrames=1")
    assert (tmp_path / "scene.png").read_bytes() == b"kept"


PROXY = 'Root {\n format "40 20 0 0 40 20 1 x"\n proxy true\n}\n'
PROXY_FILE = "Write {\n file out/w.png\n proxy out/p.png\n name W\n}\n"


@pytest.mark.parametrize(
    ("flags", "image", "width"),
    [("", "out/p.png", 20), ("-p", "out/p.png", 20), ("-f", "out/w.png", 40)],
)
def test_nuke_renders_small_in_proxy_mode(
    run: Run, tmp_path: Path, flags: str, image: str, width: int
) -> None:
    write_scene(tmp_path, "nuke", extra=PROXY + PROXY_FILE)
    assert run("nuke", *flags.split(), "-F", "1", "-X", "W", "scene.nk").returncode == 0
    assert oiio.ImageBuf(str(tmp_path / image)).spec().width == width


@pytest.mark.parametrize(
    ("product", "line", "image"),
    [
        ("maya", f"{MAYA} -x 20 -y 10 -of png scene.ma", "out/a.png"),
        ("maya", f"{MAYA} -x 40 -y 20 -percentRes 50 -of png scene.ma", "out/a.png"),
        ("c4d", f"{C4D} -frame 1 -oimage out/a -oresolution 20 10", "out/a0001.png"),
        ("vray", f"{VRAY} -imgWidth=20 -imgHeight=10", "scene.png"),
    ],
)
def test_sizes(run: Run, tmp_path: Path, product: str, line: str, image: str) -> None:
    write_scene(tmp_path, product)
    assert run(product, *shlex.split(line)).returncode == 0
    spec = oiio.ImageBuf(str(tmp_path / image)).spec()
    assert (spec.width, spec.height) == (20, 10)
