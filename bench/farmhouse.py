"""An Envoy with its embedded farm, for measuring."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import httpx
import psutil
from gridmarkets import EnvoyClient, Job, Project, WatchFile

SAMPLE = Path(__file__).parent.parent / "examples" / "sample_project"
EMAIL, PASSWORD = "bench@example.com", "bench-password"
PATIENCE_SECONDS = 300


class Farmhouse:
    """Real processes in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.arrived: dict[Path, dict[str, float]] = defaultdict(dict)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self._count = 0

    def up(self) -> None:
        """Start everything and sign in."""
        command = [sys.executable, "-m", "envoy", "up", "--port", str(self.port)]
        # The same Blender as its peer, whatever else this machine has.
        environment = {**os.environ, "FARM_BLENDER": shutil.which("blender") or ""}
        self._envoy = subprocess.Popen(
            [*command, "--data-dir", str(self.data)],
            env=environment,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not self._ready():
            time.sleep(0.05)
        command = [sys.executable, "-m", "farm", "users", "add", EMAIL, "--credits", "1000"]
        subprocess.run(
            [*command, "--password-stdin", "--data-dir", str(self.data / "farm")],
            input=f"{PASSWORD}\n".encode(),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        self._client = EnvoyClient(url=self.url)
        self._client.authenticate(EMAIL, PASSWORD)

    def _ready(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}/envoy/health", trust_env=False)
            return bool(answer.json()["farm_url"])
        except httpx.TransportError:
            return False

    def down(self) -> None:
        """Stop everything."""
        self._envoy.terminate()
        self._envoy.wait(60)

    def envoy_process(self) -> psutil.Process:
        """Return Envoy's process."""
        return psutil.Process(self._envoy.pid)

    def farm_process(self) -> psutil.Process:
        """Return the farm's process."""
        who = json.loads((self.data / "farm" / "farm.json").read_text())
        return psutil.Process(who["pid"])

    def submit(self, frames: str) -> Path:
        """Submit the sample project and return its results folder."""
        self._count += 1
        results = self.folder / f"results {self._count}"
        project = Project(str(SAMPLE), submission_name=f"run {self._count}")
        project.add_files(str(SAMPLE), project.RemoteRoot)
        project.add_jobs(
            Job(
                "bench",
                "blender",
                "",
                "render",
                "sample_project/scene.blend",
                frames=frames,
                engine="CYCLES",
                instances=1,
            )
        )
        project.add_watch_files(WatchFile(f"{project.remote_output_folder}/.+", str(results)))
        self._client.submit_project(project)
        return results

    def wait(self, results: Path, count: int) -> float:
        """Wait until so many frames have arrived; return the moment (`time.perf_counter`)."""
        until = time.perf_counter() + PATIENCE_SECONDS
        seen = self.arrived[results]
        while len(seen) < count:
            now = time.perf_counter()
            if now > until:
                raise TimeoutError(f"{len(seen)} of {count} frames after {PATIENCE_SECONDS} s")
            for path in results.glob("frame_*.png"):
                seen.setdefault(path.name, now)
            threading.Event().wait(0.005)
        return max(seen.values())
