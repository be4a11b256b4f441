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
        self.process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self, umask: int = -1) -> None:
        command = [*(sys.executable, "-m", "envoy", "up", "--port", "0")]
        command += ["--data-dir", str(self.root / "envoy"), "--farm", self.farm.url]
        self.process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, start_new_session=True, umask=umask
        )
        line = (await self.process.stdout.readline()).decode()
        self.url = next(word for word in line.split() if word.startswith("http"))
        self.url = self.url.replace("localhost", "127.0.0.1")

    async def end(self, number: int = signal.SIGKILL) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()

    @asynccontextmanager
    async def studio(self) -> AsyncIterator[Studio]:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            yield Studio(self.root, self.farm, http)
