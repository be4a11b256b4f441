"""The sandbox, against scenes that attack: real Blender, bubblewrap, runner processes."""

import ctypes
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import venv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from farm.confine import is_root, probe
from farm_protocol.hashing import hash_file
from farm_protocol.runner import Outcome, SandboxMode
from messages import saying, says
from waiting import until, until_dead

from .conftest import Rig
from .fake_farm import FakeFarm

needs_sandbox = pytest.mark.skipif(bool(probe()), reason=probe())

RIGHTS = saying("scene-runs-without-rights" if is_root() else "scene-can-read-change-delete")

# Blender as the farm starts it, but the scene is opened once with its scripts switched on.
CARELESS = """#!/bin/sh
[ "$1" = "--version" ] && exec {blender} --version
exec {blender} -b --python-expr 'import bpy, sys
scene = next(each for each in sys.argv if each.startswith("--scene="))
bpy.ops.wm.open_mainfile(filepath=scene[8:], use_scripts=True)' "$@"
"""

SWITCHES = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
]
"""Of the kernel: opened for writing, and nothing is written."""

HOSTILE = """
import os, socket, subprocess, sys

def tell(*words):
    sys.stdout.flush()
    os.write(1, ("\\nhostile: " + " ".join(map(str, words)) + "\\n").encode())

def attempt(what, function):
    try:
        tell(what, "worked", function())
    except OSError as error:
        tell(what, "failed", error)

tell("account", os.getuid(), os.getgid(), *os.getgroups())
for path in {switches!r}:
    attempt("switch " + path, lambda: open(path, "a").close())
attempt("memory", lambda: open("/proc/%d/mem" % os.getppid(), "rb").read(1))
for path in {paths!r}:
    attempt("reading", lambda: open(path).read())
attempt("listing", lambda: os.listdir({work_dir!r}))
attempt("connecting", lambda: socket.create_connection(("127.0.0.1", {port}), 5))
attempt("writing", lambda: open(__import__("bpy").data.filepath, "r+b"))
attempt("chmod", lambda: os.chmod(__import__("bpy").data.filepath, 0o666))
code = "import os, sys; os.fork() and sys.exit(); os.execl('/bin/sleep', {name!r}, '600')"
subprocess.run(["/usr/bin/python3", "-c", code], start_new_session=True, check=True,
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
tell("daemon started")
"""


def named(name: str) -> list[psutil.Process]:
    """Return the living processes that call themselves ``name``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[:1] == [name] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


class Attack:
    """A job whose scene attacks, and what it is after."""

    def __init__(self, rig: Rig, tmp_path: Path, program: str) -> None:
        self.rig = rig
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.daemon = f"hostile-{os.getpid()}-{tmp_path.name}"
        home = tmp_path / "home"
        other_job = rig.work_dir / "job2-1-abc" / "project"
        data = home / ".local" / "share" / "envoy"
        for folder in (home, other_job, data):
            folder.mkdir(parents=True)
            (folder / "file").write_text("SECRET")
        self.store = tmp_path / "store"
        (tmp_path / "farm.sqlite").write_text("SECRET")
        targets = [*(each / "file" for each in (home, other_job, data)), tmp_path / "farm.sqlite"]
        script = HOSTILE.format(
            paths=[*map(str, targets), "/etc/passwd"],
            switches=SWITCHES,
            work_dir=str(rig.work_dir),
            port=self.listener.getsockname()[1],
            name=self.daemon,
        )
        (rig.scenes / "hostile.py").write_text(script)
        self.blender = tmp_path / program
        self.blender.parent.mkdir(parents=True, exist_ok=True)
        self.blender.write_text(CARELESS.format(blender=shutil.which("blender")))
        self.blender.chmod(0o755)

    def run(self, mode: SandboxMode) -> FakeFarm:
        farm = self.rig.farm("hostile.blend", [[1, 2]], files=["hostile.py"])
        self.rig.run(farm, "--blender", str(self.blender), "--sandbox", mode)
        # The attack happened, and the frames were rendered after it all the same.
        assert "hostile: daemon started" in farm.log
        # Nobody is root, in a sandbox or out of it, and root's switches are nobody's.
        (account,) = re.findall(r"hostile: account (.*)", farm.log)
        assert "0" not in account.split()
        assert farm.log.count("hostile: switch ") == len(SWITCHES)
        assert "hostile: switch /proc/sys/kernel/core_pattern failed" in farm.log
        assert not re.search("hostile: switch .* worked", farm.log)
        assert farm.frames.keys() == {1, 2}
        assert farm.finishes["c1"].outcome is Outcome.COMPLETED
        return farm

    def was_called(self) -> bool:
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def attack(
    request: pytest.FixtureRequest, rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Attack]:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs /usr/bin/python3")
    made = Attack(rig, tmp_path, getattr(request, "param", "careless"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield made
    made.listener.close()
    for process in named(made.daemon):
        process.kill()


@needs_sandbox
@pytest.mark.parametrize(
    "attack", ["careless", "home/bin/careless", "home/.local/bin/careless"], indirect=True
)
def test_a_hostile_scene_reads_reaches_and_leaves_nothing(attack: Attack) -> None:
    farm = attack.run("required")
    assert "SECRET" not in farm.log
    assert "root:" not in farm.log
    passwd, listing, writing, chmod = re.findall(r"hostile: (.* worked .*)", farm.log)
    assert re.fullmatch(r"reading worked render:x:[1-9][0-9]*:[1-9][0-9]*:.*", passwd)
    assert re.fullmatch(r"listing worked \['job1-[^']+'\]", listing)
    assert not attack.was_called()
    until(lambda: not named(attack.daemon))
    # Its own files a scene may change as it likes: it has not touched the farm's.
    assert writing.startswith("writing ")
    assert chmod.startswith("chmod ")
    for blob in attack.store.glob("*/*"):
        assert hash_file(blob)[0] == blob.name
        assert blob.stat().st_mode & 0o777 in (0o444, 0o600)
    assert farm.requests[0].warnings == []


def test_the_same_attack_works_without_a_sandbox(attack: Attack) -> None:
    farm = attack.run("off")
    # As root it could read what everybody may read; all of this is beside it, in root's folder.
    assert farm.log.count("SECRET") == 4
    assert attack.was_called()
    # Where the renderer has an account of its own, nothing of that account is left.
    assert bool(named(attack.daemon)) is not is_root()
    assert farm.requests[0].warnings == []


@needs_sandbox
def test_nothing_in_a_sandbox_outlives_a_killed_runner(
    rig: Rig, renderers_of: Callable[[int], list[int]]
) -> None:
    farm = rig.farm("slow.blend", [list(range(1, 100))])
    runner = rig.start(farm, "--sandbox", "required")
    farm.wait(lambda: 1 in farm.frames)
    inside = [psutil.Process(pid) for pid in renderers_of(runner.pid)]
    assert {process.name() for process in inside} >= {"bwrap", "blender"}
    os.kill(runner.pid, signal.SIGKILL)
    until_dead(inside)


@pytest.fixture
def without_bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with Blender and nothing else."""
    if shutil.which("blender") is None:
        pytest.skip("needs blender on the PATH")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "blender").symlink_to(str(shutil.which("blender")))
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.usefixtures("without_bwrap")
def test_required_without_bubblewrap_refuses_the_work(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]])
    assert rig.run(farm, "--sandbox", "required") == 1
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent) == (Outcome.FAILED, False)
    trouble = saying("render-machine-no-working-sandbox", "bubblewrap")
    assert finish.message == saying("farm-requires-one-farm-sandbox", trouble)
    assert not farm.frames


TELLS_WHO = """#!/bin/sh
[ "$1" = "--version" ] && echo "Blender 3.4.1" && exit 0
echo "It is $(/usr/bin/id -u) in $(pwd)"
exit 1
"""


@pytest.mark.skipif(not is_root(), reason="only root has rights to give up")
@pytest.mark.usefixtures("without_bwrap")
@pytest.mark.parametrize("user", ["", "nobody"])
def test_without_bubblewrap_root_gives_its_rights_up_too(
    rig: Rig, tmp_path: Path, user: str
) -> None:
    rig.work_dir = tmp_path / "private" / "work"
    rig.work_dir.mkdir(parents=True)
    rig.work_dir.parent.chmod(0o700)
    program = tmp_path / "tells"
    program.write_text(TELLS_WHO)
    program.chmod(0o755)
    farm = rig.farm("plain.blend", [[1]])
    rig.run(farm, "--blender", str(program), "--sandbox", "auto", "--render-user", user)
    uid, folder = re.findall(r"It is ([0-9]+) in (.*)", farm.log)[0]
    assert uid == "65534" if user else int(uid) in range(61184, 65520)
    # Root's folder is no way for it; and nothing stays where it was instead.
    assert folder.startswith("/var/tmp/render-farm-")
    assert not Path(folder).parent.exists()
    assert list(rig.work_dir.iterdir()) == []


ADD_KEY, REQUEST_KEY, KEYCTL = {"x86_64": (248, 249, 250)}.get(platform.machine(), (217, 218, 219))
FINDS_KEY = f"""#!/bin/sh
[ "$1" = "--version" ] && echo "Blender 3.4.1" && exit 0
/usr/bin/python3 -c '
import ctypes
found = ctypes.CDLL(None).syscall({REQUEST_KEY}, b"user", b"farm-test", None, 0)
print("The key is", "found" if found > 0 else "lost")
'
exit 1
"""


@pytest.mark.skipif(not is_root(), reason="only root has rights to give up")
@pytest.mark.usefixtures("without_bwrap")
def test_without_bubblewrap_the_keys_of_roots_session_stay_with_root(
    rig: Rig, tmp_path: Path
) -> None:
    program = tmp_path / "finds"
    program.write_text(FINDS_KEY)
    program.chmod(0o755)
    farm = rig.farm("plain.blend", [[1]])
    kernel = ctypes.CDLL(None)

    def run_with_key() -> str:
        # In a thread, whose keys are its own and of the processes that it starts.
        if kernel.syscall(KEYCTL, 1, None) < 0:
            return "no keyrings here"
        session = ctypes.c_int(-3)
        key = kernel.syscall(ADD_KEY, b"user", b"farm-test", b"secret", 6, session)
        rights = ctypes.c_uint32(0x3F3F3F3F)
        assert key > 0
        assert kernel.syscall(KEYCTL, 5, key, rights) == 0
        there = subprocess.run(["/bin/sh", str(program)], capture_output=True, text=True).stdout
        assert there == "The key is found\n"
        rig.run(farm, "--blender", str(program), "--sandbox", "auto")
        return ""

    with ThreadPoolExecutor(1) as pool:
        if reason := pool.submit(run_with_key).result():
            pytest.skip(reason)
    assert "The key is lost" in farm.log


@pytest.mark.skipif(not is_root(), reason="only root has rights to give up")
def test_an_account_that_is_not_there_fails_the_job_with_a_message(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]])
    assert rig.run(farm, "--render-user", "not-here") == 1
    assert farm.finishes["c1"].message == saying("machine-no-account", "not-here")


@pytest.mark.usefixtures("without_bwrap")
def test_the_farm_says_that_a_sandbox_is_required(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]])
    farm.job = farm.job.model_copy(update={"sandbox": "required"})
    assert rig.run(farm) == 1
    assert says(farm.finishes["c1"].message, "farm-requires-one-farm-sandbox")
    assert not farm.frames


@pytest.mark.usefixtures("without_bwrap")
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_farm_that_comes_to_require_a_sandbox_gives_no_other_claim(
    rig: Rig, by_hand: bool
) -> None:
    farm = rig.farm("plain.blend", [[1], [2]])
    farm.sandbox_required = {2}
    arguments = ["--sandbox", "auto"] if by_hand else []
    assert rig.run(farm, *arguments) == (0 if by_hand else 1)
    assert farm.frames.keys() == ({1, 2} if by_hand else {1})
    if not by_hand:
        assert (farm.finishes["c2"].outcome, farm.finishes["c2"].permanent) == (
            Outcome.FAILED,
            False,
        )
        assert says(farm.finishes["c2"].message, "farm-requires-one-farm-sandbox")


@needs_sandbox
def test_a_renderer_in_a_sandbox_goes_on_when_one_comes_to_be_required(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1], [2]])
    farm.sandbox_required = {2}
    assert rig.run(farm) == 0
    assert farm.frames.keys() == {1, 2}


@pytest.mark.usefixtures("without_bwrap")
def test_auto_without_bubblewrap_renders_with_a_warning(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]])
    assert rig.run(farm) == 0
    assert farm.frames.keys() == {1}
    assert farm.requests[0].warnings == [
        saying("render-machine-no-working-sandbox", "bubblewrap", RIGHTS)
    ]


@needs_sandbox
def test_a_renderer_that_needs_more_than_its_folder_is_told_apart(rig: Rig, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.write_text(f'#!/bin/sh\nexec {shutil.which("blender")} "$@"\n')
    script = tmp_path / "blender"
    script.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    for program in (real, script):
        program.chmod(0o755)
    farm = rig.farm("plain.blend", [[1]])
    assert rig.run(farm, "--blender", str(script)) == 0
    assert farm.frames.keys() == {1}
    (warning,) = farm.requests[0].warnings
    assert says(warning, "does-not-start-bubblewrap", script)


@needs_sandbox
def test_a_renderer_that_fails_once_inside_stays_inside(rig: Rig, tmp_path: Path) -> None:
    # It is asked for its version outside, then tried inside, outside and inside again.
    beside = tmp_path / "beside"
    beside.touch()
    program = tmp_path / "blender"
    program.write_text(
        f'#!/bin/sh\n[ ! -e {beside} ] || echo "# outside" >> "$0"\n'
        f'[ -e {beside} ] || [ "$(grep -c "^# outside" "$0")" -ge 2 ] || exit 1\n'
        f'exec {shutil.which("blender")} "$@"\n'
    )
    program.chmod(0o777)
    farm = rig.farm("plain.blend", [[1]])
    assert rig.run(farm, "--blender", str(program)) == 0
    assert farm.requests[0].warnings == []
    assert farm.frames.keys() == {1}


@needs_sandbox
def test_a_python_with_bpy_finds_all_of_itself_inside(rig: Rig, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
    module = Path(packages.stdout.strip()) / "bpy"
    module.mkdir()
    (module / "__init__.py").write_text(
        "import sqlite3, types\nprint('imported', __file__)\n"
        "app = types.SimpleNamespace(version_string='4.5.0')\n"
    )
    farm = rig.farm("plain.blend", [[1]])
    rig.run(farm, "--blender", str(python), "--sandbox", "required")
    assert f"imported {module}" in farm.log


@needs_sandbox
def test_a_renderer_in_a_folder_of_its_own_behind_a_link(rig: Rig, tmp_path: Path) -> None:
    home = tmp_path / "opt" / "blender-4.2"
    home.mkdir(parents=True)
    (home / "startup").write_text("found its own files\n")
    program = home / "blender"
    program.write_text(
        '#!/bin/sh\n[ "$1" = "--version" ] && echo "Blender 4.2.0"\n'
        'cat "$(dirname "$(readlink -f "$0")")/startup"\n'
    )
    program.chmod(0o755)
    link = tmp_path / "blender"
    link.symlink_to(program)
    farm = rig.farm("plain.blend", [[1]])
    rig.run(farm, "--blender", str(link), "--sandbox", "required")
    assert "found its own files" in farm.log


LYING = """#!/bin/sh
[ "$1" = "--version" ] && echo "Blender 3.4.1" && exit 0
for each; do case $each in --output=*) output=${{each#--output=}};; esac; done
{trick}
echo 'farm_event: {{"event": "loaded", "width": null, "height": null}}'
echo 'farm_event: {{"event": "frame_started", "frame": 1}}'
echo 'farm_event: {{"event": "frame_written", "frame": 1, "files": ["a/frame_0001.png"],
 "extra": [], "seconds": 1}}' | tr -d '\\n'
echo
"""


@pytest.mark.parametrize(
    "trick",
    [
        'mkdir "$output/a"; ln -s {there}/frame_0001.png "$output/a/"',
        'ln -s {there} "$output/a"',
        'rmdir "$output"; mkdir {there}/a; ln -s {there} "$output"',
        'mkdir "$output/a"; mkfifo "$output/a/frame_0001.png"',
        'mkdir -p "$output/a/frame_0001.png"',
    ],
)
def test_a_result_that_is_a_link_to_somebody_elses_picture_is_not_sent(
    rig: Rig, tmp_path: Path, trick: str
) -> None:
    there = tmp_path / "another_users_pictures"
    there.mkdir()
    picture = there / "frame_0001.png"
    shutil.copyfile(rig.scenes / "textures" / "wood.png", picture)
    program = tmp_path / "lying"
    program.write_text(LYING.format(trick=trick.format(there=there)))
    program.chmod(0o755)
    farm = rig.farm("plain.blend", [[1]], output_prefix="a/frame_")
    rig.run(farm, "--blender", str(program))
    assert farm.finishes["c1"].outcome is Outcome.FAILED
    assert "a/frame_0001.png" in farm.finishes["c1"].message
    assert not farm.blobs
    assert picture.is_file()
