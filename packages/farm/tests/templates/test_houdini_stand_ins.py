"""The stand-ins of Houdini's programs refuse what the real ones refuse, and fail as they do."""

import json
import signal
import subprocess

import pytest
from farm.runner.outputs import check_image
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


@pytest.fixture
def stage(tmp_path):
    def write(**orders) -> str:
        path = tmp_path / "a.usda"
        path.write_text(f"#usda 1.0\n# stand-in: {json.dumps(orders)}\n")
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


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_licence(program, tmp_path, scene, stage):
    arguments = {
        "hython": ["-c", "import hou"],
        "hrender": ["-d", "/out/mantra1", scene()],
        "husk": [stage(), "-o", "a.png"],
    }[program]
    command = [str(install(tmp_path / "none", licensed=False)[program]), *arguments]
    done = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "No licenses could be found to run this application." in done.stderr
    assert pictures(tmp_path) == []


# hrender


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["-e", "-f", "1", "3", "-d", "/out/mantra1"], ["m.0001.png", "m.0002.png", "m.0003.png"]),
        (["-e", "-f", "1", "5", "-i", "3", "-v", "-d", "mantra1"], ["m.0001.png", "m.0004.png"]),
        (["-F", "7", "-d", "/out/mantra1"], ["m.0007.png"]),
        (["-d", "/out/mantra1", "-o", "x.$F2.png", "-I"], ["x.01.png"]),
    ],
)
def test_hrender(run, scene, tmp_path, arguments, written):
    done = run("hrender", *arguments, scene())
    assert done.returncode == 0, done
    assert pictures(tmp_path) == written
    assert done.stdout.count("ALF_PROGRESS 100%") == len(written)
    check_image(tmp_path / written[0], written[0], (64, 36))


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (["-w", "32", "-h", "20"], (32, 20)),
        (["-w", "32"], (32, 18)),
        (["-h", "18"], (32, 18)),
        (["-t", "wide"], (128, 36)),
    ],
)
def test_hrender_sizes_and_takes(run, scene, tmp_path, arguments, size):
    assert run("hrender", *arguments, "-d", "/out/mantra1", scene()).returncode == 0
    check_image(tmp_path / "m.0001.png", "it", size)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-f", "1", "3", "-d", "/out/mantra1"], "Error: Cannot specify frame range without -e."),
        (["-e", "-d", "/out/mantra1"], "Error: Missing frame range"),
        (["-e", "-f", "1", "-d", "/out/mantra1"], "Error: argument -f: expected 2 arguments"),
        ([], "Error: Must specify one of -c or -d."),
        (["-d", "/out/nothing"], "Error: Could not find output driver: /out/nothing"),
        (["-x", "-d", "/out/mantra1"], "Error: unrecognized arguments: -x"),
        (["-b", "2", "-d", "/out/mantra1"], "Error: Image processing fraction"),
        (["-F", "x", "-d", "/out/mantra1"], "Error: argument -F: invalid value: 'x'"),
    ],
)
def test_hrender_refuses(run, scene, tmp_path, arguments, said):
    done = run("hrender", *arguments, scene())
    assert done.returncode == 1
    assert said in done.stdout
    assert pictures(tmp_path) == []


def test_hrender_needs_a_scene(run):
    done = run("hrender", "-d", "/out/mantra1")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        1,
        "Error: Missing .hip motion file name.",
    )


def test_hrender_fails(run, scene, tmp_path):
    done = run("hrender", "-e", "-f", "1", "3", "-d", "/out/mantra1", scene(fail_at=2))
    assert done.returncode == 1
    assert "hou.OperationFailed: The attempted operation failed." in done.stderr
    assert pictures(tmp_path) == ["m.0001.png"]


# husk


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["-o", "a_$F4.png", "-f", "9", "-n", "2"], ["a_0009.png", "a_0010.png"]),
        (["--output", "a.<F3>.png", "--frame", "-1"], ["a.-01.png"]),
        (["-o", "%04d.png", "-n", "2", "-i", "5", "-R", "BRAY_HdKarma"], ["0001.png", "0006.png"]),
    ],
)
def test_husk(run, stage, tmp_path, arguments, written):
    done = run("husk", stage(), "-V", "a2", "-r", "40", "30", *arguments)
    assert done.returncode == 0, done
    assert pictures(tmp_path) == written
    assert done.stdout.splitlines() == ["ALF_PROGRESS 50%", "ALF_PROGRESS 100%"] * len(written)
    check_image(tmp_path / written[0], written[0], (40, 30))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "a.png", "-R", "Storm"], "Unable to find render delegate Storm"),
        (["-o", "a.png", "-q"], "Unknown option: -q"),
        (["-o", "a.png", "-f", "x"], "Invalid number for -f: x"),
        (["-o"], "Missing argument for -o"),
        ([], "No output image specified"),
        (["-o", "none/a.png"], "Failed to create file none/a.png"),
    ],
)
def test_husk_refuses(run, stage, tmp_path, arguments, said):
    done = run("husk", stage(), *arguments)
    assert (done.returncode, done.stderr) == (1, f"Error: {said}\n")
    assert pictures(tmp_path) == []


def test_husk_makes_the_folder_on_request(run, stage, tmp_path):
    assert run("husk", stage(), "-o", "new/a.png", "--make-output-path").returncode == 0
    assert (tmp_path / "new" / "a.png").is_file()


@pytest.mark.parametrize(
    ("orders", "code", "written"),
    [
        ({"fail_at": 2}, 1, ["a.1.png"]),
        ({"lie_at": 2}, 0, ["a.1.png", "a.3.png"]),
        ({"crash_at": 1}, -signal.SIGSEGV, []),
    ],
)
def test_husk_fails(run, stage, tmp_path, orders, code, written):
    done = run("husk", stage(**orders), "-o", "a.$F.png", "-n", "3")
    assert done.returncode == code
    assert pictures(tmp_path) == written


def test_husk_writes_a_snapshot(stage, tmp_path):
    husk = str(install(tmp_path / "bin")["husk"])
    command = [husk, stage(hang_at=1), "-o", "a.$F.png"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"Rendering frame 1\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == b"Snapshot a.1_part.png\n"
        process.terminate()
    assert process.returncode == -signal.SIGTERM
    assert pictures(tmp_path) == ["a.1_part.png"]
    check_image(tmp_path / "a.1_part.png", "it", (64, 36))
