"""The local engine with real runner processes, against a farm that turns every runner away."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from farm.engines import local
from farm.engines.local import LocalEngine
from farm.engines.port import Engine, LaunchRequest, Phase

from .conftest import FakeFarm
from .contract import EngineContract

PROGRAMS = {"nuke": ["/opt/a/Nuke15.1", "/opt/b/Nuke14.0"], "maya": ["/opt/my maya/Render"]}


class TestLocal(EngineContract):
    """The contract of all engines."""

    def make(self, folder: Path, on_exit: Callable[[], None]) -> Engine:
        return LocalEngine(folder / "work", folder / "logs", PROGRAMS, on_exit)

    def breaks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_processes(*_: object, **__: object) -> None:
            raise OSError("no processes left")

        monkeypatch.setattr(subprocess, "Popen", no_processes)


class House:
    """An engine, and a count of the runners that have ended."""

    def __init__(self, folder: Path, fake_farm: FakeFarm) -> None:
        self.folder = folder
        self.ended = threading.Semaphore(0)
        self.url = f"http://127.0.0.1:{fake_farm.server_port}"
        self.engine = LocalEngine(folder / "work", folder / "logs", PROGRAMS, self.ended.release)

    def launch(self, token: str) -> str:
        (reference,) = self.engine.launch([LaunchRequest("r1", "j1", "local-cpu", self.url, token)])
        assert isinstance(reference, str)
        return reference

    def alive(self, *references: str) -> set[str]:
        sights = self.engine.look(references)
        return {each for each in references if sights[each].phase is Phase.RUNNING}


@pytest.fixture
def house(tmp_path: Path, fake_farm: FakeFarm) -> House:
    return House(tmp_path, fake_farm)


def test_a_runner_from_launch_to_end(house: House, fake_farm: FakeFarm) -> None:
    reference = house.launch("secret-token")
    assert fake_farm.knocked.acquire(timeout=60)
    assert fake_farm.tokens == ["secret-token"]
    process = psutil.Process(int(reference.split(":")[0]))
    assert house.alive(reference, "1:0.0", "999999:1.0") == {reference}
    given = process.cmdline()
    assert [given[at + 1] for at, word in enumerate(given) if word == "--program"] == [
        "nuke=/opt/a/Nuke15.1",
        "nuke=/opt/b/Nuke14.0",
        "maya=/opt/my maya/Render",
    ]
    # The secret can be seen neither in its arguments nor in its environment.
    assert "secret-token" not in " ".join(process.cmdline())
    assert "secret-token" not in str(process.environ())
    fake_farm.open.set()
    assert house.ended.acquire(timeout=60)
    assert house.alive(reference) == set()


def test_stop_ends_a_runner_and_forgives_unknown_ones(house: House, fake_farm: FakeFarm) -> None:
    reference = house.launch("t")
    assert fake_farm.knocked.acquire(timeout=60)
    house.engine.stop(reference)
    house.engine.stop(reference)
    house.engine.stop("1:0.0")
    fake_farm.open.set()
    assert house.ended.acquire(timeout=60)
    assert house.alive(reference) == set()


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere a process keeps the time of its start")
def test_a_step_of_the_clock_loses_no_runner(
    house: House, fake_farm: FakeFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = house.launch("t")
    assert fake_farm.knocked.acquire(timeout=60)
    # The kernel tells of an earlier or later boot whenever the clock is set.
    moved = psutil.boot_time() + 3600
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: moved)
    assert house.alive(reference) == {reference}
    house.engine.stop(reference)
    assert house.ended.acquire(timeout=60)
    assert house.alive(reference) == set()


def test_a_spare_runner_is_used_and_let_go(
    house: House, fake_farm: FakeFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = set(psutil.Process().children())
    house.engine.prepare()
    (spare,) = set(psutil.Process().children()) - others
    house.engine.prepare()
    assert set(psutil.Process().children()) - others == {spare}
    assert house.launch("t").split(":")[0] == str(spare.pid)
    assert fake_farm.knocked.acquire(timeout=60)
    fake_farm.open.set()
    assert house.ended.acquire(timeout=60)
    monkeypatch.setattr(local, "SPARE_SECONDS", 0.1)
    house.engine.prepare()
    (spare,) = set(psutil.Process().children()) - others
    assert spare.wait(60) in (0, None)
    house.engine.prepare()
    house.engine.close()
    assert set(psutil.Process().children()) <= others


def test_folders_of_dead_runners_are_removed(tmp_path: Path, fake_farm: FakeFarm) -> None:
    gone = max(psutil.pids()) + 100_000
    dead = tmp_path / "work" / f"job-{gone}-abc"
    living = tmp_path / "work" / f"job-{psutil.Process().pid}-abc"
    for folder in (dead, living):
        (folder / "deep").mkdir(parents=True)
    House(tmp_path, fake_farm)
    assert not dead.exists()
    assert living.exists()


def test_what_a_killed_runner_left_elsewhere_goes_with_its_folder(tmp_path: Path) -> None:
    """A renderer that is not root may need its folder elsewhere, see `farm.runner.workplace`."""
    elsewhere, work = tmp_path / "elsewhere", tmp_path / "work"
    (elsewhere / "home").mkdir(parents=True)
    work.mkdir()
    dead = subprocess.Popen(["true"])
    dead.wait()
    (work / f"job1-{dead.pid}-abc").symlink_to(elsewhere)
    LocalEngine(work, tmp_path / "logs", {}, lambda: None)
    assert list(work.iterdir()) == []
    assert not elsewhere.exists()


def test_what_a_scene_has_left_does_not_keep_a_farm_from_starting(tmp_path: Path) -> None:
    work = tmp_path / "work"
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = work / f"job1-{dead.pid}-abc"
    left.mkdir(parents=True)
    # More folders in folders than a program in Python may have calls in calls.
    make = "import os\nfor _ in range(2000): os.mkdir('x'); os.chdir('x')"
    subprocess.run([sys.executable, "-c", make], cwd=left, check=True)
    LocalEngine(work, tmp_path / "logs", {}, lambda: None)
    assert list(work.iterdir()) == []
