"""A runner that speaks the protocol without rendering anything, and ways to look at jobs."""

import time
from collections.abc import Callable
from typing import Any

import httpx
from farm_protocol.hashing import new_hasher
from messages import saying

from .conftest import Farm, send, spec


class FakeRunner:
    """Speaks the protocol of `farm_protocol.runner` without rendering anything."""

    def __init__(self, farm: Farm, number: int = 1, host: str = "") -> None:
        self.request = farm.engine.wait_for(number)
        self.http = farm.client(self.request.token)
        self.host = host
        self.claim_id: str | None = ""
        self.reason = ""

    def claim(self, **said: Any) -> list[int]:
        body = said | ({"host": self.host} if self.host else {})
        answer = self.http.post("/v1/runner/claims", json=body).raise_for_status().json()
        self.claim_id, self.reason = answer["claim_id"], answer["reason"]
        frames: list[int] = answer["frames"]
        return frames

    def post(self, what: str, body: dict[str, Any]) -> httpx.Response:
        return self.http.post(f"/v1/runner/claims/{self.claim_id}/{what}", json=body)

    def beat(self, frame: int | None = None) -> str:
        answer = self.post("heartbeat", {"frame": frame}).raise_for_status().json()
        command: str = answer["command"]
        return command

    def done_refused(self, frame: int) -> httpx.Response:
        output = {"path": "demo/render_results/out/x.png", "hash": "0" * 64, "size": 0}
        return self.post("frames", {"frame": frame, "seconds": 0, "outputs": [output]})

    def done(
        self, frame: int, seconds: float = 0.0, data: bytes = b"pixels", **values: Any
    ) -> httpx.Response:
        hasher = new_hasher()
        hasher.update(data)
        name = hasher.hexdigest()
        self.http.put(f"/v1/runner/blobs/{name}", content=data).raise_for_status()
        path = f"demo/render_results/out/frame_{frame:04d}.png"
        outputs = [{"path": path, "hash": name, "size": len(data)}]
        body = {"frame": frame, "seconds": seconds, "outputs": outputs}
        return self.post("frames", body | values)

    def finish(self, outcome: str = "completed", **values: Any) -> httpx.Response:
        return self.post("finish", {"outcome": outcome, **values})


def given(farm: Farm, runner: FakeRunner, number: int, frames: list[int]) -> FakeRunner:
    """Return who claims ``frames``: the runner, or the ``number``-th of the farm.

    A runner that is alive while nothing is left to do may be asked to leave; another one is
    started when there is something again.
    """
    if runner.claim() == frames:
        return runner
    assert runner.reason == saying("makes-way-another-job")
    other = FakeRunner(farm, number)
    assert other.claim() == frames
    return other


def job_of(client: httpx.Client) -> dict[str, Any]:
    job: dict[str, Any] = client.get("/v1/jobs").json()["jobs"][0]
    return job


def jobs_of(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """Return the user's jobs by name."""
    return {job["name"]: job for job in client.get("/v1/jobs").json()["jobs"]}


def wait_for(client: httpx.Client, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Wait, on the change feed, until the newest job is as wanted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        cursor = client.get("/v1/changes").json()["cursor"]
        if wanted(job_of(client)):
            return
        client.get("/v1/changes", params={"after": cursor, "wait": 5})
    raise AssertionError(job_of(client))


def at_work(farm: Farm, user: httpx.Client, number: int = 1) -> FakeRunner:
    """Submit a job of a user; return a runner, the ``number``-th of the farm, with its frames."""
    send(user, "demo/scene.blend", b"BLENDER-v304")
    user.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    made = FakeRunner(farm, number)
    made.claim()
    return made
