"""The main job beside the bare ``blender`` command, on this machine.

The pairs are taken alternately, so that a slow minute of the machine meets both.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench.farmhouse import SAMPLE, Farmhouse

LAST_FRAME = 24


def run(console: Console, runs: int, idle_seconds: float) -> None:
    """Measure and print."""
    if shutil.which("blender") is None:
        sys.exit("The peer of this benchmark is the 'blender' command, which is not on PATH.")
    table = Table("what", "bare blender", "Envoy", "ratio", "aim", title="The main job")
    with tempfile.TemporaryDirectory() as folder:
        house = Farmhouse(Path(folder))
        house.up()
        try:
            idle(table, house, idle_seconds)
            first_frame(table, house, runs)
            whole_job(table, house, runs)
        finally:
            house.down()
    console.print(f"{bare_version()}, medians of {runs} runs")
    console.print(table)


def timed(action: Callable[[], object]) -> float:
    """Return how many seconds it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def bare(*arguments: str) -> None:
    """Run the bare command on the sample project."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["blender", "-b", "-noaudio", "--factory-startup", str(SAMPLE / "scene.blend")]
        command += ["-E", "CYCLES", "-o", f"{folder}/frame_####", "-F", "PNG", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def bare_version() -> str:
    """Return Blender's own name and version."""
    output = subprocess.run(["blender", "--version"], capture_output=True, text=True, check=True)
    return output.stdout.splitlines()[0]


def first_frame(table: Table, house: Farmhouse, runs: int) -> None:
    """Submit one frame until it lies in the results folder, beside Blender for that frame."""
    alone, ours = [], []
    for _ in range(runs):
        alone.append(timed(lambda: bare("-f", "1")))
        start = time.perf_counter()
        results = house.submit("1")
        ours.append(house.wait(results, 1) - start)
    compare(table, "submit to first frame on disk", alone, ours, "")


def whole_job(table: Table, house: Farmhouse, runs: int) -> None:
    """Render all frames, beside one `blender -a`; and how late each frame arrives."""
    alone, ours, lateness = [], [], []
    for _ in range(runs):
        alone.append(timed(lambda: bare("-s", "1", "-e", str(LAST_FRAME), "-a")))
        with WrittenFrames(house.data / "farm" / "work") as written:
            start = time.perf_counter()
            results = house.submit(f"1 {LAST_FRAME}")
            ours.append(house.wait(results, LAST_FRAME) - start)
        lateness += [
            house.arrived[results][name] - moment
            for name, moment in written.moments.items()
            if name in house.arrived[results]
        ]
    limit = statistics.median(alone) * 1.1 + 1
    compare(table, f"{LAST_FRAME} frames, whole job", alone, ours, f"< {limit:.2f} s")
    lateness.sort()
    table.add_row(
        "frame written to frame downloaded",
        "",
        f"{statistics.median(lateness):.3f} s (95 %: {lateness[len(lateness) * 95 // 100]:.3f} s,"
        f" {len(lateness)} frames)",
        "",
        "< 0.3 s",
    )


def idle(table: Table, house: Farmhouse, seconds: float) -> None:
    """CPU and memory of the two services while nothing happens."""
    time.sleep(3)  # What starting up has left to do is not idling.
    services = {"Envoy": house.envoy_process(), "farm": house.farm_process()}
    before = {name: cpu_seconds(process) for name, process in services.items()}
    time.sleep(seconds)
    for name, process in services.items():
        used = (cpu_seconds(process) - before[name]) / seconds * 100
        table.add_row(f"{name} idle CPU", "", f"{used:.2f} % of a core", "", "< 1 %")
    for name, process in services.items():
        megabytes = process.memory_full_info().uss / 1e6
        resident = process.memory_info().rss / 1e6
        shown = f"{resident:.0f} MB ({megabytes:.0f} MB its own)"
        table.add_row(f"{name} memory", "", shown, "", "< 150 MB")


def cpu_seconds(process: psutil.Process) -> float:
    """Return user and system time."""
    times = process.cpu_times()
    return float(times.user + times.system)


def compare(table: Table, what: str, alone: list[float], ours: list[float], aim: str) -> None:
    """Add a row of two medians and their ratio."""
    left, right = statistics.median(alone), statistics.median(ours)
    table.add_row(what, f"{left:.2f} s", f"{right:.2f} s", f"{right / left:.2f}", aim)


class WrittenFrames:
    """Notes when each frame appears in a runner's output folder, under its final name."""

    def __init__(self, folder: Path) -> None:
        self.moments: dict[str, float] = {}
        self._folder = folder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "WrittenFrames":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.005):
            for path in self._folder.glob("*/**/frame_*.png"):
                self.moments.setdefault(path.name, time.perf_counter())
