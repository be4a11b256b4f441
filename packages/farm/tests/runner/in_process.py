"""A job of any product through the real runner, in this process, against the fake farm."""

import os
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from farm.products import BUILT_IN, Library
from farm.renderers import Discovery, Renderer
from farm.runner.farm_client import Farm
from farm.runner.loop import work
from farm_protocol.files import KnownFile
from farm_protocol.hashing import hash_file
from farm_protocol.runner import (
    DiskSource,
    Finish,
    JobLimits,
    LicenceServer,
    PlugInChoice,
    RunnerJob,
)
from farm_protocol.runner import SandboxMode as Mode
from pydantic import JsonValue

from .fake_farm import TOKEN, FakeFarm


class Only(Discovery):
    """A machine that has these programs, which nobody asks for their versions."""

    def __init__(self, renderers: Sequence[Renderer]) -> None:
        super().__init__()
        self._renderers = renderers

    def of(self, app: str) -> Iterator[Renderer]:
        yield from (each for each in self._renderers if each.app == app)

    def found(self) -> list[Renderer]:
        return list(self._renderers)


def run_job(
    folder: Path,
    app: str,
    program: Path | Sequence[Renderer],
    operation: str,
    scene: str,
    claims: list[list[int]],
    parameters: Mapping[str, JsonValue],
    yields: bool | str = False,
    sandbox: Mode = "off",
    output_folder: str = "show/results",
    gpu: bool = False,
    app_version: str = "",
    plugins: Sequence[str] = (),
    plugin_choices: Mapping[str, PlugInChoice] | None = None,
    unseen_plugins: Sequence[str] = (),
    others: Mapping[str, Path] | None = None,
    taken: Collection[int] = (),
    limits: JobLimits | None = None,
    licence_servers: Sequence[LicenceServer] = (),
    library: Library = BUILT_IN,
    work_with: Callable[[FakeFarm], None] | None = None,
) -> FakeFarm:
    """Render a job of the project in ``folder/project``; return the farm that was told of it.

    Parameters:
        program: of the product, or what stands in for it; a `Renderer` is not asked who it is.
        scene: its path in the project.
        yields: the farm wants the machine back from the beginning; "delivered": from the first
            frame on.
        gpu: the job has a machine with a GPU.
        others: programs of other products on the same machine.
        taken: frames whose files another job has written.
        limits: of its machine type; None: the machine's own.
        licence_servers: that the farm's catalogue names for it.
        library: the products that farm and runner know.
        work_with: runs the runner, with ``folder/work``; None: it runs in this process.
    """
    template = library.load(app, operation)
    assert template is not None
    template = template.for_scene(scene)
    checked = template.validate(parameters)
    assert not checked.errors, checked.errors
    project, store = folder / "project", folder / "store"
    job = RunnerJob(
        job_id="job1",
        name="beauty",
        app=app,
        app_version=app_version,
        operation=operation,
        template=template.name,
        scene=f"show/{scene}",
        parameters=checked.values,
        plugins=list(plugins),
        plugin_choices=dict(plugin_choices or {}),
        unseen_plugins=list(unseen_plugins),
        gpu=gpu,
        files=[
            _store(store, path, project) for path in sorted(project.rglob("*")) if path.is_file()
        ],
        output_folder=output_folder,
        limits=limits or JobLimits(),
        licence_servers=list(licence_servers),
        source=DiskSource(folder=str(store)),
    )
    farm = FakeFarm(job, claims)
    farm.yields = yields
    farm.taken = set(taken)
    try:
        if work_with is not None:
            work_with(farm)
        else:
            runner = Farm(farm.url, TOKEN)
            if isinstance(program, Path):
                programs = {**(others or {}), app: program}
                named = {name: [str(path)] for name, path in programs.items()}
                there = Discovery(named, library=library)
            else:
                there = Only(program)
            work(runner, folder / "work", there, sandbox, threading.Event())
            runner.close()
    finally:
        farm.down()
    assert farm.problems == []
    assert list((folder / "work").iterdir()) == []
    return farm


def _store(store: Path, path: Path, project: Path) -> KnownFile:
    digest, size = hash_file(path)
    blob = store / digest[:2] / digest
    blob.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, blob)
    return KnownFile(path=f"show/{path.relative_to(project)}", hash=digest, size=size)


def end(farm: FakeFarm) -> Finish:
    """Return how the only claim ended."""
    (finish,) = farm.finishes.values()
    return finish


def names(farm: FakeFarm) -> dict[int, Sequence[str]]:
    """Return the files of each frame, by their names in the output folder."""
    return {
        frame: [output.path.removeprefix("show/results/") for output in done.outputs]
        for frame, done in sorted(farm.frames.items())
    }


def python_of_all() -> tuple[str, dict[str, str]]:
    """Return a Python that every user may run, and the variables with which it finds this project.

    Ours may lie in somebody's own folder.
    """
    python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    if not Path(python).exists():
        pytest.skip(f"needs {python}")
    # Its own library is where it is; all else is ours.
    places = [str(Path(__file__).parents[1]), *sys.path]
    places = [each for each in places if not Path(each).is_relative_to(sys.base_prefix)]
    # A home is asked for, and need not be there.
    return python, {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join(places),
    }
