"""The stand-in of Houdini's hython refuses what the real one refuses, and fails as it does."""

import json
import subprocess

import pytest
from stand_ins_houdini import PROGRAMS, VERSION, install

# They test what other tests use; those notice soon when it is broken.
pytestmark = pytest.mark.long


@pytest.fixture
def run(tmp_path):
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
def scene(tmp_path):
    def write(**orders) -> str:
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


def pictures(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


@pytest.mark.parametrize("question", ["-V", "--version"])
def test_hython_tells_its_version(run, question):
    assert run("hython", question).stdout == f"hython Version {VERSION}\n"


def hou(run, code: str) -> str:
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
def test_hou_is_strict(run, code, answer):
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
def test_parameters_and_takes(run, scene, code, answer):
    assert hou(run, f"hou.hipFile.load({scene()!r})\n{code}").startswith(answer)


def test_mantra_in_the_background_is_too_late(run, scene, tmp_path):
    render = "hou.node('/out/mantra1').render(frame_range=(1, 1))"
    hou(run, f"hou.hipFile.load({scene()!r})\n{render}")
    assert pictures(tmp_path) == []


def test_no_licence(tmp_path):
    hython = install(tmp_path / "none", licensed=False)["hython"]
    command = [str(hython), "-c", "import hou"]
    done = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "No licenses could be found to run this application." in done.stderr
    assert pictures(tmp_path) == []
