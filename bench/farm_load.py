"""What the farm bears: a job of 100,000 frames, and as many jobs in the queue."""

import statistics
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from farm.db.opening import open_database
from farm.engines.port import EngineError, LaunchRequest, Phase, Sight
from farm.scheduler.loop import Scheduler
from farm.wakeup import Wakeup
from rich.console import Console
from rich.table import Table

from bench.backlog import Backlog
from bench.barehouse import DATABASES, Barehouse, database_url
from bench.growth import SIZES, Growing, milliseconds
from bench.main_job import timed


def big_job(console: Console, runs: int) -> None:
    """Submit jobs of 1,000 to 100,000 frames, and look at them."""
    for kind in DATABASES:
        table = Table(
            *("frames", "submit", "farm grows by", "list jobs", "one job", "feed"),
            title=f"Large jobs on {kind}",
        )
        with tempfile.TemporaryDirectory() as folder, database_url(kind) as url:
            house = Barehouse(Path(folder), url)
            try:
                house.submit(10, 1)  # The first one pays for what is imported late.
                columns = [Growing(lambda seconds: f"{seconds:.2f} s"), Growing(_megabytes)]
                columns += [Growing(milliseconds) for _ in range(3)]
                for frames in SIZES:
                    figures = _add_job(house, frames, runs)
                    shown = [show(each) for show, each in zip(columns, figures, strict=True)]
                    table.add_row(f"{frames:,}", *shown)
            finally:
                house.close()
        table.add_row("aim for 100,000", "< 1 s", "< 50 MB", "< 50 ms", "< 50 ms", "")
        console.print(table)


def _add_job(house: Barehouse, frames: int, runs: int) -> list[float]:
    """Submit such jobs; return the columns of the table, in seconds and bytes."""
    process = house.process()
    before = process.memory_info().rss
    submits = []
    for _ in range(min(runs, 3)):
        start = time.perf_counter()
        job_id = house.submit(frames, 1)
        submits.append(time.perf_counter() - start)
    grown = process.memory_info().rss - before

    def median(path: str) -> float:
        asked = [timed(lambda: house.http.get(path).raise_for_status()) for _ in range(4 * runs)]
        return statistics.median(asked)

    paths = ("/v1/jobs", f"/v1/jobs/{job_id}", "/v1/changes")
    return [statistics.median(submits), grown, *(median(path) for path in paths)]


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.0f} MB"


class _NoEngine:
    """Starts nothing: there is no machine."""

    host = ""
    outlives_farm = False
    certain = True

    def prepare(self) -> None:
        """Nothing to prepare."""

    def launch(self, requests: Sequence[LaunchRequest]) -> list[str | EngineError]:
        """Never called without a machine."""
        raise NotImplementedError

    def stop(self, reference: str) -> None:
        """Nothing runs."""

    def look(self, references: Collection[str]) -> dict[str, Sight]:
        """Nothing lives."""
        return {each: Sight(Phase.GONE) for each in references}

    def close(self) -> None:
        """Nothing prepared."""


def planning(console: Console, runs: int) -> None:
    """A pass of the scheduler over jobs that wait for a machine."""
    table = Table(
        "jobs queued by 50 users", *DATABASES, "aim", title="A pass of the scheduler, nothing free"
    )
    shown: dict[int, list[str]] = {count: [] for count in SIZES}
    for kind in DATABASES:
        with tempfile.TemporaryDirectory() as folder, database_url(kind) as url:
            database = open_database(Path(folder), url)
            scheduler = Scheduler(database, _NoEngine(), {"local-cpu": 0}, Wakeup(), Wakeup())
            backlog, growing = Backlog(database, users=50, priority=50), Growing(milliseconds)
            for count in SIZES:
                backlog.grow(count)
                times = runs if count < SIZES[-1] else min(runs, 2)
                passes = [timed(scheduler.tick) for _ in range(times)]
                shown[count].append(growing(statistics.median(passes)))
            database.close()
    for count in SIZES:
        table.add_row(f"{count:,}", *shown[count], "< 50 ms" if count == SIZES[0] else "")
    console.print(table)
