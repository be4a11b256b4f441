"""Tasks of a millisecond through the farm and its local engine, beside ``openjd run``.

The farm is a real one: a job submitted over HTTP, a runner started by the local engine, claims of
up to 2,000 frames, an OpenJD session a claim, each frame checked, sent, reported and charged. Only
Blender is replaced, by `bench.null_renderer`, which sleeps a millisecond a frame.

`openjd run` takes the farm's own template with the same renderer and as many frames a chunk as a
claim has. It keeps no account of frames: nobody checks, sends or stores what was rendered.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from farm.jobs.chunks import claim_size
from rich.console import Console
from rich.table import Table

from bench.barehouse import Barehouse
from bench.growth import Growing, up_to
from bench.null_farm import install_renderer
from bench.null_renderer import TASK_SECONDS
from bench.openjd_peer import Peer, Run
from bench.usage import Watched, cpu_with_children

PATIENCE_SECONDS = 7200.0
_POLL_SECONDS = 0.1
_FEW = 1_000
"""How many tasks the repeated runs have; more of them are done once."""
_FLUSHES = 3
"""A frame with a file is flushed: the file, its row, and the frame's row."""


@dataclass(frozen=True)
class FarmRun(Run):
    """What a job took; CPU in seconds of the farm's process, the runner and the renderer."""

    farm_cpu: float
    runner_cpu: float
    renderer_cpu: float


def run(console: Console, runs: int, tasks: int) -> None:
    """Measure and print, at 1,000 tasks, 10,000 and so on, each with its factor to the one before.

    Parameters:
        tasks: the last size.
    """
    table = Table(
        *("what", "tasks", "runs", "seconds", "tasks/s", "CPU a task", "memory"),
        title="Tasks of one millisecond, from the order to the last one's end",
    )
    peer, most = Peer(), max(1, min(runs, 3))
    few = min(_FEW, tasks)
    sizes = [(count, most if count == few else 1) for count in up_to(tasks)]
    whole: dict[str, Run] = {}
    details: list[str] = []
    for image, which in ((True, "a file each"), (False, "no files")):
        # Without files only the few: it is what the files cost that is to be seen.
        ours, theirs = _Rows(table), _Rows(table)
        for count, times in sizes if image else sizes[:1]:
            found = _repeat(times, partial(_farm, count, image))
            whole[f"farm, {which}"] = ours.add(f"farm, {which}", found)
            chunk = claim_size(count, 1, None, None)
            again = _repeat(
                times,
                partial(peer.render, count, chunk, image),
            )
            name = f"openjd run, {which}, {chunk:,} a process"
            whole[f"openjd run, {which}"] = theirs.add(name, again)
        details.append(_explain(which, _middle(found), _flush_seconds() if image else None))
    name = "openjd run, a process each"
    rows = _Rows(table)
    half, alone = (
        rows.add(name, _repeat(most, partial(peer.sleep, count))) for count in (few // 2, few)
    )
    console.print(table)
    console.print(
        "no files: the farm's frames all name one small blob, sent once a claim, and openjd's "
        "renderer writes nothing."
    )
    each = (alone.seconds - half.seconds) / (alone.tasks - half.tasks)
    console.print(
        f"a process each: {half.tasks:,} and {alone.tasks:,} tasks show {each * 1000:.1f} ms for "
        f"one more; {tasks:,} would take {alone.seconds + each * (tasks - alone.tasks):.0f} s."
    )
    for which in ("a file each", "no files"):
        farm, openjd = whole[f"farm, {which}"], whole[f"openjd run, {which}"]
        console.print(
            f"{which}: the farm does {_ratio(farm, openjd):.2f} times the tasks a second of "
            f"`openjd run` on the same template, {_ratio(farm, alone):.2f} times those of "
            "`openjd run` with a process a task."
        )
    for line in details:
        console.print(line)


def _repeat(times: int, action: Callable[[], Run]) -> list[Run]:
    return [action() for _ in range(times)]


def _middle(found: list[Run]) -> Run:
    return sorted(found, key=lambda each: each.seconds)[(len(found) - 1) // 2]


def _ratio(one: Run, other: Run) -> float:
    return (one.tasks / one.seconds) / (other.tasks / other.seconds)


class _Rows:
    """Rows of one kind, from the fewest tasks to the most."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._seconds = Growing(lambda seconds: f"{seconds:.1f}")
        self._memory = Growing(lambda size: f"{size / 1e6:.0f} MB")

    def add(self, what: str, found: list[Run]) -> Run:
        """Add a row of medians; return the run in the middle."""
        middle = _middle(found)
        seconds = statistics.median(each.seconds for each in found)
        cpu = statistics.median(each.cpu for each in found)
        self._table.add_row(
            what,
            f"{middle.tasks:,}",
            str(len(found)),
            self._seconds(seconds),
            f"{middle.tasks / seconds:,.0f}",
            f"{cpu / middle.tasks * 1000:.1f} ms",
            self._memory(max(each.memory for each in found)),
        )
        return middle


def _farm(tasks: int, image: bool) -> FarmRun:
    """Run a job on a farm of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = ["bench.null_farm", "--blender", str(install_renderer(folder, image))]
        program += [] if image else ["--shared-results"]
        house = Barehouse(folder / "data", None, program)
        try:
            farm = house.process()
            own, everything = _own_cpu(farm), cpu_with_children(farm)
            with Watched(farm) as watched:
                start = time.perf_counter()
                job = house.submit(tasks, 1)
                _await_completion(house, job)
                seconds = time.perf_counter() - start
                # Only what has ended is counted in full.
                psutil.wait_procs(farm.children(), 30)
            farm_cpu = _own_cpu(farm) - own
            total = cpu_with_children(farm) - everything
        finally:
            house.close()
    below = total - farm_cpu
    runner = min(watched.children_cpu, below)
    return FarmRun(tasks, seconds, total, watched.memory, farm_cpu, runner, below - runner)


def _own_cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _await_completion(house: Barehouse, job_id: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        job = house.http.get(f"/v1/jobs/{job_id}").raise_for_status().json()
        if job["state"] == "completed":
            return
        if job["state"] not in ("ready", "running"):
            raise RuntimeError(f"the job is {job['state']}: {job['message']}")
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"the job is not done after {PATIENCE_SECONDS} s")


def _flush_seconds() -> float:
    """Return how long this disk takes for a small write that must be there after a power cut."""
    taken = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(100):
            start = time.perf_counter()
            file.write(b"0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _explain(which: str, found: Run, flush: float | None) -> str:
    """Say where the time of a task goes, the largest part first."""
    assert isinstance(found, FarmRun)
    parts = {
        "CPU of the farm": found.farm_cpu / found.tasks,
        "CPU of the runner": found.runner_cpu / found.tasks,
        "CPU of the renderer": found.renderer_cpu / found.tasks,
        "the task's own sleep": TASK_SECONDS,
    }
    if flush is not None:
        parts[f"{_FLUSHES} flushes to the disk"] = _FLUSHES * flush
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in ordered)
    each = found.seconds / found.tasks * 1000
    return f"{which}: of the farm's {each:.1f} ms a task (parts may overlap): {listed}."
