"""What the client library costs its host: adding files, submitting, memory.

Each figure is taken in a Python of its own that has imported the library and nothing else.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gridmarkets import EnvoyClient, Job, Project

COUNTS = (10, 1_000, 50_000)
IN_ONE_FOLDER = 500


def run(console: "object", runs: int) -> None:
    """Measure and print."""
    # Here, not above: the measured process must not load them.
    from rich.console import Console
    from rich.table import Table

    from bench.farmhouse import EMAIL, PASSWORD, SAMPLE, Farmhouse

    assert isinstance(console, Console)
    table = Table(
        *("files", "add_files", "their list", "submit_project", "memory"),
        title="The client library",
    )
    for count in COUNTS:
        found = []
        for _ in range(min(runs, 3)):
            # A farm for each: an upload in the background would be measured as well.
            with tempfile.TemporaryDirectory() as folder:
                project = _make_project(Path(folder), count, SAMPLE / "scene.blend")
                house = Farmhouse(Path(folder) / "house")
                house.folder.mkdir()
                house.up()
                try:
                    command = [sys.executable, "-m", "bench.client_calls", house.url]
                    done = subprocess.run(
                        [*command, EMAIL, PASSWORD, project], capture_output=True, check=True
                    )
                    found.append(json.loads(done.stdout))
                finally:
                    house.down()
        median = {name: statistics.median(each[name] for each in found) for name in found[0]}
        table.add_row(
            f"{count:,}",
            f"{median['add'] * 1000:.1f} ms",
            f"{median['list'] * 1000:.0f} ms",
            f"{median['submit'] * 1000:.0f} ms",
            f"{median['memory']:.0f} MB more",
        )
    table.add_row("aim for 50,000", "< 1 s with their list", "", "< 1.5 s", "")
    console.print(table)


def _make_project(folder: Path, count: int, scene: Path) -> Path:
    """Return a project folder with a scene and ``count`` small textures."""
    project = folder / "project"
    project.mkdir()
    (project / "scene.blend").write_bytes(scene.read_bytes())
    for number in range(count):
        parent = project / f"textures {number // IN_ONE_FOLDER:03}"
        parent.mkdir(exist_ok=True)
        (parent / f"{number:06}.png").write_bytes(b"texture %d" % number)
    return project


def _peak_kilobytes() -> int:
    # Not getrusage: its figure begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _measure(url: str, email: str, password: str, folder: str) -> dict[str, float]:
    """Return seconds and megabytes of one submission in this process."""
    client = EnvoyClient(url=url)
    client.authenticate(email, password)
    before = _peak_kilobytes()
    project = Project(folder)
    project.add_jobs(Job("bench", "blender", "", "render", "project/scene.blend", frames="1"))
    start = time.perf_counter()
    project.add_files(project.LocalRoot, project.RemoteRoot)
    added = time.perf_counter()
    project.file_groups()
    listed = time.perf_counter()
    client.submit_project(project, skip_auto_download=True)
    submitted = time.perf_counter()
    peak = _peak_kilobytes()
    return {
        "add": added - start,
        "list": listed - added,
        "submit": submitted - listed,
        "memory": (peak - before) / 1000,
    }


if __name__ == "__main__":
    print(json.dumps(_measure(*sys.argv[1:])))
