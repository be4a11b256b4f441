"""What the farm bears: claims a second, a job of 100,000 frames, a thousand jobs in the queue."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from farm.accounts.users import create
from farm.db import files
from farm.db import jobs as job_rows
from farm.db.database import Database
from farm.db.opening import open_database
from farm.ports import LaunchRequest
from farm.scheduler.loop import Scheduler
from farm.wakeup import Wakeup
from farm_protocol.users import NewUser
from rich.console import Console
from rich.table import Table

from bench.barehouse import DATABASES, Barehouse, database_url
from bench.main_job import cpu_seconds, timed

RUNNERS = 8
SECONDS = 3.0
"""How long one run of claims lasts."""


def claims(console: Console, runs: int) -> None:
    """Eight runners claim a frame and give it back, as fast as the farm lets them."""
    aims = {"SQLite": "1,000/s", "PostgreSQL": "2,000/s"}
    table = Table(
        *("database", "claims/s", "calls/s", "median call", "farm's CPU", "aim (claims)"),
        title=f"Claims through the HTTP API, {RUNNERS} runners",
    )
    for kind in DATABASES:
        with tempfile.TemporaryDirectory() as folder, database_url(kind) as url:
            house = Barehouse(Path(folder), url)
            try:
                # Twice as many frames as runners: the farm then gives one at a time.
                house.submit(2 * RUNNERS, RUNNERS)
                tokens = [order["token"] for order in house.orders(RUNNERS)]
                process, rates, calls, cpu = house.process(), [], [], []
                for _ in range(runs):
                    before = cpu_seconds(process)
                    taken = asyncio.run(_claim_for(house.url, tokens, SECONDS))
                    cpu.append((cpu_seconds(process) - before) / SECONDS)
                    rates.append(len(taken) / 2 / SECONDS)
                    calls += taken
            finally:
                house.close()
        rate = statistics.median(rates)
        table.add_row(
            kind,
            f"{rate:,.0f}",
            f"{2 * rate:,.0f}",
            f"{statistics.median(calls) * 1000:.1f} ms",
            f"{statistics.median(cpu) * 100:.0f} % of a core",
            aims[kind],
        )
    console.print(table)


async def _claim_for(url: str, tokens: list[str], seconds: float) -> list[float]:
    """Let every runner claim and finish in turn; return how long each call took."""
    until = time.perf_counter() + seconds
    taken: list[float] = []

    async def work(token: str) -> None:
        caller = await _Caller.connect(url, token)
        while time.perf_counter() < until:
            start = time.perf_counter()
            claim = await caller.post("/v1/runner/claims", {})
            middle = time.perf_counter()
            address = f"/v1/runner/claims/{json.loads(claim)['claim_id']}/finish"
            await caller.post(address, {"outcome": "stopped"})
            taken.extend([middle - start, time.perf_counter() - middle])
        caller.close()

    await asyncio.gather(*(work(token) for token in tokens))
    return taken


class _Caller:
    """Just enough HTTP to cost next to nothing beside the farm, which shares the machine."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._token = token

    @classmethod
    async def connect(cls, url: str, token: str) -> "_Caller":
        """Open the connection that all calls use."""
        address = urlsplit(url)
        return cls(*await asyncio.open_connection(address.hostname, address.port), token)

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """Return the answer's body; an error ends the benchmark."""
        data = json.dumps(body).encode()
        self._writer.write(
            f"POST {path} HTTP/1.1\r\nHost: farm\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        answer = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{path}: {head!r} {answer!r}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


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
                for frames in (1_000, 10_000, 100_000):
                    _add_job(table, house, frames, runs)
            finally:
                house.close()
        table.add_row("aim for 100,000", "< 1 s", "< 50 MB", "< 50 ms", "< 50 ms", "")
        console.print(table)


def _add_job(table: Table, house: Barehouse, frames: int, runs: int) -> None:
    process = house.process()
    before = process.memory_info().rss
    submits = []
    for _ in range(min(runs, 3)):
        start = time.perf_counter()
        job_id = house.submit(frames, 1)
        submits.append(time.perf_counter() - start)
    grown = (process.memory_info().rss - before) / 1e6

    def median(path: str) -> str:
        asked = [timed(lambda: house.http.get(path).raise_for_status()) for _ in range(4 * runs)]
        return f"{statistics.median(asked) * 1000:.1f} ms"

    table.add_row(
        f"{frames:,}",
        f"{statistics.median(submits):.2f} s",
        f"{grown:.0f} MB",
        median("/v1/jobs"),
        median(f"/v1/jobs/{job_id}"),
        median("/v1/changes"),
    )


class _NoEngine:
    """Starts nothing: there is no machine."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def launch(self, request: LaunchRequest) -> str:
        """Never called without a machine."""
        raise NotImplementedError

    def stop(self, reference: str) -> None:
        """Nothing runs."""

    def alive(self, references: Collection[str]) -> set[str]:
        """Nothing lives."""
        return set()

    def close(self) -> None:
        """Nothing prepared."""


def planning(console: Console, runs: int) -> None:
    """A pass of the scheduler over jobs that wait for a machine."""
    table = Table(
        "jobs queued by 50 users", *DATABASES, "aim", title="A pass of the scheduler, nothing free"
    )
    counts = (1_000, 10_000)
    shown: dict[int, list[str]] = {count: [] for count in counts}
    for kind in DATABASES:
        with tempfile.TemporaryDirectory() as folder, database_url(kind) as url:
            database = open_database(Path(folder), url)
            scheduler = Scheduler(database, _NoEngine(), {"local-cpu": 0}, Wakeup(), Wakeup())
            there = 0
            users = [
                create(database, NewUser(email=f"u{each}@example.com", credits=Decimal(1000))).id
                for each in range(50)
            ]
            for count in counts:
                _queue(database, users, there, count)
                there = count
                passes = [timed(scheduler.tick) for _ in range(runs)]
                shown[count].append(f"{statistics.median(passes) * 1000:,.0f} ms")
            database.close()
    for count in counts:
        table.add_row(f"{count:,}", *shown[count], "< 50 ms" if count == counts[0] else "")
    console.print(table)


def _queue(database: Database, users: list[str], first: int, end: int) -> None:
    """Store jobs of one frame, as `farm.submit` does."""
    now = datetime.now(UTC)
    texts = ("client_id", "name", "app", "app_version", "operation", "template", "scene")
    zeros = (
        *("frames_done", "frames_failed", "frames_running", "credits_micros", "position"),
        *("test_frames", "licence_failures", "budget_micros"),
    )
    with database.write() as connection:
        projects = {user: files.ensure_project(connection, user, "demo", now) for user in users}
        for number in range(first, end):
            user = users[number % len(users)]
            name = f"{number:032x}"
            submission = {"id": name, "account_id": user, "project_id": projects[user]}
            submission |= {"project": "demo", "name": "s", "output_folder": "demo/out"}
            job_rows.insert_submission(connection, submission | {"submitted_at": now})
            job = dict.fromkeys(texts, "x") | dict.fromkeys(zeros, 0)
            job |= {"id": name, "submission_id": name, "account_id": user, "submitted_at": now}
            job |= {"parameters": {"frames": "1"}, "plugins": [], "warnings": []}
            job |= {"instances": 1, "priority": 50, "machine_type": "local-cpu"}
            job |= {"budget_acted": False, "suspended_for": ""}
            job |= {
                "credits_per_hour": "1",
                "state": "ready",
                "sentence": "",
                "budget_action": "",
                "frames_total": 1,
            }
            job_rows.insert_job(connection, job, [1], [])
