"""The stand-ins of hython and husk refuse what the real ones refuse, and fail as they do."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_ins_houdini import PROGRAMS, VERSION, install

# They test what other tests use; those notice soon when it is broken.
pytestmark = pytest.mark.long

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run one of the programs in the test's folder, without environment."""
    programs = install(tmp_path / "bin")
    assert sorted(programs) == sorted(PROGRAMS)

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(programs[program]), *arguments]
        return subprocess.run(
            command, env={}, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    return run


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., str]:
    def write(**orders: object) -> str:
        parms = {"vm_picture": "$HIP/m.$F4.png", "vm_alfprogress": 1}
        nodes = {
            "/obj/cam1": {"type": "cam"},
            "/out/mantra1": {"type": "ifd", "parms": parms},
        }
        takes = {"wide": {"/obj/cam1/resx": 128}}
        path = tmp_path / "a.hip"
        path.write_text(json.dumps({"nodes": nodes, "takes": takes, "stand_in": orders}))
        return str(path)

    return write


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


@pytest.mark.parametrize("question", ["-V", "--version"])
def test_hython_tells_its_version(run: Run, question: str) -> None:
    assert run("hython", question).stdout == f"hython Version {VERSION}\n"


def hou(run: Run, code: str) -> str:
    done = run("hython", "-c", f"import hou\n{code}")
    # Of a traceback only what is not indented: the exception.
    raised = [line for line in done.stderr.splitlines()[1:] if not line.startswith(" ")]
    return done.stdout.strip() or "\n".join(raised)


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("print(hou.applicationVersionString())", VERSION),
        ("print(hou.node('/out/nothing'), hou.parm('/out/x/y'))", "None None"),
        ("hou.render('/out/mantra1')", "AttributeError: module 'hou' has no attribute 'render'"),
        ("hou.json", "AttributeError: module 'hou' has no attribute 'json'"),
        ("hou.node('/out').frames()", "AttributeError: 'Node' object has no attribute 'frames'"),
        ("hou.hipFile.open('x')", "AttributeError: "),
        ("print(hou.hscript('reender x'))", "('', 'Unknown command: reender x\\n')"),
        ("hou.putenv('A', 1)", "TypeError: "),
        ("hou.putenv('A', 'b'); print(hou.expandString('$A/$B.$F3'))", "b/$B.001"),
        ("hou.setFrame(-2); print(hou.expandString('${F4} $FF'))", "-002 -2"),
    ],
)
def test_hou_is_strict(run: Run, code: str, answer: str) -> None:
    assert hou(run, code).startswith(answer)


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("hou.parm('/obj/cam1/resx').set('x')", "TypeError: "),
        ("hou.parm('/out/mantra1/vm_picture').set(1)", "TypeError: "),
        ("print(hou.parm('/obj/cam1/resx').eval())", "64"),
        (
            "hou.takes.setCurrentTake(hou.takes.findTake('wide'))\n"
            "hou.parm('/obj/cam1/resy').set(1)",
            "hou.PermissionError: ",
        ),
        (
            "hou.takes.setCurrentTake(hou.takes.findTake('wide'))\n"
            "hou.parm('/obj/cam1/resx').set(1)\n"
            "hou.takes.setCurrentTake(hou.takes.rootTake())\n"
            "print(hou.parm('/obj/cam1/resx').eval())",
            "64",
        ),
    ],
)
def test_parameters_and_takes(run: Run, scene: Callable[..., str], code: str, answer: str) -> None:
    assert hou(run, f"hou.hipFile.load({scene()!r})\n{code}").startswith(answer)


def test_mantra_in_the_background_is_too_late(
    run: Run, scene: Callable[..., str], tmp_path: Path
) -> None:
    render = "hou.node('/out/mantra1').render(frame_range=(1, 1))"
    hou(run, f"hou.hipFile.load({scene()!r})\n{render}")
    assert pictures(tmp_path) == []


def test_no_licence(tmp_path: Path) -> None:
    hython = install(tmp_path / "none", licensed=False)["hython"]
    command = [str(hython), "-c", "import hou"]
    done = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "No licenses could be found to run this application." in done.stderr
    assert pictures(tmp_path) == []


def stage(folder: Path, text: str = "#usda 1.0\n") -> str:
    path = folder / "a.usda"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("line", ["ALF_PROGRESS 50%", "ALF_PROGRESS 104%"])
@pytest.mark.parametrize(("level", "tells"), [("a3", True), ("3a", True), ("3", False)])
def test_husk_tells_progress_when_asked(
    run: Run, tmp_path: Path, line: str, level: str, tells: bool
) -> None:
    done = run("husk", "-V", level, stage(tmp_path), "-o", "a.$F4.png")
    assert done.returncode == 0
    assert (line in done.stdout.splitlines()) is tells


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ([], ["a.0001.png"]),
        (["-f", "5", "-n", "2", "-i", "3"], ["a.0005.png", "a.0008.png"]),
        (["--frame=-2", "--frame-count", "2"], ["a.-001.png", "a.-002.png"]),
        (["-r", "32", "18", "-R", "BRAY_HdKarmaXPU"], ["a.0001.png"]),
    ],
)
def test_husk_renders_the_frames_that_are_asked_for(
    run: Run, tmp_path: Path, options: list[str], files: list[str]
) -> None:
    assert run("husk", *options, stage(tmp_path), "-o", "a.$F4.png").returncode == 0
    assert pictures(tmp_path) == files


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-e", "5"], "Unknown option: -e"),
        (["-f", "1-5"], "Invalid number for -f"),
        (["-n", "0"], "Nothing to render"),
        (["-f", "-n", "3"], "Missing argument for -f"),
        (["-R", "HdStorm"], "Unable to find render delegate HdStorm"),
        (["-V", "12"], "Invalid verbosity: 12"),
        (["b.usda"], "More than one USD file"),
    ],
)
def test_husk_is_strict(run: Run, tmp_path: Path, options: list[str], words: str) -> None:
    done = run("husk", *options, stage(tmp_path), "-o", "a.$F4.png")
    assert done.returncode == 1
    assert words in done.stderr
    assert pictures(tmp_path) == []


def test_husk_renders_without_a_layer_that_is_missing(run: Run, tmp_path: Path) -> None:
    text = '#usda 1.0\ndef "World" (\n    references = @b.usd@\n)\n{\n}\n'
    done = run("husk", stage(tmp_path, text), "-o", "a.$F4.png")
    assert done.returncode == 0
    assert "Could not open asset @b.usd@ for reference" in done.stderr
    assert pictures(tmp_path) == ["a.0001.png"]


@pytest.mark.parametrize("text", ["", "PXR-USDC", "{}"])
def test_husk_reads_only_usd(run: Run, tmp_path: Path, text: str) -> None:
    assert run("husk", stage(tmp_path, text), "-o", "a.$F4.png").returncode == 1
