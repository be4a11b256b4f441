"""Envoy ends when it is told to, whatever it is busy with. Real processes, real signals."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from signal import Signals

import httpx
import pytest
from envoy_fake_farm import EMAIL, PASSWORD, FakeFarm
from envoy_machine import output_of
from messages import says

STUCK = """
import sys, threading, time
from envoy.cli import commands
from envoy.process import ending
from envoy.submissions import projects
from envoy.farm.account import Account

for_ever = threading.Event()

def stuck(*_):
    print("stuck", flush=True)
    for_ever.wait()  # As a disk that does not answer, or a pipe that nobody writes to.

async def stuck_loop(*_):
    stuck()

WHAT
sys.argv[0] = "envoy"
commands.main()
"""

Begin = Callable[[str], Awaitable[tuple[asyncio.subprocess.Process, str]]]


@pytest.fixture
async def begun(farm: FakeFarm, tmp_path: Path) -> AsyncIterator[Begin]:
    """Start an Envoy that gets stuck: ``await begun(what)``; returns (process, its address)."""
    options = ["up", "--port", "0", "--data-dir", str(tmp_path / "envoy"), "--farm", farm.url]
    processes: list[asyncio.subprocess.Process] = []

    async def begin(what: str) -> tuple[asyncio.subprocess.Process, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", STUCK.replace("WHAT", what), *options),
            stdout=asyncio.subprocess.PIPE,
        )
        processes.append(process)
        line = (await output_of(process).readline()).decode()
        url = next(word for word in line.split() if word.startswith("http"))
        return process, url.replace("localhost", "127.0.0.1")

    yield begin
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.sample(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_thread_that_never_returns(begun: Begin, tmp_path: Path, number: Signals) -> None:
    process, url = await begun("projects.scan = stuck")
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        await http.post("/auth", json={"Username": EMAIL, "AccessKey": PASSWORD})
        body = {"upload": [{"localRoot": str(tmp_path), "remoteRoot": "/demo", "files": ["a"]}]}
        call = asyncio.create_task(http.post("/upload", json=body))
        assert await output_of(process).readline() == b"stuck\n"
        process.send_signal(number)
        # Nothing of Envoy's own was stuck: it has put everything away.
        assert await process.wait() == 0
        await asyncio.gather(call, return_exceptions=True)
    assert not (tmp_path / "envoy" / "envoy.json").exists()


async def test_a_thread_that_never_returns_does_not_hold_up_a_stop_over_http(
    begun: Begin, tmp_path: Path
) -> None:
    process, url = await begun("projects.scan = stuck")
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        await http.post("/auth", json={"Username": EMAIL, "AccessKey": PASSWORD})
        body = {"upload": [{"localRoot": str(tmp_path), "remoteRoot": "/demo", "files": ["a"]}]}
        call = asyncio.create_task(http.post("/upload", json=body))
        assert await output_of(process).readline() == b"stuck\n"
        await http.post("/envoy/stop", json={})
        assert await process.wait() == 0
        await asyncio.gather(call, return_exceptions=True)


async def test_an_event_loop_that_never_returns(begun: Begin, tmp_path: Path) -> None:
    process, url = await begun("ending.MOST_SECONDS = 1.0; Account.sign_in = stuck_loop")
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        body = {"Username": EMAIL, "AccessKey": PASSWORD}
        call = asyncio.create_task(http.post("/auth", json=body))
        assert await output_of(process).readline() == b"stuck\n"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 1
        await asyncio.gather(call, return_exceptions=True)
    assert says((tmp_path / "envoy" / "logs" / "envoy.log").read_text(), "envoy-did-not-shut-down")
