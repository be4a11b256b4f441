"""``openjd run`` as its makers release it, timed: the peer of `bench.tasks`."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from farm.products import BUILT_IN

from bench.null_farm import install_renderer
from bench.usage import Watched

_SCRIPT = Path(__file__).with_name("openjd_run.py")

_SLEEP = """
specificationVersion: jobtemplate-2023-09
extensions: [TASK_CHUNKING]
name: sleep
parameterDefinitions:
  - {name: FrameRange, type: STRING}
  - {name: FrameCount, type: INT}
steps:
  - name: render
    parameterSpace:
      taskParameterDefinitions:
        - name: Frame
          type: CHUNK[INT]
          range: "{{Param.FrameRange}}"
          chunks: {defaultTaskCount: "{{Param.FrameCount}}", rangeConstraint: NONCONTIGUOUS}
    script:
      actions:
        onRun: {command: sleep, args: ["0.001"]}
"""
"""The render template's shape around the least program there is: what a task costs by itself."""


@dataclass(frozen=True)
class Run:
    """One measured run; ``cpu`` in seconds and ``memory`` in bytes, of all its processes."""

    tasks: int
    seconds: float
    cpu: float
    memory: int


class Peer:
    """Runs templates with ``openjd run``, in the environment that uv has made for it."""

    def __init__(self) -> None:
        """Make the environment where it is not made yet."""
        uv = shutil.which("uv") or str(_SCRIPT.parent.parent / ".uv" / "bin" / "uv")
        options = ["--script", str(_SCRIPT)]
        # The farm's own Python, so that both run on the same one.
        make = [uv, "sync", "--quiet", "--frozen", "--python", sys.executable, *options]
        subprocess.run(make, check=True)
        found = subprocess.run(
            [uv, "python", "find", *options], check=True, capture_output=True, text=True
        )
        self._python = found.stdout.strip()

    def render(self, tasks: int, chunk: int, image: bool) -> Run:
        """Run the farm's own template with the null renderer, ``chunk`` frames a process."""
        template = BUILT_IN.load("blender", "render")
        assert template is not None
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for each in ("output", "partial", "home"):
                (folder / each).mkdir()
            values = {
                "frames": "1",
                "Python": sys.executable,
                "Scripts": str(template.scripts),
                "RendererKind": "blender",
                "Renderer": str(install_renderer(folder, image)),
                "SceneFile": str(folder / "scene.blend"),
                "PathMap": "",
                "ProjectFolder": name,
                "OutputFolder": str(folder / "output"),
                "PartialFolder": str(folder / "partial"),
                "HomeFolder": str(folder / "home"),
                "Sandbox": "",
                "Plugins": "",
            }
            run = self._run(template.path, tasks, chunk, values)
            written = len(list((folder / "output").iterdir()))
            if written != tasks * image:
                raise RuntimeError(f"openjd run wrote {written} of {tasks} frames")
            return run

    def sleep(self, tasks: int) -> Run:
        """Run ``sleep 0.001``, a process a task."""
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder) / "sleep.yaml"
            template.write_text(_SLEEP)
            return self._run(template, tasks, 1, {})

    def _run(self, template: Path, tasks: int, chunk: int, values: dict[str, str]) -> Run:
        values = values | {"FrameRange": f"1-{tasks}", "FrameCount": str(chunk)}
        command = [self._python, str(_SCRIPT), "run", str(template)]
        for name, value in values.items():
            command += ["-p", f"{name}={value}"]
        with tempfile.TemporaryFile() as output:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            with Watched(psutil.Process(process.pid)) as watched:
                # Not process.wait(): only this tells what it and its descendants have used.
                _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - start
            if process.returncode:
                output.seek(0)
                raise RuntimeError(f"openjd run failed: {output.read()[-2000:].decode()}")
        return Run(tasks, seconds, used.ru_utime + used.ru_stime, watched.memory)
