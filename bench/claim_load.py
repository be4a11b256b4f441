"""Claims a second: runners claim frames, deliver one and give back the rest, as fast as they can.

A runner that delivers nothing is ended after some claims (`farm.scheduler.trust`).
"""

import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from farm.db.opening import open_database
from farm_protocol.hashing import new_hasher
from rich.console import Console
from rich.table import Table

from bench.backlog import Backlog
from bench.barehouse import DATABASES, Barehouse, database_url
from bench.growth import SIZES, Growing, milliseconds
from bench.main_job import cpu_seconds

RUNNERS = 8
SECONDS = 3.0
"""How long one run of claims lasts."""
_SMALL = 10_000
"""Frames of the job while others wait: more than are delivered in all runs together."""
_PICTURE = b"the file of all frames"


@dataclass(frozen=True)
class _Measured:
    """Medians: claims a second, frames of a claim, seconds of a call, cores that the farm used."""

    rate: float
    frames: float
    call: float
    cpu: float


def claims(console: Console, runs: int) -> None:
    """Claims out of a job while many others wait, and out of larger ones."""
    for kind in DATABASES:
        table = Table(
            *("frames of the job", "other jobs", "frames a claim", "claims/s", "median call"),
            *("farm's CPU",),
            title=f"Claims with a frame each through the HTTP API on {kind}, {RUNNERS} runners",
        )
        _add_rows(table, kind, runs)
        aim = {"SQLite": "1,000/s", "PostgreSQL": "2,000/s"}[kind]
        table.add_row("aim, of one frame each", "", "1", aim, "", "")
        console.print(table)


def _add_rows(table: Table, kind: str, runs: int) -> None:
    rates, calls = Growing(lambda rate: f"{rate:,.1f}"), Growing(milliseconds)

    def add(frames: int, others: int, found: _Measured) -> None:
        shown = [f"{frames:,}", f"{others:,}", f"{found.frames:,.0f}"]
        shown += [rates(found.rate), calls(found.call), f"{found.cpu * 100:.0f} % of a core"]
        table.add_row(*shown)

    with tempfile.TemporaryDirectory() as folder, database_url(kind) as url:
        house = Barehouse(Path(folder), url)
        try:
            tokens = _start(house, _SMALL)
            add(_SMALL, 0, _measure(house, tokens, runs))
            database = open_database(Path(folder), url)
            # Of a lower priority: the runners stay with their job.
            backlog = Backlog(database, users=50, priority=1)
            for others in SIZES:
                backlog.grow(others)
                add(_SMALL, others, _measure(house, tokens, min(runs, 2)))
            database.close()
        finally:
            house.close()
    rates, calls = Growing(lambda rate: f"{rate:,.1f}"), Growing(milliseconds)
    for frames in (_SMALL, 10 * _SMALL):
        with tempfile.TemporaryDirectory() as folder, database_url(kind) as url:
            house = Barehouse(Path(folder), url)
            try:
                add(frames, 0, _measure(house, _start(house, frames), min(runs, 2)))
            finally:
                house.close()


def _start(house: Barehouse, frames: int) -> list[str]:
    """Submit a job and return the tokens of its runners."""
    house.submit(frames, RUNNERS)
    return [order["token"] for order in house.orders(RUNNERS)]


def _measure(house: Barehouse, tokens: list[str], runs: int) -> _Measured:
    process, rates, calls, cpu, frames = house.process(), [], [], [], []
    for _ in range(runs):
        before, start = cpu_seconds(process), time.perf_counter()
        taken, sizes = asyncio.run(_claim_for(house.url, tokens, SECONDS))
        seconds = time.perf_counter() - start
        cpu.append((cpu_seconds(process) - before) / seconds)
        rates.append(len(sizes) / seconds)
        calls += taken
        frames += sizes
    median = statistics.median
    return _Measured(median(rates), median(frames), median(calls), median(cpu))


async def _claim_for(url: str, tokens: list[str], seconds: float) -> tuple[list[float], list[int]]:
    """Let every runner claim, deliver a frame and give back the rest.

    Returns the seconds of each call for a claim, and how many frames each claim had.
    """
    until = time.perf_counter() + seconds
    taken: list[float] = []
    sizes: list[int] = []

    async def work(token: str) -> None:
        caller = await _Caller.connect(url, token)
        folder = json.loads(await caller.call("GET", "/v1/runner/job"))["output_folder"]
        picture = ""
        asks: dict[str, Any] = {}
        while time.perf_counter() < until:
            start = time.perf_counter()
            claim = json.loads(await caller.post("/v1/runner/claims", asks))
            if claim["claim_id"] is None:
                raise RuntimeError(f"The farm has ended a runner: {claim['reason']}")
            taken.append(time.perf_counter() - start)
            sizes.append(len(claim["frames"]))
            picture = picture or await _send_picture(caller)
            frame = claim["frames"][0]
            file = {"path": f"{folder}/{frame}.png", "hash": picture, "size": len(_PICTURE)}
            done = {"frame": frame, "seconds": 0.0, "outputs": [file]}
            await caller.post(f"/v1/runner/claims/{claim['claim_id']}/frames", done)
            asks = {"ended": {"claim_id": claim["claim_id"], "finish": {"outcome": "stopped"}}}
        caller.close()

    await asyncio.gather(*(work(token) for token in tokens))
    return taken, sizes


async def _send_picture(caller: "_Caller") -> str:
    """Send the bytes of all frames and return their hash."""
    hasher = new_hasher()
    hasher.update(_PICTURE)
    await caller.call("PUT", f"/v1/runner/blobs/{hasher.hexdigest()}", _PICTURE)
    return hasher.hexdigest()


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
        return await self.call("POST", path, json.dumps(body).encode())

    async def call(self, method: str, path: str, data: bytes = b"") -> bytes:
        """Send bytes, and return the answer's body; an error ends the benchmark."""
        self._writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: farm\r\nContent-Type: application/json\r\n"
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
