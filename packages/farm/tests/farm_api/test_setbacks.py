"""Bad machines, missing licences, and what is kept of every task, over HTTP."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from farm.db import ledger
from farm.db.tables import claims, jobs
from farm.jobs.hosts import MAX_HOST_FAILURES, REFUSED_PAUSE_SECONDS
from farm_protocol.jobs import JobReason
from messages import saying
from sqlalchemy import select, update

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def fail(runner: FakeRunner, times: int) -> None:
    for _ in range(times):
        frames = runner.claim()
        runner.beat(frames[0])
        runner.finish("failed", message="The driver crashed.", exit_code=139)


def pause(farm: Farm) -> float:
    """Return for how many seconds the job starts no runner."""
    with farm.database.read() as connection:
        until: datetime = connection.execute(select(jobs.c.not_before)).scalar_one()
    return (until - datetime.now(UTC)).total_seconds()


def test_a_bad_host_is_avoided_and_its_failures_are_forgiven(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 4"}, instances=2))
    bad, good = FakeRunner(farm, 1, host="node1"), FakeRunner(farm, 2, host="node2")
    assert good.claim() == [1]
    fail(bad, 3)
    assert bad.claim() == []
    assert bad.reason == saying(
        "another-machine-continues-job", saying("failed-times-row", "node1", 3)
    )
    job = job_of(ann)
    assert job["reason"] == JobReason.OTHER_MACHINE
    assert "node1" in job["message"]
    assert (job["state"], job["frames_failed"]) == ("running", 0)
    assert 0 < pause(farm) <= REFUSED_PAUSE_SECONDS
    # A new runner of that host fares no better.
    let_it_pass(farm)
    new = FakeRunner(farm, 3, host="node1")
    assert (new.claim(), new.reason) == ([], bad.reason)
    good.done(1)
    assert job_of(ann)["message"] == ""
    while frames := good.claim():
        for frame in frames:
            good.done(frame)
    assert job_of(ann)["state"] == "completed"


def test_what_a_bad_host_cost_is_given_back_once(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 9"}, instances=2))
    bad, good = FakeRunner(farm, 1, host="node1"), FakeRunner(farm, 2, host="node2")
    given = good.claim()
    bad.done(bad.claim()[0])
    delivered = job_of(ann)["credits"]
    for cost in (10, 20, 30):
        with farm.database.write() as connection:
            of_it = claims.c.id == bad.claim_id
            connection.execute(update(claims).where(of_it).values(unposted_seconds=10.0))
        bad.finish("failed", message="The driver crashed.")
        assert job_of(ann)["credits"] == pytest.approx(delivered + cost, abs=3)
        bad.claim()
    # Only that another machine delivers says whose fault it was.
    assert job_of(ann)["credits"] == pytest.approx(delivered + 30, abs=3)
    good.done(given[0])
    job, me = job_of(ann), ann.get("/v1/me").json()
    delivered = job["credits"]  # What was delivered stays paid, by either.
    assert 0 < delivered < 10
    assert (me["credits_consumed"], me["credits_available"]) == pytest.approx(
        (delivered, 100 - delivered)
    )
    moved = ann.get("/v1/me/credits").json()["movements"]
    kinds = [each["kind"] for each in moved]
    assert kinds == ["refund"] * 3 + ["usage"] * 5 + ["grant"]
    with farm.database.read() as connection:
        assert ledger.faults(connection) == []


def test_what_a_scene_cost_that_fails_everywhere_stays_paid(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 9"}, instances=2))
    first, second = FakeRunner(farm, 1, host="node1"), FakeRunner(farm, 2, host="node2")
    second.claim()
    fail(first, 3)
    assert first.claim() == []
    second.finish("failed", message="The driver crashed.")
    fail(second, 3)
    kinds = [each["kind"] for each in ann.get("/v1/me/credits").json()["movements"]]
    assert set(kinds) == {"usage", "grant"}


def test_what_the_only_host_cost_stays_paid(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 2"}, instances=1))
    runner = FakeRunner(farm, host="node1")
    fail(runner, 4)
    kinds = [each["kind"] for each in ann.get("/v1/me/credits").json()["movements"]]
    assert kinds == ["usage"] * 4 + ["grant"]


def test_the_only_host_is_never_avoided_and_the_job_ends(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 2"}, instances=1))
    runner = FakeRunner(farm, host="node1")
    fail(runner, 6)
    assert runner.claim() == []
    job = job_of(ann)
    assert (job["state"], job["frames_failed"]) == ("failed", 2)
    assert job["message"] == "The driver crashed."


def test_who_delivers_goes_on_while_the_job_waits_for_another_licence(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 9"}, instances=2))
    first, second = FakeRunner(farm, 1, host="node1"), FakeRunner(farm, 2, host="node2")
    for frame in first.claim():
        first.done(frame)
    assert second.claim()
    second.finish("no_licence", message="None left.")
    assert job_of(ann)["reason"] == JobReason.LICENCE
    assert first.claim()
    assert job_of(ann)["reason"] == JobReason.LICENCE


ENDS: list[tuple[str, dict[str, bool]]] = [
    ("failed", {"permanent": True}),
    ("no_licence", {}),
    ("failed", {}),
]


@pytest.mark.parametrize(("outcome", "more"), ENDS, ids=["for-good", "no-licence", "failed"])
def test_how_a_renderer_ends_after_its_last_frame_is_no_setback(
    farm: Farm, ann: httpx.Client, outcome: str, more: dict[str, bool]
) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 30"}, instances=2))
    first, second = FakeRunner(farm, 1, host="node1"), FakeRunner(farm, 2, host="node2")
    kept = second.claim()
    frames = first.claim()
    for frame in frames:
        first.done(frame)
    assert first.finish(outcome, message="It crashed at its end.", **more).status_code == 204
    job = job_of(ann)
    assert (job["state"], job["frames_failed"], job["reason"]) == ("running", 0, "")
    with farm.database.read() as connection:
        assert connection.execute(select(jobs.c.not_before)).scalar_one() is None
    # Nor does it count among those that make others get the machine's frames.
    for _ in range(MAX_HOST_FAILURES - 1):
        again = first.claim()
        assert again
        first.finish("failed", message="The driver crashed.", frame=again[0])
    assert first.claim()
    assert second.done(kept[0]).status_code == 204


def let_it_pass(farm: Farm) -> None:
    """Let the time be over for which the job starts no runner."""
    with farm.database.write() as connection:
        now = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(update(jobs).values(not_before=now))
    farm.wakeup.notify()


RIGHT = [{"app": "blender", "version": "3.4.1", "plugins": []}]
WRONG = [{"app": "blender", "version": "2.79", "plugins": []}]


def test_a_host_that_cannot_do_a_job_is_no_reason_to_avoid_another(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1"}, instances=1))
    unfit = FakeRunner(farm, 1, host="node2")
    assert unfit.claim(programs=WRONG) == []
    lacks = saying("waiting-another-machine", "'node2'", "blender 3.4.1")
    assert job_of(ann)["message"] == lacks
    let_it_pass(farm)
    runner = FakeRunner(farm, 2, host="node1")
    assert runner.claim(programs=RIGHT) == [1]
    assert job_of(ann)["message"] == ""  # It is being rendered.
    runner.finish("failed", message="The driver crashed.")
    fail(runner, 5)  # Its frame is forgiven once.
    assert (job_of(ann)["state"], job_of(ann)["message"]) == ("failed", "The driver crashed.")


def test_what_came_out_is_not_tried_again_any_more(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm, host="node1")
    runner.claim()
    runner.done(1)
    runner.finish("failed", message="It crashed.")
    assert job_of(ann)["reason"] == JobReason.TRYING_AGAIN
    assert runner.claim() == [2, 3, 4]
    assert job_of(ann)["reason"] == JobReason.TRYING_AGAIN
    runner.done(2)
    assert job_of(ann)["message"] == ""


def test_who_has_the_licence_goes_on_while_others_wait_for_one(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 40"}, instances=2))
    has, other = FakeRunner(farm, 1, host="node1"), FakeRunner(farm, 2, host="node2")
    for number in range(3, 6):
        frames = has.claim()
        has.done(frames[0])
        assert other.claim() != []
        other.finish("no_licence", message="All are taken.")
        # Not longer each time: the one that is there may become free.
        assert 25 < pause(farm) <= 30
        told = saying("claim-reason-next-try", saying("waiting-another-licence"), "All are taken")
        assert job_of(ann)["message"] == told
        assert other.claim() == []
        for frame in frames[1:]:
            has.done(frame)
        let_it_pass(farm)
        other = FakeRunner(farm, number, host="node2")
    frames = has.claim()
    has.done(frames[0])
    assert other.claim() != []
    other.finish("no_licence", message="All are taken.")
    has.finish("no_licence", message="Lost it.")
    assert job_of(ann)["reason"] == JobReason.OTHER_LICENCE
    assert "All are taken" in job_of(ann)["message"]
    assert has.claim() == []


@pytest.mark.parametrize("actions", [["retry"], ["suspend", "resume"]])
def test_a_user_who_wants_it_tried_now_need_not_wait_for_the_licence(
    farm: Farm, ann: httpx.Client, actions: list[str]
) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    job_id = job_of(ann)["id"]
    runner = FakeRunner(farm)
    runner.claim()
    runner.finish("no_licence", message="All are taken.")
    assert runner.claim() == []
    for action in actions:
        ann.post(f"/v1/jobs/{job_id}/{action}").raise_for_status()
    assert job_of(ann)["message"] == ""
    assert FakeRunner(farm, 2).claim() == [1, 2, 3, 4]


def test_a_job_without_a_licence_waits_longer_each_time(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 2"}, instances=1))
    line = "FOUNDRY LICENSE ERROR REPORT"
    runner = FakeRunner(farm)
    for number, seconds in enumerate((30, 60, 120, 240), 2):
        assert runner.claim() == [1, 2]
        runner.finish("no_licence", message=f"No licence: {line}.", marker=line, exit_code=100)
        assert seconds - 5 < pause(farm) <= seconds
        job = job_of(ann)
        assert (job["state"], job["frames_failed"]) == ("running", 0)
        assert job["reason"] == JobReason.LICENCE
        assert line in job["message"]
        assert runner.claim() == []
        assert runner.reason == saying("job-waits-licence")
        let_it_pass(farm)
        runner = FakeRunner(farm, number)
    assert runner.claim() == [1, 2]
    runner.done(1)
    assert job_of(ann)["message"] == ""
    runner.finish("no_licence", message="Lost it.")
    assert 25 < pause(farm) <= 30


def test_every_task_keeps_how_it_ended(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    job_id = job_of(ann)["id"]
    runner = FakeRunner(farm, host="node1")
    runner.claim()
    runner.done(1)
    runner.post("log", {"offset": 0, "text": "Error: it is dark\n"})
    runner.finish("failed", message="It broke.", exit_code=11, marker="Error: it is dark")
    broken = runner.claim_id
    runner.claim()
    runner.post("log", {"offset": 0, "text": "all is well\n"})
    address = f"/v1/jobs/{job_id}/tasks"
    newest, first = ann.get(address).json()["tasks"]
    assert (newest["outcome"], newest["ended_at"], newest["frames"]) == ("running", None, "2-4")
    assert first | {"started_at": "", "ended_at": "", "runner_id": ""} == {
        "id": broken,
        "runner_id": "",
        "host": "node1",
        "frames": "1-4",
        "frames_total": 4,
        "frames_done": 1,
        "outcome": "failed",
        "failed": True,
        "message": "It broke.",
        "exit_code": 11,
        "marker": "Error: it is dark",
        "started_at": "",
        "ended_at": "",
    }
    assert [task["id"] for task in ann.get(address, params={"failed": True}).json()["tasks"]] == [
        broken
    ]
    log = ann.get(f"/v1/jobs/{job_id}/log", params={"task": broken}).json()["text"]
    assert "it is dark" in log
    assert "all is well" not in log
    eve = farm.user("eve@example.com")
    assert eve.get(address).status_code == 404
    assert eve.get(f"/v1/jobs/{job_id}/log", params={"task": broken}).status_code == 404
