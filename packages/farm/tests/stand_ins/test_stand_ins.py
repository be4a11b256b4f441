"""The stand-ins, run as the farm runs the real programs: as processes with an empty environment."""

import re
import signal
import subprocess
from pathlib import Path

import OpenImageIO as oiio
import pytest
from farm.runner.results.image_check import examine
from farm.runner.results.outputs import OutputError
from messages import saying

from stand_ins import PROGRAMS, install
from stand_ins.scenes import SIZE, images, write_scene

from .conftest import Run

# They test what other tests use; those notice soon when it is broken.
pytestmark = pytest.mark.long

COMMANDS = {
    "nuke": ("-F", "1-3", "-m", "2", "-X", "Write1", "--sro", "-V", "2", "-x", "scene.nk"),
    "maya": (
        *("-r", "arnold", "-proj", ".", "-rd", "out", "-im", "a", "-of", "png"),
        *("-fnc", "name.#.ext", "-pad", "4", "-s", "1", "-e", "3", "-b", "1", "scene.ma"),
    ),
    "c4d": (
        *("-nogui", "-render", "scene.c4d", "-frame", "1", "3", "-oimage", "out/a."),
        *("-oformat", "PNG", "-threads", "2"),
    ),
    "vray": (
        *("-sceneFile=scene.vrscene", "-imgFile=out/a.png", "-frames=1-3", "-display=0"),
        *("-autoClose=1", "-showProgress=2", "-progressUseCR=0", "-progressUseColor=0"),
    ),
}
"""Frames 1 to 3 of a scene, written to out/a.0001.png and so on."""

SAYS = {
    "nuke": ("Frame 2 (2 of 3)", "Writing out/a.0002.png took 0.00 seconds"),
    "maya": ("100% done", "writing file `out/a.0002.png'", "// Maya exited with status 0"),
    "c4d": ("Rendering frame 2", "Progress: 100%", "Rendering successful"),
    "vray": (
        *("Starting frame 2", "Rendering image...:  50.0%\n", "Frame took"),
        'Successfully written image file "out/a.0002.png"',
    ),
}
FAILS = {
    "nuke": (1, "ERROR: Write1: "),
    "maya": (210, "[mtoa] Failed batch render"),
    "c4d": (1, "Error rendering document\nRendering failed"),
    "vray": (1, "error: "),
}
NO_LICENCE = {
    "nuke": (100, "A license for nuke was not found\n\nFOUNDRY LICENSE ERROR REPORT"),
    "maya": (210, "Could not obtain a license"),
    "c4d": (1, "Enter the license method"),
    "vray": (1, "error: Could not obtain a license (-88)"),
}

every_product = pytest.mark.parametrize("product", PROGRAMS)


def frame(folder: Path, number: int) -> Path:
    return folder / "out" / f"a.{number:04d}.png"


@every_product
def test_frames_are_rendered(run: Run, tmp_path: Path, product: str) -> None:
    write_scene(tmp_path, product, "seconds 0.001")
    done = run(product, *COMMANDS[product])
    assert done.returncode == 0, done.stdout
    assert images(tmp_path) == ["out/a.0001.png", "out/a.0002.png", "out/a.0003.png"]
    for text in SAYS[product]:
        assert text in done.stdout
    pictures = [oiio.ImageBuf(str(frame(tmp_path, number))) for number in (1, 2, 3)]
    for number, picture in enumerate(pictures, 1):
        examine(frame(tmp_path, number), "frame", SIZE)
        assert oiio.ImageBufAlgo.isConstantColor(picture) is None
    assert oiio.ImageBufAlgo.compare(pictures[0], pictures[1], 0.01, 0.01).nfail > 0
    assert oiio.ImageBufAlgo.compare(pictures[1], pictures[2], 0.01, 0.01).nfail > 0


@every_product
def test_a_frame_that_fails(run: Run, tmp_path: Path, product: str) -> None:
    write_scene(tmp_path, product, "fail-at 3")
    done = run(product, *COMMANDS[product])
    code, marker = FAILS[product]
    assert (done.returncode, images(tmp_path)) == (code, ["out/a.0001.png", "out/a.0002.png"])
    assert marker in done.stdout


@every_product
def test_a_failure_with_exit_code_0(run: Run, tmp_path: Path, product: str) -> None:
    write_scene(tmp_path, product, "error-exit-0")
    done = run(product, *COMMANDS[product])
    assert (done.returncode, len(images(tmp_path))) == (0, 3)
    assert FAILS[product][1].splitlines()[-1] in done.stdout


@every_product
def test_a_frame_that_is_only_said_to_be_there(run: Run, tmp_path: Path, product: str) -> None:
    write_scene(tmp_path, product)
    honest = run(product, *COMMANDS[product])
    frame(tmp_path, 2).unlink()
    write_scene(tmp_path, product, "lie-at 2")
    done = run(product, *COMMANDS[product])
    assert (done.returncode, done.stdout) == (0, honest.stdout)
    assert images(tmp_path) == ["out/a.0001.png", "out/a.0003.png"]


@every_product
def test_frames_that_are_no_good(run: Run, tmp_path: Path, product: str) -> None:
    write_scene(tmp_path, product, "truncate 1", "wrong-size 2")
    assert run(product, *COMMANDS[product]).returncode == 0
    with pytest.raises(OutputError, check=saying("not-complete-image")):
        examine(frame(tmp_path, 1), "frame", SIZE)
    with pytest.raises(OutputError, check=saying("image-has-wrong-size", 16, 12, 32, 24)):
        examine(frame(tmp_path, 2), "frame", SIZE)
    examine(frame(tmp_path, 3), "frame", SIZE)


@every_product
def test_a_crash(run: Run, tmp_path: Path, product: str) -> None:
    write_scene(tmp_path, product, "crash-at 2")
    done = run(product, *COMMANDS[product])
    assert (done.returncode, images(tmp_path)) == (-signal.SIGSEGV, ["out/a.0001.png"])
    assert ("Fatal Error" in done.stdout) == (product == "maya")


@every_product
def test_a_hanging_program_can_be_ended(
    programs: dict[str, Path], tmp_path: Path, product: str
) -> None:
    write_scene(tmp_path, product, "hang-at 2")
    (tmp_path / "out").mkdir()
    with subprocess.Popen(
        [programs[product], *COMMANDS[product]], cwd=tmp_path, env={}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.search(rb"Frame 1 \(1|writing file .*0001|Progress: 100%|Frame took", line):
                break
        assert process.poll() is None
        process.terminate()
        rest = process.stdout.read()
        assert process.wait() == -signal.SIGTERM
    assert b"0002" not in rest
    assert images(tmp_path) == ["out/a.0001.png"]


@every_product
def test_no_licence(run: Run, tmp_path: Path, product: str) -> None:
    write_scene(tmp_path, product, "licence")
    done = run(product, *COMMANDS[product])
    code, marker = NO_LICENCE[product]
    assert (done.returncode, images(tmp_path)) == (code, [])
    assert marker in done.stdout


@every_product
def test_an_order_that_does_not_exist_is_no_order(run: Run, tmp_path: Path, product: str) -> None:
    write_scene(tmp_path, product, "fail 3")
    done = run(product, *COMMANDS[product])
    assert done.returncode != 0
    assert "There is no such order" in done.stdout


def test_versions(run: Run, programs: dict[str, Path]) -> None:
    assert run("nuke", "--version").stdout == "15.1v3\n"
    assert run("c4d", "-version").stdout.startswith("Cinema 4D 2024.")
    assert re.match(r"V-Ray .* 6\.20\.01 ", run("vray", "-version").stdout)
    maya = programs["maya"].with_name("maya")
    answer = subprocess.run([maya, "-v"], env={}, capture_output=True, check=True).stdout
    assert answer.startswith(b"Maya 2025.2, ")
    assert run("maya", "-version").returncode == 1


def test_only_what_was_asked_for_is_installed(tmp_path: Path) -> None:
    assert install(tmp_path / "bin", "nuke") == {"nuke": tmp_path / "bin" / "Nuke15.1"}
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["Nuke15.1"]
    with pytest.raises(KeyError):
        install(tmp_path, "blender")


def test_cinema_4d_waits_for_an_answer_about_its_licence(
    programs: dict[str, Path], tmp_path: Path
) -> None:
    write_scene(tmp_path, "c4d", "licence")
    command = [str(programs["c4d"]), *COMMANDS["c4d"]]
    with subprocess.Popen(
        command, cwd=tmp_path, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):  # an answer does not help
            read = b""
            while not read.endswith(b"Please select: "):
                read += process.stdout.read(1)
            assert process.poll() is None
            process.stdin.write(b"1\n")
            process.stdin.flush()
        process.stdin.close()
        process.stdout.read()
        assert process.wait() == 1


def test_v_ray_may_stall_without_a_licence(programs: dict[str, Path], tmp_path: Path) -> None:
    write_scene(tmp_path, "vray", "licence", "hang-at 1")
    with subprocess.Popen(
        [programs["vray"], *COMMANDS["vray"]], cwd=tmp_path, env={}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"(-88)" in process.stdout.readline()
        process.kill()
        assert process.wait() == -signal.SIGKILL
