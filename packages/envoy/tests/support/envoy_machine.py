"""Real Envoys, one after the other, on one data folder."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from envoy_fake_farm import FakeFarm
from envoy_studio import Studio


class Machine:
    """Starts and kills Envoys on one data folder."""

    def __init__(self, root: Path, farm: FakeFarm) -> None:
        self.root, self.farm = root, farm
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The Envoy that was started last."""
        assert self._process is not None, "none was started"
        return self._process

    async def start(self, umask: int = -1) -> None:
        command = [*(sys.executable, "-m", "envoy", "up", "--port", "0")]
        command += ["--data-dir", str(self.root / "envoy"), "--farm", self.farm.url]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, start_new_session=True, umask=umask
        )
        line = (await output_of(self.process).readline()).decode()
        self.url = next(word for word in line.split() if word.startswith("http"))
        self.url = self.url.replace("localhost", "127.0.0.1")

    async def end(self, number: int = signal.SIGKILL) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()

    @asynccontextmanager
    async def studio(self) -> AsyncIterator[Studio]:
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            yield Studio(self.root, self.farm, http)


def output_of(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    """What a process prints, which was started with a pipe for it."""
    assert process.stdout is not None
    return process.stdout
