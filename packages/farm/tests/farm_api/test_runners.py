"""Claims over HTTP: fencing, charging once, retries, and what the feed tells."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from farm.api.polls import Poll
from farm.db.claims import open_claims
from farm.db.tables import accounts, claims, ledger_entries, runners
from farm.scheduler.loop import BUSY_SECONDS
from farm.wakeup import Wakeup
from farm_protocol.jobs import JobReason
from farm_protocol.runner import CLAIM_TIMEOUT_SECONDS, HEARTBEAT_SECONDS
from messages import saying, says
from sqlalchemy import func, select, update
from waiting import until

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of, wait_for


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def test_a_job_from_submission_to_its_outputs(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 3"}, instances=1))
    runner = FakeRunner(farm)
    given = runner.http.get("/v1/runner/job").json()
    assert given["scene"] == "demo/scene.blend"
    assert [file["path"] for file in given["files"]] == ["demo/scene.blend"]
    frames = runner.claim()
    assert job_of(ann)["state"] == "running"
    for frame in frames:
        assert runner.done(frame, data=b"frame %d" % frame).status_code == 204
    assert runner.finish().status_code == 204
    job = job_of(ann)
    assert (job["state"], job["frames_done"], job["frames_running"]) == ("completed", 3, 0)
    feed = ann.get("/v1/changes").json()
    assert [output["frame"] for output in feed["outputs"]] == [1, 2, 3]
    assert feed["jobs"][0]["state"] == "completed"
    assert ann.get(f"/v1/blobs/{feed['outputs'][0]['hash']}").content == b"frame 1"
    assert ann.get("/v1/changes", params={"after": feed["cursor"]}).json()["outputs"] == []
    assert runner.claim() == []
    assert runner.http.get("/v1/runner/job").status_code == 401


def test_a_job_that_is_completed_has_the_warnings_of_its_renderer(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 2"}, instances=1))
    runner = FakeRunner(farm)
    for frame in runner.claim():
        runner.done(frame, warnings=["no camera", f"black at {frame}"]).raise_for_status()
    job = job_of(ann)
    assert (job["state"], job["frames_done"]) == ("completed", 2)
    assert job["warnings"] == ["no camera", "black at 1", "black at 2"]


@pytest.mark.parametrize("call", ["claim", "done", "finish"])
def test_the_feed_wakes_a_waiting_reader(
    farm: Farm, ann: httpx.Client, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    # It wakes neither by itself nor by the scheduler, who looks for what others have written.
    monkeypatch.setattr("farm.api.changes.POLL_SECONDS", 60.0)
    monkeypatch.setattr("farm.db.feed.newest_of_all", lambda _: 0)
    waits, wait = threading.Event(), Poll.wait

    async def said(poll: Poll, changes: Wakeup, seen: int, seconds: float) -> None:
        waits.set()
        await wait(poll, changes, seen, seconds)

    monkeypatch.setattr(Poll, "wait", said)
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    if call != "claim":
        runner.claim()
    cursor = ann.get("/v1/changes").json()["cursor"]
    answers: list[dict[str, Any]] = []

    def read() -> None:
        query = {"after": cursor, "wait": 30}
        answers.append(ann.get("/v1/changes", params=query).json())

    reader = threading.Thread(target=read)
    reader.start()
    assert waits.wait(60)
    if call == "done":
        runner.done(1)
    else:
        getattr(runner, call)()
    reader.join(60)
    assert answers, "nobody has woken it"
    told = [output["frame"] for output in answers[0]["outputs"]]
    assert told == ([1] if call == "done" else [])
    assert answers[0]["cursor"] > cursor


def test_a_repeated_report_is_charged_once(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    runner.claim()
    with farm.database.write() as connection:
        connection.execute(update(claims).values(unposted_seconds=10.0))
    assert [runner.done(1).status_code for _ in range(3)] == [204] * 3
    credits = job_of(ann)["credits"]
    assert credits == pytest.approx(10, abs=5)
    info = ann.get("/v1/me").json()
    assert info["credits_consumed"] == pytest.approx(credits)
    assert info["credits_available"] == pytest.approx(100 - credits)
    with farm.database.read() as connection:
        usage = select(func.count()).where(ledger_entries.c.kind == "usage")
        assert connection.execute(usage).scalar() == 1


def test_a_frame_that_crashes_before_a_heartbeat_fails_alone(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1, params={"frames": "1 9"}))
    runner = FakeRunner(farm)
    for _ in range(3):
        assert runner.claim()[0] == 1
        runner.beat()  # While the scene loads.
        runner.finish("failed", message="Ended by SIGSEGV.", frame=1)
    frames = runner.claim()
    assert frames == list(range(2, 10))
    assert (job_of(ann)["state"], job_of(ann)["frames_failed"]) == ("running", 1)
    for frame in frames:
        runner.done(frame)
    job = job_of(ann)
    assert (job["state"], job["frames_done"], job["frames_failed"]) == ("failed", 8, 1)
    assert job["message"] == saying("failed-frames", "frame 1", "Ended by SIGSEGV.")


def test_one_call_ends_a_claim_and_gives_the_next(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1, params={"frames": "1 2"}))
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 2]
    runner.done(1)
    finish = {"outcome": "failed", "message": "Blender was killed.", "exit_code": -9}
    ended = {"claim_id": runner.claim_id, "finish": finish}
    assert runner.claim(ended=ended) == [2]
    job = job_of(ann)
    assert (job["frames_done"], job["frames_running"]) == (1, 1)
    assert "Blender was killed." in job["message"]
    (now, before) = ann.get(f"/v1/jobs/{job['id']}/tasks").json()["tasks"]
    assert (before["outcome"], before["exit_code"]) == ("failed", -9)
    assert now["id"] == runner.claim_id
    # The answer got lost: the call is repeated. What was given meanwhile goes back, unharmed.
    assert runner.claim(ended=ended) == [2]
    runner.done(2)
    done = {"claim_id": runner.claim_id, "finish": {"outcome": "completed"}}
    assert runner.claim(ended=done) == []
    assert job_of(ann)["state"] == "completed"
    tasks = ann.get(f"/v1/jobs/{job['id']}/tasks").json()["tasks"]
    assert [task["outcome"] for task in tasks] == ["completed", "stopped", "failed"]
    assert [task["failed"] for task in tasks] == [False, False, True]


def test_the_end_of_a_claim_that_was_lost_is_passed_over(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=2, params={"frames": "1 2"}))
    late, other = FakeRunner(farm), FakeRunner(farm, 2)
    assert late.claim() == [1]
    silence(farm)
    wait_for(ann, lambda job: says(job["message"], "runner-stopped-responding"))
    assert other.claim() == [1]
    for claim_id in (late.claim_id, other.claim_id):
        finish = {"outcome": "failed", "message": "No.", "permanent": True}
        assert late.claim(ended={"claim_id": claim_id, "finish": finish}) == [2]
    job = job_of(ann)
    assert (job["state"], job["frames_failed"], job["frames_running"]) == ("running", 0, 2)


@pytest.mark.parametrize("call", ["claim", "beat"])
def test_a_token_lives_on_with_its_runner(farm: Farm, ann: httpx.Client, call: str) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    runner.claim()
    soon = datetime.now(UTC) + timedelta(minutes=1)
    with farm.database.write() as connection:
        connection.execute(update(runners).values(expires_at=soon))
    getattr(runner, call)()
    with farm.database.read() as connection:
        ends = connection.execute(select(runners.c.expires_at)).scalar_one()
    assert ends > soon + timedelta(days=6)


def test_a_lost_claim_goes_to_another_and_the_late_runner_is_fenced(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    late = FakeRunner(farm)
    assert late.claim() == [1, 2, 3, 4]
    late.done(1)
    farm.engine.living.clear()
    farm.wakeup.notify()
    other = FakeRunner(farm, 2)
    assert other.claim() == [2, 3, 4]
    before = ann.get("/v1/me").json()["credits_available"]
    for answer in (late.done_refused(2), late.finish(), late.post("heartbeat", {})):
        assert answer.status_code == 401
    assert late.http.post("/v1/runner/claims", json={}).status_code == 401
    assert late.http.put(f"/v1/runner/blobs/{'0' * 64}", content=b"x").status_code == 401
    assert job_of(ann)["frames_done"] == 1
    assert ann.get("/v1/me").json()["credits_available"] == before


def test_a_runner_that_was_only_silent_has_lost_its_claim_all_the_same(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(instances=2, params={"frames": "1 2"}))
    late, other = FakeRunner(farm), FakeRunner(farm, 2)
    assert late.claim() == [1]
    silence(farm)
    wait_for(ann, lambda job: says(job["message"], "runner-stopped-responding"))
    assert other.claim() == [1]
    before = ann.get("/v1/me").json()["credits_available"]
    data = b"pixels of the late one"
    upload = late.http.put(f"/v1/runner/blobs/{'0' * 64}", content=data)
    for answer in (
        upload,
        late.done_refused(1),
        late.finish("failed", message="No.", permanent=True),
        late.post("heartbeat", {}),
        late.post("log", {"offset": 0, "text": "late"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (410, "claim_lost")
    # Neither with the name of the other's claim.
    late.claim_id = other.claim_id
    assert late.done_refused(1).status_code == late.finish().status_code == 410
    job = job_of(ann)
    assert (job["frames_done"], job["frames_failed"], job["frames_running"]) == (0, 0, 1)
    assert ann.get("/v1/me").json()["credits_available"] == before
    other.done(1)
    assert late.claim() == [2]  # It may go on: it was only slow.


def test_a_runner_that_stays_silent_is_ended_for_it_holds_a_slot(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    frozen = FakeRunner(farm)
    frozen.claim()
    silence(farm)
    wait_for(ann, lambda job: says(job["message"], "runner-stopped-responding"))
    with farm.database.write() as connection:
        connection.execute(update(claims).values(ended_at=datetime.now(UTC) - timedelta(minutes=1)))
    farm.wakeup.notify()
    assert FakeRunner(farm, 2).claim() == [1, 2, 3, 4]
    assert farm.engine.stopped == {f"fake:{frozen.request.runner_id}"}


def silence(farm: Farm) -> None:
    """Let time pass in which no runner is heard of, until no claim is open any more."""

    def none_is_open() -> bool:
        farm.wakeup.notify()
        with farm.database.read() as connection:
            return not open_claims(connection)

    with farm.clock.flies():
        until(none_is_open)


def test_a_lost_runner_is_noticed_within_15_seconds() -> None:
    # Also when a pass of the scheduler takes a second: it rests for `BUSY_SECONDS` at most.
    assert CLAIM_TIMEOUT_SECONDS + BUSY_SECONDS + 1 <= 15
    assert CLAIM_TIMEOUT_SECONDS >= 5 * HEARTBEAT_SECONDS  # and not by a hiccup


def test_a_silent_claim_expires(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    runner.claim()
    silence(farm)
    assert says(job_of(ann)["message"], "runner-stopped-responding")
    assert runner.post("heartbeat", {}).status_code == 410
    assert runner.done_refused(1).status_code == 410
    # The same runner may go on: it was only slow.
    assert runner.claim() == [1, 2, 3, 4]


def test_a_frame_that_keeps_failing_is_given_up(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 3"}, instances=1))
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 2, 3]
    runner.done(1)
    runner.finish("failed", message="Blender was killed.", exit_code=-9)
    assert job_of(ann)["reason"] == JobReason.TRYING_AGAIN
    assert "Blender was killed." in job_of(ann)["message"]
    for _ in range(2):
        assert runner.claim() == [2, 3]
        runner.post("heartbeat", {"frame": 2})
        runner.finish("failed", message="Blender was killed.")
    assert runner.claim() == [3]
    runner.done(3)
    runner.finish()
    job = job_of(ann)
    assert (job["state"], job["frames_done"], job["frames_failed"]) == ("failed", 2, 1)
    assert job["reason"] == JobReason.FRAMES
    assert job["message"] == saying("failed-frames", "frame 2", "Blender was killed.")
    assert runner.claim() == []
    ann.post(f"/v1/jobs/{job['id']}/retry").raise_for_status()
    second = FakeRunner(farm, 2)
    assert second.claim() == [2]
    second.done(2)
    assert job_of(ann)["state"] == "completed"


def test_a_permanent_failure_ends_the_job_at_once(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    runner.claim()
    runner.post("log", {"offset": 0, "text": "hello\n"})
    runner.post("log", {"offset": 0, "text": "hello\n"})
    runner.finish("failed", message="It is dark.", permanent=True)
    job = job_of(ann)
    assert (job["state"], job["message"]) == ("failed", "It is dark.")
    assert job["frames_failed"] == 4
    log = ann.get(f"/v1/jobs/{job['id']}/log").json()["text"]
    assert log.count("hello") == 1
    assert "It is dark" in log


def test_a_permanent_failure_gives_up_what_nobody_has_begun(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=2))
    runner = FakeRunner(farm)
    assert len(runner.claim()) < 4
    runner.finish("failed", message="It is dark.", permanent=True)
    job = job_of(ann)
    assert (job["state"], job["frames_failed"]) == ("failed", 4)


def test_completed_without_frames_is_not_believed(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    for _ in range(3):
        runner.claim()
        runner.finish("completed")
    job = job_of(ann)
    assert (job["state"], job["reason"]) == ("failed", JobReason.FRAMES)
    tasks = ann.get(f"/v1/jobs/{job['id']}/tasks", params={"failed": True}).json()["tasks"]
    assert [(task["outcome"], task["failed"]) for task in tasks] == [("completed", True)] * 3
    assert all(task["message"] for task in tasks)


def test_outputs_stay_inside_the_results_folder(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    runner.claim()
    output = {"path": "demo/scene.blend", "hash": "0" * 64, "size": 1}
    answer = runner.post("frames", {"frame": 1, "seconds": 0, "outputs": [output]})
    assert list(answer.json()["errors"]) == ["outputs[0].path"]
    output["path"] = "demo/render_results/out/frame_0001.png"
    answer = runner.post("frames", {"frame": 1, "seconds": 0, "outputs": [output]})
    assert list(answer.json()["errors"]) == ["outputs[0].hash"]
    answer = runner.post("frames", {"frame": 99, "seconds": 0, "outputs": [output]})
    assert list(answer.json()["errors"]) == ["frame"]


def test_a_runner_that_gets_ready_hears_what_is_wanted(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)

    def told() -> str:
        answer = runner.http.post("/v1/runner/heartbeat", json={}).raise_for_status().json()
        command: str = answer["command"]
        return command

    assert told() == "continue"
    ann.post(f"/v1/jobs/{job_of(ann)['id']}/suspend").raise_for_status()
    assert told() == "yield"
    # Nothing is expected of it any more.
    assert runner.http.post("/v1/runner/heartbeat", json={}).status_code == 401


def test_a_runner_that_gets_ready_for_nothing_hears_so(
    farm: Farm, ann: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.post("/v1/submissions", json=spec(instances=2, params={"frames": "1 2"}))
    first, late = FakeRunner(farm), FakeRunner(farm, 2)
    # The scheduler, who ends it as well, is slow.
    go, look = threading.Event(), farm.engine.look
    monkeypatch.setattr(farm.engine, "look", lambda known: look(known) if go.wait(60) else {})
    while frames := first.claim():
        for frame in frames:
            first.done(frame)
    assert job_of(ann)["state"] == "completed"
    answer, another = (late.http.post("/v1/runner/heartbeat", json={}) for _ in range(2))
    go.set()
    assert answer.json()["command"] == "yield"
    assert another.status_code == 401


def test_a_runner_of_a_disabled_account_stops_and_gets_nothing(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 2, 3, 4]
    with farm.database.write() as connection:
        connection.execute(update(accounts).values(active=False))
    assert runner.beat() == "stop"
    runner.finish("stopped")
    assert runner.claim() == []
    assert runner.reason == saying("account-disabled")
    assert runner.http.post("/v1/runner/claims", json={}).status_code == 401


def test_stop_suspend_resume(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    runner.claim()
    job_id = job_of(ann)["id"]
    assert ann.post(f"/v1/jobs/{job_id}/suspend").json()["state"] == "suspended"
    runner.done(1)
    assert runner.beat(2) == "yield"
    assert ann.post(f"/v1/jobs/{job_id}/resume").json()["state"] == "ready"
    until(lambda: runner.beat(2) == "continue")
    assert ann.post(f"/v1/jobs/{job_id}/resume").json()["state"] == "ready"
    assert ann.post(f"/v1/jobs/{job_id}/stop").json()["state"] == "stopping"
    assert runner.post("heartbeat", {}).json()["command"] == "stop"
    runner.finish("stopped")
    assert runner.claim() == []
    wait_for(ann, lambda job: job["state"] == "stopped")
    eve = farm.user("eve@example.com")
    assert eve.post(f"/v1/jobs/{job_id}/retry").status_code == 404
    assert eve.get(f"/v1/jobs/{job_id}/log").status_code == 404


def test_the_outputs_of_a_job_come_in_pages(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1"}, instances=1))
    runner = FakeRunner(farm)
    assert runner.claim() == [1]
    blob = send(ann, "demo/pixels.png", b"pixels")
    wanted = [f"demo/render_results/out/frame_0001/part {n:04d}.png" for n in range(1001)]
    files = [{"path": path, "hash": blob["hash"], "size": blob["size"]} for path in wanted]
    runner.post("frames", {"frame": 1, "seconds": 0, "outputs": files}).raise_for_status()
    address = f"/v1/jobs/{job_of(ann)['id']}/outputs"
    first = ann.get(address).json()
    assert first["more"]
    second = ann.get(address, params={"after": first["outputs"][-1]["path"]}).json()
    assert not second["more"]
    assert [each["path"] for each in first["outputs"] + second["outputs"]] == wanted
    assert {each["frame"] for each in first["outputs"]} == {1}
    assert farm.user("stranger@example.com").get(address).status_code == 404


@pytest.mark.parametrize("limits_mode", ["auto", "required"])
def test_runners_are_told_whether_they_need_a_control_group(farm: Farm, limits_mode: str) -> None:
    client = farm.user("first@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    client.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    runner = FakeRunner(farm)
    assert runner.http.get("/v1/runner/job").json()["limits_mode"] == limits_mode
    answer = runner.http.post("/v1/runner/claims", json={}).json()
    assert answer["limits_required"] is (limits_mode == "required")


def test_a_second_account_requires_a_sandbox_from_the_next_claim_on(farm: Farm) -> None:
    client = farm.user("first@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    body = spec(instances=1, params={"frames": "1 4"})
    client.post("/v1/submissions", json=body).raise_for_status()
    runner = FakeRunner(farm)
    assert runner.http.get("/v1/runner/job").json()["sandbox"] == "auto"
    answer = runner.http.post("/v1/runner/claims", json={}).json()
    assert (bool(answer["claim_id"]), answer["sandbox_required"]) == (True, False)
    farm.user("second@example.com")
    answer = runner.http.post("/v1/runner/claims", json={}).json()
    assert (bool(answer["claim_id"]), answer["sandbox_required"]) == (True, True)
    assert runner.http.get("/v1/runner/job").json()["sandbox"] == "required"
