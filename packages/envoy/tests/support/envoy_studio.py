"""An artist's machine, for tests."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from envoy_fake_farm import EMAIL, PASSWORD, FakeFarm
from messages import saying, says


class Studio:
    """One artist's machine: an Envoy, a project on disk, and calls as a client makes them."""

    def __init__(self, root: Path, farm: FakeFarm, http: httpx.AsyncClient) -> None:
        self.root = root
        self.farm = farm
        self.http = http
        self.project = root / "demo"
        self.results = root / "results"

    def write(self, name: str, data: bytes = b"scene") -> Path:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    async def sign_in(self) -> None:
        body = {"Username": EMAIL, "AccessKey": PASSWORD}
        answer = await self.http.post("/auth", json=body)
        assert answer.status_code == 200, answer.text

    def body(self, files: list[str] | None = None, **changes: Any) -> dict[str, Any]:
        """A submission as the 7.1.10 client sends it."""
        params = {
            "project_name": "demo",
            "submission_name": "first",
            "output_folder_name": "out",
            "remote_output_folder": "/demo/render_results/out",
            "local_root": str(self.project),
        }
        body: dict[str, Any] = {
            "project_request": {
                "name": "demo first",
                "params": params,
                "jobs": [
                    {
                        "id": "1",
                        "name": "beauty",
                        "app": "blender",
                        "app_version": "4.2.0",
                        "operation": "render",
                        "path": "demo/scene.blend",
                        "params": {"frames": "1 3 1", "instances": 2, "machine_type": ""},
                        "dependencies": [],
                    }
                ],
            },
            "project_files": {
                "localRoot": str(self.project),
                "remoteRoot": "/demo",
                "files": files or ["scene.blend"],
            },
            "watch_files": {"/demo/render_results/out/.+": str(self.results)},
        }
        return body | changes

    async def submit(self, *args: Any, **changes: Any) -> str:
        answer = await self.http.post("/project-submit", json=self.body(*args, **changes))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["submission_id"])

    async def activity(self) -> dict[str, Any]:
        told: dict[str, Any] = (await self.http.get("/envoy/activity")).json()
        return told

    async def of(self, submission_id: str) -> dict[str, Any]:
        rows = (await self.activity())["submissions"]
        row: dict[str, Any] = next(row for row in rows if row["submission_id"] == submission_id)
        return row

    async def until_state(self, submission_id: str, state: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            row = await self.of(submission_id)
            return row if row["state"] == state else None

        row: dict[str, Any] = await until(reached)
        return row

    async def submitted(self, **changes: Any) -> str:
        """Submit a small project and wait until the farm has it."""
        self.write("scene.blend")
        submission_id = await self.submit(**changes)
        await self.until_state(submission_id, "submitted")
        return submission_id


async def until(condition: Callable[[], Awaitable[Any] | Any]) -> Any:
    """Wait until ``condition`` returns something true, however long that takes, and return it.

    If it never does, pytest's own time-out ends the test, and shows where it waits.
    """
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.01)


async def settled(studio: Studio, submission_id: str, **counts: object) -> dict[str, Any]:
    """Wait until the downloads of a submission have these counts, and return them."""

    async def reached() -> dict[str, Any] | None:
        downloads = (await studio.of(submission_id))["downloads"]
        return downloads if all(downloads[key] == n for key, n in counts.items()) else None

    downloads: dict[str, Any] = await until(reached)
    return downloads


async def waits_for(studio: Studio, message: saying) -> str:
    """Wait until Envoy says that it waits for something, and return its message."""

    async def said() -> object:
        text = (await studio.activity())["waiting_for"]
        return says(text, message) and text

    text: str = await until(said)
    return text
