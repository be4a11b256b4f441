"""A farm without renderers in a process of its own, on SQLite or PostgreSQL, for measuring."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
from farm.accounts.users import create
from farm.db.opening import open_database
from farm_protocol.hashing import new_hasher
from farm_protocol.users import NewUser

from tools.temporary_postgres import TemporaryPostgres

PATIENCE_SECONDS = 60.0
DATABASES = ("SQLite", "PostgreSQL")


@contextlib.contextmanager
def database_url(kind: str) -> Iterator[str | None]:
    """Yield FARM_DATABASE_URL of a new database of this kind, which flushes as in real use."""
    if kind == "SQLite":
        yield None
        return
    server = TemporaryPostgres(safe=True)
    try:
        with server.database() as name:
            yield server.url(name)
    finally:
        server.close()


class Barehouse:
    """A running farm with one user and a scene."""

    def __init__(
        self, folder: Path, url: str | None, program: Sequence[str] = ("tools.bare_farm",)
    ) -> None:
        """Start ``python -m program --data-dir folder``, by default a farm without renderers."""
        command = [sys.executable, "-m", *program, "--data-dir", str(folder)]
        command += ["--database-url", url] if url else []
        self.folder = folder
        self._farm = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.url = self._await_address()
        database = open_database(folder, url)
        new = NewUser(email="bench@example.com", credits=Decimal(10**6))
        headers = {"Authorization": f"Bearer {create(database, new).access_key}"}
        database.close()
        self.http = httpx.Client(
            base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False
        )
        hasher = new_hasher()
        hasher.update(b"BLENDER-v405")
        scene = {"path": "demo/scene.blend", "hash": hasher.hexdigest(), "size": 12}
        self.http.put(f"/v1/blobs/{scene['hash']}", content=b"BLENDER-v405").raise_for_status()
        self.http.put("/v1/projects/demo/files", json={"files": [scene]}).raise_for_status()
        self._count = 0

    def _await_address(self) -> str:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError):
                return str(json.loads((self.folder / "farm.json").read_text())["url"])
            time.sleep(0.02)
        raise TimeoutError("the farm does not start")

    def process(self) -> psutil.Process:
        """Return the farm's process."""
        return psutil.Process(self._farm.pid)

    def submit(self, frames: int, instances: int) -> str:
        """Submit a job and return its id."""
        self._count += 1
        job = {"id": "j", "name": "bench", "app": "blender", "operation": "render"}
        more = {"path": "demo/scene.blend", "instances": instances}
        body = {
            "id": f"{self._count:032x}",
            "project": "demo",
            "name": f"s{self._count}",
            "output_folder": f"demo/render_results/{self._count}",
            "jobs": [job | more | {"params": {"frames": f"1 {frames}"}}],
        }
        answer = self.http.post("/v1/submissions", json=body).raise_for_status().json()
        return str(answer["jobs"][0]["id"])

    def orders(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many runners were ordered, and return what they were told."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            found = sorted((self.folder / "orders").glob("*.json"))
            if len(found) >= count:
                return [json.loads(path.read_text()) for path in found[:count]]
            time.sleep(0.02)
        raise TimeoutError(f"the farm did not order {count} runners")

    def close(self) -> None:
        """End the farm and its runners."""
        self.http.close()
        self._farm.terminate()
        self._farm.wait(PATIENCE_SECONDS)
