"""Scenes are input: a .blend that is made to fill the disk of who looks through it."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from bombs import MB, Largest, make_bomb
from farm.confine import probe
from farm.confine.readers import Readers
from farm.scenes import blend_assets
from farm.scenes.blend_assets import NoRoomError, UnreadableBlendError, missing_assets
from farm_protocol.inside import NotRegularError
from farm_protocol.runner import SandboxMode as Mode
from farm_protocol.scene_files import TraceAnswer, TraceQuestion
from messages import says
from waiting import until_dead

TRACER = [sys.executable, "-m", "farm.scenes.trace_files"]
MODES = [pytest.param("auto", marks=pytest.mark.skipif(bool(probe()), reason="no sandbox")), "off"]


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    """A .blend of some 20 kB that expands to 640 MB."""
    return make_bomb(tmp_path / "bomb.blend")


@pytest.mark.parametrize("mode", MODES)
def test_a_scene_that_expands_without_end_is_given_up_early(
    bomb: Path, tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, others = tmp_path / "scratch", tmp_path / "others"
    scratch.mkdir()
    others.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(others))
    others.chmod(0o777)
    with Largest(scratch) as written, pytest.raises(UnreadableBlendError) as error:
        missing_assets("show/bomb.blend", {"show/bomb.blend": bomb}, readers=Readers(mode, scratch))
    assert says(error.value, "expands-more-than-mb", 256)
    assert written.bytes <= 257 * MB
    assert list(scratch.iterdir()) == []
    assert list(others.iterdir()) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_scene_that_expands_leaves_most_of_a_small_disk_free(
    bomb: Path, tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    usage = shutil.disk_usage(folder)._replace(free=400 * MB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with Largest(folder) as written, pytest.raises(NoRoomError) as error:
        missing_assets("show/bomb.blend", {"show/bomb.blend": bomb}, readers=Readers(mode))
    assert says(error.value, "cannot-read-too-little-disk", "show/bomb.blend")
    assert written.bytes <= 101 * MB


@pytest.mark.parametrize(
    "answer",
    ['{"usages": []}', '{"assets": [{}]}', '{"assets": 1}', "{", '{"path": 1, "reason": []}', ""],
)
def test_who_reads_a_scene_may_be_in_its_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    line = [sys.executable, "-S", "-c", f"print({answer!r})"]
    monkeypatch.setattr(blend_assets, "command", lambda *_, **__: line)
    scene = tmp_path / "a.blend"
    scene.write_bytes(b"BLENDER-v304")
    with pytest.raises(UnreadableBlendError) as error:
        missing_assets("a.blend", {"a.blend": scene}, readers=Readers("off", tmp_path))
    assert error.value.path == "a.blend"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no FIFOs")
@pytest.mark.parametrize("made", ["fifo", "link"])
def test_nothing_is_waited_for_that_has_taken_a_scene_s_place(tmp_path: Path, made: str) -> None:
    """Somebody looked whether it is a file, before it is opened."""
    blend = tmp_path / "scene.blend"
    if made == "fifo":
        os.mkfifo(blend)
    else:
        blend.symlink_to("/dev/zero")
    with pytest.raises(NotRegularError):
        missing_assets("a/scene.blend", {"a/scene.blend": blend})
    question = TraceQuestion(blends=[str(blend)]).model_dump_json()
    done = subprocess.run([*TRACER], input=question, capture_output=True, text=True, check=True)
    answer = TraceAnswer.model_validate_json(done.stdout)
    assert answer.failures.keys() == {str(blend)}


@pytest.mark.skipif(sys.platform != "linux", reason="others do not know such a signal")
def test_a_reader_ends_with_its_envoy() -> None:
    """Also when that is killed while the reader is at work."""
    asked, question = os.pipe()
    starts = f"import subprocess, time; print(subprocess.Popen({TRACER}).pid, flush=True)"
    with os.fdopen(question, "wb"):
        envoy = subprocess.Popen(
            [sys.executable, "-c", f"{starts}; time.sleep(600)"],
            stdin=asked,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.close(asked)
        with envoy:
            assert envoy.stdout is not None
            reader = psutil.Process(int(envoy.stdout.readline()))
            while "pipe_read" not in Path(f"/proc/{reader.pid}/wchan").read_text():
                pass
            envoy.kill()
        until_dead([reader])
