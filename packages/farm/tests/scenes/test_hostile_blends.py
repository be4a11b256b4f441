"""Scenes are input: a .blend that is made to fill the disk of who looks through it."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from farm.confine import probe
from farm.confine.readers import Readers
from farm.scenes import blend_assets
from farm.scenes.blend_assets import UnreadableBlendError, missing_assets
from farm_protocol.runner import SandboxMode as Mode
from messages import says

MODES = [pytest.param("auto", marks=pytest.mark.skipif(bool(probe()), reason="no sandbox")), "off"]
MB = 1024**2


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    """A .blend of some 20 kB that expands to 640 MB."""
    path = tmp_path / "bomb.blend"
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as writer:
        writer.write(b"BLENDER-v304DATA")
        for _ in range(640):
            writer.write(bytes(MB))
    assert path.stat().st_size < MB // 4
    return path


class _Largest:
    """The most bytes that lie in a folder, as far as somebody who always looks can tell."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._over, self.bytes = folder, threading.Event(), 0
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.005):
            with os.scandir(self._folder) as entries:
                inside = [each for entry in entries for each in _files(Path(entry.path))]
            self.bytes = max(self.bytes, sum(inside))

    def __enter__(self) -> "_Largest":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def _files(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            yield path.stat().st_size
        except OSError:
            continue


@pytest.mark.parametrize("mode", MODES)
def test_a_scene_that_expands_without_end_is_given_up_early(
    bomb: Path, tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, others = tmp_path / "scratch", tmp_path / "others"
    scratch.mkdir()
    others.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(others))
    others.chmod(0o777)
    with _Largest(scratch) as written, pytest.raises(UnreadableBlendError) as error:
        missing_assets("show/bomb.blend", {"show/bomb.blend": bomb}, readers=Readers(mode, scratch))
    assert says(error.value, "expands-more-than-mb", 256)
    assert written.bytes <= 257 * MB
    assert list(scratch.iterdir()) == []
    assert list(others.iterdir()) == []


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
