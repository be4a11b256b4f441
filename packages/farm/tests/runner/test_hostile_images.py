"""Results are input: images that a scene has made to ruin who looks at them."""

import contextlib
import errno
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import OpenImageIO as oiio
import psutil
import pytest
from farm.confine import drop, is_root, probe
from farm.confine.readers import command, environment
from farm.runner.results import image_check, image_checks
from farm.runner.results.delivery import AbandonedError
from farm.runner.results.image_checks import ImageChecks
from farm.runner.results.outputs import OutputError
from farm_protocol.runner import Outcome
from farm_protocol.runner import SandboxMode as Mode
from messages import saying, says

from .conftest import Rig
from .in_process import python_of_all
from .somebody import ordinary_user

sandboxed = pytest.mark.skipif(bool(probe()), reason=f"no sandbox here: {probe()}")
MODES = [pytest.param("auto", marks=sandboxed), "off"]


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG of RGBA pixels whose size nobody has compared with its data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def black(width: int, height: int) -> bytes:
    """Return a whole PNG without colour, which is tiny for what it holds."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 4 * width)
    return png(
        width, height, b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    )


def picture(path: Path) -> Path:
    image = oiio.ImageBuf(oiio.ImageSpec(64, 36, 4, oiio.UINT8))
    assert oiio.ImageBufAlgo.noise(image, "uniform", 0.0, 1.0)
    assert image.write(str(path)), image.geterror()
    return path


def wrong(checks: ImageChecks, path: Path, size: tuple[int, int] | None = None) -> str:
    with pytest.raises(OutputError) as error:
        checks.check(path, "frame_0001.png", size)
    return str(error.value)


@pytest.fixture(params=MODES)
def checks(request: pytest.FixtureRequest) -> Iterator[ImageChecks]:
    made = ImageChecks(request.param)
    yield made
    made.close()
    assert _workers() == []


def _workers() -> list[psutil.Process]:
    """Return the processes that look at images; other tests may have left a database running."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # It has just ended.
            if "farm.runner.results.image_worker" in child.cmdline():
                found.append(child)
    return found


def test_a_file_that_asks_for_too_much_is_refused_by_its_header(
    checks: ImageChecks, tmp_path: Path
) -> None:
    bomb = tmp_path / "0.png"
    bomb.write_bytes(png(60_000, 50_000, zlib.compress(bytes(24_000_000))))
    message = wrong(checks, bomb)
    asks = saying("result-asks-when-decoded", "frame_0001.png", "11 GB")
    assert message == saying("image-expands-too-much", asks, "8.0 GB", 100)
    bomb.write_bytes(png(80_000, 80_000, b""))
    asks = saying("result-asks-when-decoded", "frame_0001.png", "23 GB")
    assert wrong(checks, bomb) == saying("image-too-large-to-check", asks)
    # It still serves others, and so do files of its own size.
    assert checks.check(picture(tmp_path / "1.png"), "frame_0002.png", (64, 36)) is not None
    bomb.write_bytes(png(400_000, 400_000, b""))
    message = wrong(checks, bomb)
    assert says(message, "not-complete-image") or says(message, "result-asks-when-decoded")


def test_the_wrong_size_is_told_before_anything_is_decoded(
    checks: ImageChecks, tmp_path: Path
) -> None:
    bomb = tmp_path / "0.png"
    bomb.write_bytes(png(30_000, 30_000, b"nothing of it is there"))
    assert says(wrong(checks, bomb, (64, 36)), "image-has-wrong-size", 30000, 30000, 64, 36)


def test_pixels_are_never_in_the_memory_of_who_asks(checks: ImageChecks, tmp_path: Path) -> None:
    large = tmp_path / "0.png"
    large.write_bytes(black(8000, 6000))
    checks.check(picture(tmp_path / "1.png"), "a.png", None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = checks.check(large, "frame_0001.png", (8000, 6000))
    assert found is not None
    assert found.pixels == 48_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # of 190,000 KB


def test_who_waits_no_more_does_not_wait_for_an_image(checks: ImageChecks, tmp_path: Path) -> None:
    def go_on() -> None:
        raise AbandonedError

    good = picture(tmp_path / "1.png")
    with pytest.raises(AbandonedError):
        checks.check(good, "a.png", None, go_on)
    # What was left of that answer is no other image's.
    assert checks.check(good, "a.png", (64, 36)) is not None


def _worker() -> psutil.Process:
    (first,) = _workers()
    return ([*first.children(recursive=True)] or [first])[-1]


def test_who_is_ruined_by_an_image_is_replaced(checks: ImageChecks, tmp_path: Path) -> None:
    good = picture(tmp_path / "1.png")
    assert checks.check(good, "a.png", None) is not None
    started = _workers()
    _worker().kill()
    psutil.wait_procs(started, 30)
    # Nobody asked it meanwhile: no image is to blame.
    assert checks.check(good, "a.png", None) is not None


def test_who_takes_too_long_is_ended(
    checks: ImageChecks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = picture(tmp_path / "1.png")
    assert checks.check(good, "a.png", None) is not None
    _worker().send_signal(signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(image_checks, "_HEADER_SECONDS", 1.0)
        assert says(wrong(checks, good), "took-too-long")
    assert checks.check(good, "a.png", None) is not None


CROWDED = """
import array, resource, socket, sys
from pathlib import Path
from farm.runner.results.image_checks import ImageChecks

checks = ImageChecks(sys.argv[1])
path = Path(sys.argv[2])
assert checks.check(path, "a.png", None) is not None
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, most))
ours, theirs = socket.socketpair()
files = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 50))
try:
    while True:
        ours.sendmsg([b"x"], [files])
except OSError as error:
    print(error.errno)
for _ in range(2):
    assert checks.check(path, "a.png", None) is not None
ours.close(), theirs.close()
assert checks.check(path, "a.png", None) is not None
checks.close()
"""


@pytest.mark.parametrize("mode", MODES)
def test_an_image_is_looked_at_although_a_scene_has_too_many_files_on_the_way(
    mode: str,
) -> None:
    with ordinary_user() as user, tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        image = picture(Path(folder) / "1.png")
        image.chmod(0o644)
        python, variables = python_of_all()
        line = [*drop(user), python, "-c", CROWDED, mode, str(image)]
        done = subprocess.run(line, env=variables, cwd="/", timeout=120, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) == errno.ETOOMANYREFS


FORGERY = """
import os, socket, time
said = socket.socket(fileno=0)
said.recv(1 << 16)
said.sendall(b'{answer}\\n')
time.sleep(60)
"""


@pytest.mark.parametrize(
    "answer",
    [
        f'{{"decoding": {10**30}}}',
        '{"decoding": -1}',
        '{"decoding": 1}\\n{"decoding": 1}',
        '{"dreaming": 1}',
    ],
)
def test_who_is_in_the_hands_of_an_image_gets_no_time_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    script = FORGERY.replace("{answer}", answer)
    monkeypatch.setattr(
        image_checks, "command", lambda *_: ["/bin/env", sys.executable, "-c", script]
    )
    forged = ImageChecks("off")
    assert says(wrong(forged, picture(tmp_path / "1.png")), "checker-gave-no-proper-answer")
    forged.close()


@pytest.mark.parametrize("mode", MODES)
def test_what_an_image_needs_beyond_the_limit_of_memory_it_does_not_get(
    mode: Mode, tmp_path: Path
) -> None:
    """Where decoding ends when the header has lied, or a decoder needs more than the pixels."""
    ours, theirs = socket.socketpair()
    script = (
        "import socket\n"
        "from farm.confine.own_limits import limit; limit(1 << 30, 64, 0)\n"
        "try: bytearray(2 << 30); said = b'all of it'\n"
        "except MemoryError: said = b'refused'\n"
        "socket.socket(fileno=0).sendall(said)"
    )
    with theirs:
        subprocess.run(
            [*command("nothing", mode)[:-4], "-c", script],
            stdin=theirs.fileno(),
            env=environment(tmp_path),
        )
    with ours:
        assert ours.recv(100) == b"refused"


def test_an_image_gets_no_more_memory_than_a_renderer_may_have(
    checks: ImageChecks, tmp_path: Path
) -> None:
    """Three GB are the least: libraries, and what any frame needs."""
    large = tmp_path / "frame.exr"
    file = oiio.ImageOutput.create(str(large))
    assert file.open(str(large), oiio.ImageSpec(29_000, 29_000, 1, oiio.FLOAT))
    # Any buffer will do.
    lines = cast("Any", array("f", bytes(4 * 16 * 29_000)))
    assert file.write_scanlines(0, 16, 0, lines)
    file.close()
    # As long as nobody says how much it may have, it is found to end too early.
    assert says(wrong(checks, large), "not-complete-image")
    checks.allow(1 << 30)
    assert wrong(checks, large) == saying("result-needs-more-than-gb", "frame_0001.png", "3.0")
    assert checks.check(picture(tmp_path / "1.png"), "frame_0002.png", (64, 36)) is not None


LOOK = """
import json, os, socket, sys
from farm.confine.own_limits import limit
limit(1 << 31, 64, 1 << 20)
secret, port, written = sys.argv[1:]
def tried(work):
    try:
        work()
        return "done"
    except OSError as error:
        return type(error).__name__
pattern = "/proc/sys/kernel/core_pattern"
def same():
    text = open(pattern).read()
    with open(pattern, "w") as file:
        file.write(text)
print(json.dumps({
    "secret": tried(lambda: open(secret).read()),
    "loopback": tried(lambda: socket.create_connection(("127.0.0.1", int(port)), 5)),
    "write": tried(lambda: open(written, "w").write("x")),
    "kernel": tried(same),
    "others": sorted(int(each) for each in os.listdir("/proc") if each.isdigit()),
    "user": os.geteuid(),
    "groups": os.getgroups(),
}))
"""


@sandboxed
def test_who_looks_at_images_sees_nothing_of_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the farm's")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        line = [*command("nothing", "required")[:-4], "-c", LOOK, str(secret), port]
        done = subprocess.run(
            [*line, str(tmp_path / "new")],
            env=environment(),
            check=True,
            capture_output=True,
            pass_fds=[],
        )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["secret"] == "FileNotFoundError"
    assert found["loopback"] == "ConnectionRefusedError" or "OSError" in found["loopback"]
    assert found["write"] != "done"
    assert found["kernel"] != "done"
    assert len(found["others"]) <= 3
    assert found["user"] != 0
    assert 0 not in found["groups"]
    assert not (tmp_path / "new").exists()


def test_a_large_frame_with_passes_is_decoded_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = ("Combined", "Depth", "Normal")
    names = [f"ViewLayer.{layer}.{each}" for layer in layers for each in "RGBA"]
    spec = oiio.ImageSpec(320, 180, len(names), oiio.HALF)
    spec.channelnames = tuple(names)
    image = oiio.ImageBuf(spec)
    assert oiio.ImageBufAlgo.noise(image, "gaussian", 0.4, 0.2)
    path = tmp_path / "frame.exr"
    assert image.write(str(path)), image.geterror()

    def seen() -> Any:
        return image_check.examine(path, "frame.exr", (320, 180))

    at_once = seen()
    assert at_once is not None
    for most in (1, 320 * 180 * 2 * 3, 320 * 180 * 2 * 5):
        monkeypatch.setattr(image_check, "_AT_ONCE_BYTES", most)
        assert seen() == at_once
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(OutputError, check=saying("not-complete-image")):
        seen()


def test_honest_large_frames_are_affordable() -> None:
    def spec(side: int, channels: int, kind: Any) -> Any:
        return oiio.ImageSpec(side, side, channels, kind)

    image = image_check._Image(Path(__file__), "frame.exr")  # Its size is that of the file.
    for each in (spec(16384, 4, oiio.UINT8), spec(16384, 4, oiio.FLOAT), spec(32768, 2, oiio.HALF)):
        assert image._affordable([each]) == each.image_bytes()


WRITES = """
mkdir -p "$out"
cp '{file}' "$out/frame_000$1.png"
echo 'farm_event: {{"event": "frame_written", "frame": '$1', "seconds": 1, "extra": [],\
 "files": ["frame_000'$1'.png"]}}'
"""


@pytest.mark.parametrize("sandbox", MODES)
def test_a_bomb_fails_its_frame_and_no_other(rig: Rig, tmp_path: Path, sandbox: Mode) -> None:
    bomb, good = tmp_path / "bomb.png", picture(tmp_path / "good.png")
    bomb.write_bytes(png(80_000, 80_000, zlib.compress(bytes(24_000_000))))
    images = tmp_path / "programs"
    images.mkdir()
    for each in (bomb, good):
        each.rename(images / each.name)
    program = images / "blender"
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = "--version" ]; then echo "Blender 3.4.1"; exit 0; fi\n'
        'for each; do case "$each" in --output=*) out="${each#--output=}";; esac; done\n'
        + "write() {"
        + WRITES.format(file="'$2'").replace("'''$2'''", "'$2'").replace("''$2''", '"$2"')
        + "}\n"
        + f"write 1 '{images / 'bomb.png'}'\nwrite 2 '{images / 'good.png'}'\n"
    )
    program.chmod(0o755)
    farm = rig.farm("plain.blend", [[1, 2]])
    rig.run(farm, "--sandbox", sandbox, "--blender", str(program))
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.frame) == (Outcome.FAILED, 1), farm.log
    assert says(finish.message, "result-asks-when-decoded", "frame_0001.png", "23 GB")
    assert list(farm.frames) == [2]
    assert os.listdir(rig.work_dir) == []


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_packages_may_lie_beside_the_python(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `pip install --user`, or with PYTHONPATH."""
    place = tmp_path / "site-packages"
    place.mkdir()
    place.chmod(0o755)
    (place / "lies_beside.py").write_text("print('found')")
    monkeypatch.syspath_prepend(place)
    monkeypatch.syspath_prepend(tmp_path / "where this was started")
    said = subprocess.check_output(command("lies_beside", mode), env=environment())
    assert said == b"found\n"


def test_only_programs_of_ours_are_confined() -> None:
    assert command("farm.runner.results.image_worker", "off")[0] == sys.executable


@pytest.mark.skipif(not is_root(), reason="only root can become somebody else")
def test_a_user_whom_the_system_knows_no_home_of_can_have_images_looked_at() -> None:
    python, variables = python_of_all()
    del variables["HOME"]
    code = "from farm.confine.readers import command; print(command('some.module', 'off'))"
    done = subprocess.run(
        [python, "-c", code],
        user=54_321,
        env=variables,
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
    )
    assert "some.module" in done.stdout
