"""Real scenes, a fake farm, and real runner processes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blenders import Blender
from farm.products import BUILT_IN
from farm_protocol.files import KnownFile
from farm_protocol.hashing import hash_file
from farm_protocol.runner import TOKEN_VARIABLE, DiskSource, RunnerJob, TicketSource
from pydantic import JsonValue

from .fake_farm import TOKEN, FakeFarm

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def scenes(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with small scenes, made by Blender once."""
    folder = blender.made_by(HERE / "make_scenes.py", tmp_path_factory.mktemp("scenes"))
    whole = (folder / "plain.blend").read_bytes()
    (folder / "corrupt.blend").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="session")
def lacking(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with scenes that lack something."""
    return blender.made_by(HERE / "make_lacking.py", tmp_path_factory.mktemp("lacking"))


class Rig:
    """Starts a farm with one job of a project ``show``, and runners for it."""

    def __init__(self, blender: Blender, scenes: Path, tmp_path: Path) -> None:
        self.blender, self.scenes, self.tmp_path = blender, scenes, tmp_path
        self.processes: list[subprocess.Popen[bytes]] = []
        self.farms: list[FakeFarm] = []
        self.work_dir = tmp_path / "work"

    def farm(
        self,
        scene: str,
        claims: list[list[int]],
        /,
        files: list[str] | None = None,
        on_disk: bool = True,
        **params: JsonValue,
    ) -> FakeFarm:
        template = BUILT_IN.load("blender", "render")
        assert template is not None
        checked = template.validate({"frames": "1", **params})
        assert not checked.errors
        entries, blobs = [], {}
        store = self.tmp_path / "store"
        for name in [scene, *(files or [])]:
            digest, size = hash_file(self.scenes / name)
            blob = store / digest[:2] / digest
            blob.parent.mkdir(parents=True, exist_ok=True)
            if not blob.exists():
                shutil.copyfile(self.scenes / name, blob)
                blob.chmod(0o444)
            blobs[digest] = blob.read_bytes()
            entries.append(KnownFile(path=f"show/{name}", hash=digest, size=size))
        job = RunnerJob(
            job_id="job1",
            name="beauty",
            app="blender",
            app_version="",
            operation="render",
            template=template.name,
            scene=f"show/{scene}",
            parameters=checked.values,
            plugins=[],
            files=entries,
            output_folder="show/results",
            source=DiskSource(folder=str(store)) if on_disk else TicketSource(),
        )
        farm = FakeFarm(job, claims)
        if not on_disk:
            farm.blobs.update(blobs)
        self.farms.append(farm)
        return farm

    def start(self, farm: FakeFarm, *arguments: str, token: str = TOKEN) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "farm.runner", "--farm", farm.url]
        command += ["--work-dir", str(self.work_dir), *arguments]
        if self.blender.is_module and "--blender" not in arguments:
            command += ["--blender", str(self.blender.program)]
        environment = {**os.environ, TOKEN_VARIABLE: token, "SECRET_OF_THE_HOST": "x"}
        process = subprocess.Popen(command, env=environment)
        self.processes.append(process)
        return process

    def run(self, farm: FakeFarm, *arguments: str) -> int:
        code = self.start(farm, *arguments).wait(60)
        assert farm.problems == []
        return code


@pytest.fixture
def rig(blender: Blender, scenes: Path, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(blender, scenes, tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.wait()
    for farm in made.farms:
        if not farm.is_down:
            farm.down()


@pytest.fixture
def renderers_of() -> Callable[[int], list[int]]:
    """Return a function that lists the living renderers of a runner by its process id."""

    def find(pid: int) -> list[int]:
        import psutil

        return [
            child.pid
            for child in psutil.Process(pid).children(recursive=True)
            if child.status() != psutil.STATUS_ZOMBIE and "render.py" in " ".join(child.cmdline())
        ]

    return find
