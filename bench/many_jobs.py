"""What users ask for again and again, on a farm with many jobs."""

import statistics
import tempfile
from functools import partial
from pathlib import Path

import httpx
from farm.db.opening import open_database
from rich.console import Console
from rich.table import Table

from bench.backlog import Backlog
from bench.barehouse import DATABASES, PATIENCE_SECONDS, Barehouse, database_url
from bench.growth import Growing, milliseconds, up_to
from bench.main_job import timed

_USERS = 50


def run(console: Console, runs: int, most: int) -> None:
    """Measure and print.

    Parameters:
        most: jobs on the farm in the last row.
    """
    for kind in DATABASES:
        table = Table(
            *("jobs", "list of its own", "one job", "one submission", "jobs of one", "feed"),
            title=f"Calls of one of {_USERS} users who share the jobs, on {kind}",
        )
        with tempfile.TemporaryDirectory() as folder, database_url(kind) as url:
            house = Barehouse(Path(folder), url)
            database = open_database(Path(folder), url)
            try:
                backlog = Backlog(database, users=_USERS, priority=50)
                columns = [Growing(milliseconds) for _ in table.columns[1:]]
                for count in up_to(most):
                    backlog.grow(count)
                    figures = _ask(house.url, backlog, 4 * runs)
                    shown = [show(each) for show, each in zip(columns, figures, strict=True)]
                    table.add_row(f"{count:,}", *shown)
            finally:
                database.close()
                house.close()
        console.print(table)


def _ask(url: str, backlog: Backlog, times: int) -> list[float]:
    """Return the columns of the table, in seconds."""
    headers = {"Authorization": f"Bearer {backlog.key}"}
    with httpx.Client(
        base_url=url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False
    ) as user:

        def read(path: str) -> None:
            user.get(path).raise_for_status()

        cursor = user.get("/v1/changes").raise_for_status().json()["cursor"]
        oldest = backlog.oldest
        paths = ["/v1/jobs", f"/v1/jobs/{oldest}", f"/v1/submissions/{oldest}"]
        paths += [f"/v1/jobs?submission={oldest}", f"/v1/changes?after={cursor}"]
        for path in paths:
            read(path)  # The first one pays for what is read late.
        return [
            statistics.median(timed(partial(read, path)) for _ in range(times)) for path in paths
        ]
