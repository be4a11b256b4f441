"""Jobs that wait for each other, over HTTP."""

from typing import Any

import httpx
import pytest
from farm.db.tables import claims
from farm_protocol.jobs import JobReason
from messages import saying, says
from sqlalchemy import update

from .conftest import Farm, send, spec
from .runners import FakeRunner, given, jobs_of, wait_for


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def graph(**needs: list[str]) -> dict[str, object]:
    """Return a submission of one-frame jobs, each needing others by name."""
    body = spec(instances=1)
    first: dict[str, Any] = body["jobs"][0]
    body["jobs"] = [
        first | {"id": name, "name": name, "params": {"frames": str(n)}, "dependencies": needed}
        for n, (name, needed) in enumerate(needs.items(), 1)
    ]
    return body


def states(client: httpx.Client) -> dict[str, str]:
    return {name: job["state"] for name, job in jobs_of(client).items()}


def test_dependents_start_or_are_blocked(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=graph(a=[], b=["a"], c=["b"])).raise_for_status()
    runner = FakeRunner(farm)
    runner.claim()
    runner.done(1)
    follower = FakeRunner(farm, 2)
    # It works on what the first job has rendered.
    staged = [file["path"] for file in follower.http.get("/v1/runner/job").json()["files"]]
    assert "demo/render_results/out/frame_0001.png" in staged
    follower.claim()
    follower.finish("failed", message="No.", permanent=True)
    assert states(ann) == {"a": "completed", "b": "failed", "c": "blocked"}
    assert jobs_of(ann)["c"]["message"] == saying("job-blocked-by", "b")
    assert jobs_of(ann)["c"]["reason"] == JobReason.JOBS
    ann.post(f"/v1/jobs/{jobs_of(ann)['b']['id']}/retry").raise_for_status()
    assert states(ann)["c"] == "pending"
    assert jobs_of(ann)["c"]["message"] == saying("waiting-for-jobs", "b")


def test_what_is_so_already_what_makes_no_sense_and_what_another_job_decides(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=graph(a=[], b=["a"])).raise_for_status()
    a, b = (f"/v1/jobs/{jobs_of(ann)[name]['id']}" for name in "ab")
    runner = FakeRunner(farm)
    runner.claim()
    assert ann.post(f"{a}/resume").raise_for_status().json()["state"] == "running"
    runner.finish("failed", message="No.", permanent=True)
    assert ann.post(f"{a}/stop").raise_for_status().json()["state"] == "failed"
    for action in ("suspend", "resume"):
        assert ann.post(f"{a}/{action}").json()["code"] == "conflict"
    job = ann.post(f"{b}/retry").raise_for_status().json()
    assert (job["state"], job["message"]) == ("blocked", "Blocked: 'a' failed.")
    ann.post(f"{a}/retry").raise_for_status()
    assert states(ann)["b"] == "pending"


def test_a_diamond_is_blocked_through_and_through_and_comes_back(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=graph(d=["b", "c"], b=["a"], c=["a"], a=[]))
    runner = FakeRunner(farm)
    runner.claim()
    runner.finish("failed", message="No camera.", permanent=True)
    assert states(ann) == {"a": "failed", "b": "blocked", "c": "blocked", "d": "blocked"}
    assert jobs_of(ann)["d"]["message"] == saying("job-blocked-by", "a", "b")
    # One of two reasons goes away: the other one stays, and is named.
    ann.post(f"/v1/jobs/{jobs_of(ann)['b']['id']}/stop").raise_for_status()
    ann.post(f"/v1/jobs/{jobs_of(ann)['a']['id']}/retry").raise_for_status()
    assert jobs_of(ann)["c"]["message"] == saying("waiting-for-jobs", "a")
    assert jobs_of(ann)["d"]["message"] == saying("job-blocked-by", "b", "stopped")
    # What was stopped while it waited does not start before its turn.
    assert ann.post(f"/v1/jobs/{jobs_of(ann)['b']['id']}/retry").json()["state"] == "pending"
    assert states(ann)["d"] == "pending"


def begun_and_waiting(farm: Farm, ann: httpx.Client, **changes: Any) -> tuple[str, FakeRunner]:
    """Let job b wait for a again while a frame of it is rendered; return its id and runner."""
    body = graph(a=[], b=["a"])
    body["jobs"][1] |= changes  # type: ignore[index]
    ann.post("/v1/submissions", json=body).raise_for_status()
    first = FakeRunner(farm)
    first.claim()
    first.done(1)
    first.finish()
    assert first.claim() == []
    runner = FakeRunner(farm, 2)
    assert runner.claim() == [2]
    assert runner.beat(2) == "continue"
    a, b = (jobs_of(ann)[name]["id"] for name in "ab")
    ann.post(f"/v1/jobs/{b}/suspend").raise_for_status()
    ann.post(f"/v1/jobs/{a}/retry_all").raise_for_status()
    assert ann.post(f"/v1/jobs/{b}/resume").json()["state"] == "pending"
    assert jobs_of(ann)["b"]["frames_running"] == 1
    return b, runner


@pytest.mark.parametrize("waits", ["pending", "blocked"])
def test_a_job_that_waits_is_stopped_once_nobody_renders_it_any_more(
    farm: Farm, ann: httpx.Client, waits: str
) -> None:
    b, runner = begun_and_waiting(farm, ann)
    if waits == "blocked":
        other = FakeRunner(farm, 3)
        other.claim()
        other.finish("failed", message="No.", permanent=True)
    assert states(ann)["b"] == waits
    for _ in range(2):
        job = ann.post(f"/v1/jobs/{b}/stop").json()
        assert (job["state"], job["reason"]) == ("stopping", JobReason.USER)
    assert runner.beat(2) == "stop"
    runner.finish("stopped", frame=2)
    assert runner.claim() == []
    wait_for(ann, lambda _: states(ann)["b"] == "stopped")
    job = jobs_of(ann)["b"]
    assert (job["reason"], job["frames_running"]) == (JobReason.USER, 0)


def test_a_budget_stops_a_job_that_waits_while_it_is_rendered(
    farm: Farm, ann: httpx.Client
) -> None:
    _, runner = begun_and_waiting(farm, ann, budget={"value": 20, "action": "STOP"})
    with farm.database.write() as connection:
        connection.execute(
            update(claims).where(claims.c.id == runner.claim_id).values(unposted_seconds=21.0)
        )
    farm.wakeup.notify()
    wait_for(ann, lambda _: states(ann)["b"] == "stopping")
    assert runner.beat(2) == "stop"
    assert says(jobs_of(ann)["b"]["message"], "stopped-budget-credits-used-up", 20)


def test_a_suspended_job_waits_for_what_it_needs_when_it_goes_on(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=graph(a=[], b=["a"]))
    b = jobs_of(ann)["b"]["id"]
    assert ann.post(f"/v1/jobs/{b}/suspend").json()["state"] == "suspended"
    assert ann.post(f"/v1/jobs/{b}/resume").json()["state"] == "pending"
    ann.post(f"/v1/jobs/{b}/suspend")
    runner = FakeRunner(farm)
    runner.claim()
    runner.done(4)
    runner.done(1)
    assert states(ann) == {"a": "completed", "b": "suspended"}
    assert ann.post(f"/v1/jobs/{b}/resume").json()["state"] == "ready"


def test_whoever_suspends_everything_suspends_what_is_blocked_too(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=graph(a=[], b=["a"]))
    runner = FakeRunner(farm)
    runner.claim()
    runner.finish("failed", message="No camera.", permanent=True)
    assert runner.claim() == []
    ann.post("/v1/jobs/suspend").raise_for_status()
    assert states(ann) == {"a": "failed", "b": "suspended"}
    assert jobs_of(ann)["b"]["finished_at"] is None
    ann.post("/v1/jobs/resume").raise_for_status()
    assert states(ann) == {"a": "failed", "b": "blocked"}
    ann.post("/v1/jobs/suspend").raise_for_status()
    a = jobs_of(ann)["a"]["id"]
    ann.post(f"/v1/jobs/{a}/retry").raise_for_status()
    runner = FakeRunner(farm, 2)
    runner.claim()
    runner.done(1)
    assert states(ann) == {"a": "completed", "b": "suspended"}


def test_what_has_not_begun_waits_while_what_it_needs_is_done_anew(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=graph(a=[], b=["a"], c=["b"]))
    runner = FakeRunner(farm)
    runner.claim()
    runner.done(1)
    follower = FakeRunner(farm, 2)
    assert states(ann) == {"a": "completed", "b": "ready", "c": "pending"}
    a = jobs_of(ann)["a"]["id"]
    ann.post(f"/v1/jobs/{a}/retry_all").raise_for_status()
    assert states(ann) == {"a": "ready", "b": "pending", "c": "pending"}
    assert jobs_of(ann)["b"]["message"] == saying("waiting-for-jobs", "a")
    assert follower.claim() == []
    assert follower.reason == saying("job-in-state", "pending")
    runner = given(farm, runner, 3, [1])
    runner.done(1)
    assert states(ann)["b"] == "ready"
    follower = FakeRunner(farm, len(farm.engine.launched) + 1)
    assert follower.claim() == [2]
    # It has begun: now it is not taken back.
    ann.post(f"/v1/jobs/{a}/retry_all").raise_for_status()
    assert states(ann)["b"] == "running"


def test_a_chain_of_hundreds_is_blocked_and_let_go_at_once(farm: Farm, ann: httpx.Client) -> None:
    names = [f"j{number}" for number in range(300)]
    needs = {name: names[index - 1 : index] for index, name in enumerate(names)}
    ann.post("/v1/submissions", json=graph(**needs)).raise_for_status()
    first = jobs_of(ann)["j0"]["id"]
    runner = FakeRunner(farm)
    runner.claim()
    runner.finish("failed", message="No.", permanent=True)
    assert sorted(states(ann).values()) == ["blocked"] * 299 + ["failed"]
    assert jobs_of(ann)["j299"]["message"] == saying("job-blocked-by", "j0", "j298")
    ann.post(f"/v1/jobs/{first}/retry").raise_for_status()
    assert sorted(states(ann).values())[:299] == ["pending"] * 299
