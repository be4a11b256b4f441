"""Envoys in the process of the tests."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
from envoy.config import Settings
from envoy.main import running
from envoy.process.listening import listen
from envoy_fake_farm import FakeFarm
from envoy_studio import Studio


class Start:
    """Start an Envoy on one data folder: ``await start()``; again after ``await start.stop()``."""

    def __init__(self, root: Path, farm: FakeFarm) -> None:
        self._root, self._farm = root, farm
        self._stack = AsyncExitStack()

    async def __call__(self, **settings: Any) -> Studio:
        given: dict[str, Any] = {"port": 0, "farm_url": self._farm.url, **settings}
        chosen = Settings(data_dir=self._root / "envoy", **given)
        listener = self._stack.enter_context(listen(chosen.port))
        port = listener.port
        await self._stack.enter_async_context(running(chosen, listener))
        address = f"http://127.0.0.1:{port}"
        http = await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=address, timeout=60)
        )
        return Studio(self._root, self._farm, http)

    async def stop(self) -> None:
        """End all that run."""
        await self._stack.aclose()
