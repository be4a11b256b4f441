"""Actions over HTTP: on a job, a submission and everything; twice; at the same moment."""

import threading
from collections import Counter
from functools import partial
from typing import Any

import httpx
import pytest
from farm.db.tables import runners
from farm.scheduler import limits
from farm_protocol.users import Role
from messages import saying, says
from sqlalchemy import select
from waiting import until

from .conftest import Farm, send, spec
from .runners import FakeRunner, given, job_of, jobs_of, wait_for


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def submit(client: httpx.Client, **changes: object) -> str:
    """Submit one job and return its id."""
    answer = client.post("/v1/submissions", json=spec(**changes)).raise_for_status()
    job_id: str = answer.json()["jobs"][0]["id"]
    return job_id


def failed_after_one(farm: Farm, ann: httpx.Client) -> str:
    """Make a job of four frames: 1 done, 2 failed, 3 and 4 never begun, the job failed."""
    job_id = submit(ann, instances=1)
    runner = FakeRunner(farm)
    runner.claim()
    runner.done(1)
    runner.beat(2)
    runner.finish("failed", message="No camera.", permanent=True)
    assert runner.claim() == []
    assert job_of(ann)["state"] == "failed"
    assert job_of(ann)["frames_failed"] == 3
    return job_id


def test_retry_puts_all_failed_frames_back(farm: Farm, ann: httpx.Client) -> None:
    job_id = failed_after_one(farm, ann)
    for _ in range(2):  # A double click.
        job = ann.post(f"/v1/jobs/{job_id}/retry").raise_for_status().json()
        assert (job["state"], job["frames_done"], job["frames_failed"]) == ("ready", 1, 0)
    assert FakeRunner(farm, 2).claim() == [2, 3, 4]


def test_retry_all_renders_and_charges_everything_anew(farm: Farm, ann: httpx.Client) -> None:
    job_id = submit(ann, params={"frames": "1 2"}, instances=1)
    runner = FakeRunner(farm)
    runner.claim()
    runner.done(1, data=b"first")
    runner.done(2)
    assert job_of(ann)["state"] == "completed"
    assert ann.post(f"/v1/jobs/{job_id}/retry").json()["state"] == "completed"  # None failed.
    for _ in range(2):
        job = ann.post(f"/v1/jobs/{job_id}/retry_all").raise_for_status().json()
        assert (job["state"], job["frames_done"], job["finished_at"]) == ("ready", 0, None)
    assert runner.done(1).status_code == 400  # The claim has no such frame any more.
    runner = given(farm, runner, 2, [1, 2])
    assert runner.done(1, data=b"second").status_code == 204
    # Of a job that is being rendered, a late click throws nothing away.
    assert ann.post(f"/v1/jobs/{job_id}/retry_all").json()["frames_done"] == 1
    runner.done(2)
    assert job_of(ann)["state"] == "completed"
    newest = ann.get("/v1/changes").json()["outputs"]
    assert ann.get(f"/v1/blobs/{newest[0]['hash']}").content == b"second"


def test_restart_unstarted_leaves_failed_frames_failed(farm: Farm, ann: httpx.Client) -> None:
    job_id = failed_after_one(farm, ann)
    for _ in range(2):
        job = ann.post(f"/v1/jobs/{job_id}/restart_unstarted").raise_for_status().json()
        assert (job["state"], job["frames_failed"]) == ("ready", 1)
    runner = FakeRunner(farm, 2)
    assert runner.claim() == [3, 4]
    runner.done(3)
    runner.done(4)
    job = job_of(ann)
    assert (job["state"], job["frames_failed"]) == ("failed", 1)
    assert nothing_unstarted(ann, job_id)
    assert job_of(ann)["state"] == "failed"


def nothing_unstarted(ann: httpx.Client, job_id: str) -> bool:
    """Return whether the farm says so, and leaves the job when all jobs are meant."""
    answer = ann.post(f"/v1/jobs/{job_id}/restart_unstarted")
    assert ann.post("/v1/jobs/restart_unstarted").status_code == 200
    return answer.status_code == 409 and says(answer.text, "every-frame-already-started", "beauty")


def stopped_in_frame(farm: Farm, ann: httpx.Client, runner: FakeRunner, frame: int) -> None:
    runner.beat(frame)
    ann.post("/v1/jobs/stop").raise_for_status()
    assert runner.beat(frame) == "stop"
    runner.finish("stopped", frame=frame)
    assert runner.claim() == []
    wait_for(ann, lambda job: job["state"] == "stopped")


def test_restart_unstarted_of_a_stopped_job_renders_nothing_that_was_begun(
    farm: Farm, ann: httpx.Client
) -> None:
    job_id = submit(ann, params={"frames": "1 6"}, instances=1)
    runner = FakeRunner(farm)
    assert runner.claim()[0] == 1
    runner.finish("failed", message="It broke.", frame=2)
    runner.claim()
    runner.done(1)
    stopped_in_frame(farm, ann, runner, 3)
    for _ in range(2):
        job = ann.post(f"/v1/jobs/{job_id}/restart_unstarted").raise_for_status().json()
        assert (job["state"], job["frames_failed"]) == ("ready", 2)
    runner = FakeRunner(farm, 2)
    assert runner.claim() == [4, 5, 6]
    stopped_in_frame(farm, ann, runner, 4)
    # To try again forgets what was begun before.
    ann.post(f"/v1/jobs/{job_id}/retry").raise_for_status()
    runner = FakeRunner(farm, 3)
    assert runner.claim() == [2, 3, 4, 5, 6]
    stopped_in_frame(farm, ann, runner, 2)
    ann.post(f"/v1/jobs/{job_id}/restart_unstarted").raise_for_status()
    assert FakeRunner(farm, 4).claim() == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("heard", "done", "told", "again"),
    [
        (3, [], {}, [1, 2, 4]),
        (3, [1], {}, [2, 4]),
        (None, [1], {}, [3, 4]),
        (None, [], {}, [1, 2, 3, 4]),
        (None, [1], {"frame": 99}, [3, 4]),
        (None, [], {"frame": 99}, [2, 3, 4]),
        (3, [1], {"frame": 99}, [3, 4]),
    ],
    ids=[
        "heard",
        "heard-later",
        "between",
        "loading",
        "nobodys",
        "nobodys-while-loading",
        "nobodys-and-heard",
    ],
)
def test_where_a_claim_ended_follows_from_what_is_known(
    farm: Farm,
    ann: httpx.Client,
    heard: int | None,
    done: list[int],
    told: dict[str, int],
    again: list[int],
) -> None:
    job_id = submit(ann, instances=1)
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 2, 3, 4]
    for frame in done:
        runner.done(frame)
    runner.beat(heard)
    ann.post("/v1/jobs/stop").raise_for_status()
    runner.finish("stopped", **told)
    assert runner.claim() == []
    wait_for(ann, lambda job: job["state"] == "stopped")
    ann.post(f"/v1/jobs/{job_id}/restart_unstarted").raise_for_status()
    assert FakeRunner(farm, 2).claim() == again


def test_restart_unstarted_leaves_a_stopped_job_of_which_all_was_begun(
    farm: Farm, ann: httpx.Client
) -> None:
    job_id = submit(ann, params={"frames": "1"}, instances=1)
    runner = FakeRunner(farm)
    assert runner.claim() == [1]
    stopped_in_frame(farm, ann, runner, 1)
    assert nothing_unstarted(ann, job_id)
    assert (job_of(ann)["state"], job_of(ann)["frames_failed"]) == ("stopped", 0)


@pytest.mark.parametrize("done", [0, 1])
def test_frames_that_a_lost_runner_had_not_reached_are_unstarted(
    farm: Farm, ann: httpx.Client, done: int
) -> None:
    job_id = submit(ann, instances=1)
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 2, 3, 4]
    if done:
        runner.done(1)  # And nothing was heard of the next one.
    farm.engine.living.clear()
    farm.wakeup.notify()
    farm.engine.wait_for(2)
    ann.post(f"/v1/jobs/{job_id}/stop").raise_for_status()
    farm.engine.end_all()
    farm.wakeup.notify()
    wait_for(ann, lambda job: job["state"] == "stopped")
    ann.post(f"/v1/jobs/{job_id}/restart_unstarted").raise_for_status()
    assert FakeRunner(farm, 3).claim() == ([3, 4] if done else [1, 2, 3, 4])


@pytest.mark.parametrize("outcome", ["failed", "no_licence"])
@pytest.mark.parametrize(
    ("action", "told"), [("stop", "job-stopped-by"), ("suspend", "job-suspended-by")]
)
def test_a_claim_that_fails_afterwards_does_not_hide_why_its_job_stands_still(
    farm: Farm, ann: httpx.Client, action: str, told: str, outcome: str
) -> None:
    job_id = submit(ann, instances=1)
    runner = FakeRunner(farm)
    runner.claim()
    runner.beat(1)
    ann.post(f"/v1/jobs/{job_id}/{action}").raise_for_status()
    runner.finish(outcome, message="It broke.")
    assert job_of(ann)["message"] == saying(told, "its user")
    assert "It broke." in ann.get(f"/v1/jobs/{job_id}/log").json()["text"]


def test_a_second_click_keeps_the_reason(farm: Farm, ann: httpx.Client) -> None:
    job_id = failed_after_one(farm, ann)
    assert says(
        ann.post(f"/v1/jobs/{job_id}/stop").json()["message"], "failed-frames", "frames 2-4"
    )
    refused = ann.post(f"/v1/jobs/{job_id}/suspend")
    assert refused.status_code == 409
    assert says(refused.json()["message"], "job-state-forbids-action", "suspend")


def test_a_submission_and_everything(farm: Farm, ann: httpx.Client) -> None:
    body = spec(params={"frames": "1"}, instances=1)
    first = body["jobs"][0]
    body["jobs"] = [
        first,
        first | {"id": "b", "name": "b", "params": {"frames": "2"}, "dependencies": ["j1"]},
    ]
    ann.post("/v1/submissions", json=body).raise_for_status()
    submit(ann, name="other", instances=1)
    eve = farm.user("eve@example.com")
    eve.post("/v1/projects/demo/files", json={})
    address = f"/v1/submissions/{body['id']}"
    assert eve.post(f"{address}/stop").status_code == 404
    assert eve.patch(address, json={"priority": 1}).status_code == 404
    assert eve.post("/v1/jobs/stop").json()["jobs"] == []

    def states() -> dict[str, str]:
        return {name: job["state"] for name, job in jobs_of(ann).items()}

    def is_stopped(name: str, _: object) -> bool:
        return states()[name] == "stopped"

    ann.post(f"{address}/suspend").raise_for_status()
    assert states() == {"beauty": "suspended", "b": "suspended", "other": "ready"}
    ann.post("/v1/jobs/resume").raise_for_status()
    assert states() == {"beauty": "ready", "b": "pending", "other": "ready"}
    ann.patch(address, json={"priority": 30}).raise_for_status()
    assert Counter(job["priority"] for job in jobs_of(ann).values()) == {30: 2, 50: 1}
    for _ in range(2):
        ann.post("/v1/jobs/stop").raise_for_status()
    assert set(states().values()) <= {"stopping", "stopped"}
    farm.engine.end_all()
    farm.wakeup.notify()
    for name in ("beauty", "other"):
        wait_for(ann, partial(is_stopped, name))
    ann.post("/v1/jobs/retry").raise_for_status()  # Not all that was ever stopped.
    assert states() == {"beauty": "stopped", "b": "stopped", "other": "stopped"}
    ann.post(f"{address}/retry").raise_for_status()
    assert states() == {"beauty": "ready", "b": "pending", "other": "stopped"}


def test_to_retry_everything_is_to_retry_what_failed(farm: Farm, ann: httpx.Client) -> None:
    failed = failed_after_one(farm, ann)
    stopped = submit(ann, name="other", instances=1)
    ann.post(f"/v1/jobs/{stopped}/stop").raise_for_status()
    farm.engine.end_all()
    farm.wakeup.notify()
    wait_for(ann, lambda job: job["state"] == "stopped")
    after = {job["id"]: job for job in ann.post("/v1/jobs/retry").json()["jobs"]}
    assert (after[failed]["state"], after[failed]["frames_failed"]) == ("ready", 0)
    assert (after[stopped]["state"], after[stopped]["reason"]) == ("stopped", "user")
    # It is set going by its name.
    assert ann.post(f"/v1/jobs/{stopped}/retry").json()["state"] == "ready"


def test_everything_is_all_on_which_an_action_can_have_an_effect(
    farm: Farm, ann: httpx.Client
) -> None:
    job_id = submit(ann, params={"frames": "1"}, instances=1)
    runner = FakeRunner(farm)
    runner.claim()
    runner.done(1)
    submit(ann, name="other", instances=1)

    def of(answer: httpx.Response) -> dict[str, Any]:
        return {job["name"]: job for job in answer.raise_for_status().json()["jobs"]}

    after = of(ann.patch("/v1/jobs", json={"priority": 30}))
    assert (after["other"]["priority"], after["beauty"]["priority"]) == (30, 50)
    cursor = ann.get("/v1/changes").json()["cursor"]
    for action in ("suspend", "resume", "retry", "restart_unstarted", "stop"):
        assert of(ann.post(f"/v1/jobs/{action}"))["beauty"]["state"] == "completed"
    changed = ann.get("/v1/changes", params={"after": cursor}).json()["jobs"]
    assert job_id not in {job["id"] for job in changed}
    assert of(ann.post("/v1/jobs/retry_all"))["beauty"]["state"] == "ready"


def test_jobs_are_listed_page_by_page(farm: Farm, ann: httpx.Client) -> None:
    eve = farm.user("eve@example.com")
    send(eve, "demo/scene.blend", b"BLENDER-v304")
    submissions = []
    for number in range(3):
        body = spec(params={"frames": "1"})
        first = body["jobs"][0]
        body["jobs"] = [
            first
            | {"id": name, "name": f"{number}{name}"}
            | {"params": {"frames": "1", "output_prefix": name}}
            for name in "abc"
        ]
        submissions.append(ann.post("/v1/submissions", json=body).raise_for_status().json()["id"])
        submit(eve)
    wanted = [f"{number}{name}" for number in (2, 1, 0) for name in "abc"]
    whole = ann.get("/v1/jobs").json()
    assert ([job["name"] for job in whole["jobs"]], whole["more"]) == (wanted, False)
    found: list[dict[str, Any]] = []
    more = True
    while more:
        query = {"limit": 2} | ({"before": found[-1]["id"]} if found else {})
        page = ann.get("/v1/jobs", params=query).raise_for_status().json()
        found += page["jobs"]
        more = page["more"]
    assert [job["name"] for job in found] == wanted
    query = {"submission": submissions[1], "before": found[3]["id"], "limit": 1}
    page = ann.get("/v1/jobs", params=query).json()
    assert ([job["name"] for job in page["jobs"]], page["more"]) == (["1b"], True)
    for wrong in ({"limit": 0}, {"limit": 1001}, {"before": "x"}):
        answer = ann.get("/v1/jobs", params=wrong)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, list(wrong))
    answer = eve.get("/v1/jobs", params={"before": found[0]["id"]})
    assert answer.status_code == 400


def test_two_clicks_at_the_same_moment(farm: Farm, ann: httpx.Client) -> None:
    job_id = failed_after_one(farm, ann)
    answers: list[int] = []
    barrier = threading.Barrier(6)

    def click(action: str) -> None:
        barrier.wait()
        answers.append(ann.post(f"/v1/jobs/{job_id}/{action}").status_code)

    actions = ["retry", "retry_all", "restart_unstarted"] * 2
    clicks = [threading.Thread(target=click, args=[action]) for action in actions]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    assert answers == [200] * 6
    job = job_of(ann)
    assert job["state"] == "ready"
    assert job["frames_done"] + job["frames_failed"] <= 2
    ann.post(f"/v1/jobs/{job_id}/retry")
    rest = [frame for frame in (1, 2, 3, 4) if frame > job["frames_done"]]
    assert FakeRunner(farm, 2).claim() == rest


def test_only_an_administrator_comes_before_everybody(farm: Farm, ann: httpx.Client) -> None:
    job_id = submit(ann)
    submission = ann.get(f"/v1/jobs/{job_id}").json()["submission_id"]
    for address in ("/v1/jobs", f"/v1/jobs/{job_id}", f"/v1/submissions/{submission}"):
        answer = ann.patch(address, json={"priority": 51})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert says(answer.json()["message"], "only-administrator-farm-may-set", 50)
        assert ann.patch(address, json={"priority": 50}).status_code == 200
    eve = farm.user("eve@example.com", role=Role.ADMIN)
    send(eve, "demo/scene.blend", b"BLENDER-v304")
    assert eve.patch(f"/v1/jobs/{submit(eve)}", json={"priority": 100}).json()["priority"] == 100


def test_instances_and_priority_change_while_it_runs(farm: Farm, ann: httpx.Client) -> None:
    job_id = submit(ann, params={"frames": "1 40"}, instances=1)
    first = FakeRunner(farm)
    assert len(first.claim()) == 40
    job = ann.patch(f"/v1/jobs/{job_id}", json={"instances": 2, "priority": 20}).json()
    assert (job["instances"], job["priority"]) == (2, 20)
    # It held all frames: what it has not begun is shared anew.
    assert first.beat(1) == "yield"
    first.done(1)
    first.finish("stopped")
    mine = first.claim()
    assert len(mine) < 39
    second = FakeRunner(farm, 2)
    others = second.claim()
    assert first.beat(mine[0]) == second.beat(others[0]) == "continue"
    ann.patch(f"/v1/jobs/{job_id}", json={"instances": 1}).raise_for_status()
    wait_for(ann, lambda _: "yield" in (first.beat(mine[0]), second.beat(others[0])))
    assert sorted([first.beat(mine[0]), second.beat(others[0])]) == ["continue", "yield"]
    leaving = first if first.beat(mine[0]) == "yield" else second
    leaving.finish("stopped")
    assert leaving.claim() == []
    assert leaving.reason == saying("makes-way-another-job")
    assert ann.patch(f"/v1/jobs/{job_id}", json={"instances": 0}).json()["instances"] == 30


def test_who_has_begun_nothing_makes_room_before_who_works(farm: Farm, ann: httpx.Client) -> None:
    job_id = submit(ann, params={"frames": "1 40"}, instances=2)
    working, idle = FakeRunner(farm, 1), FakeRunner(farm, 2)
    (frame, *_) = working.claim()
    assert working.beat(frame) == "continue"
    ann.patch(f"/v1/jobs/{job_id}", json={"instances": 1}).raise_for_status()

    def somebody_is_told() -> bool:
        with farm.database.read() as connection:
            asked = select(runners.c.id).where(runners.c.yielding)
            return connection.execute(asked).first() is not None

    until(somebody_is_told)
    assert working.beat(frame) == "continue"
    assert idle.claim() == []
    assert idle.reason == saying("makes-way-another-job")
    assert working.done(frame).status_code == 204


def test_the_room_of_a_machine_changes_while_it_runs(farm: Farm, ann: httpx.Client) -> None:
    configured = {"local-cpu": 2}

    def set_slots(count: int | None) -> None:
        with farm.database.write() as connection:
            limits.set_slots(connection, configured, "local-cpu", count)
        farm.wakeup.notify()

    set_slots(1)
    submit(ann, params={"frames": "1 40"}, instances=2)
    first = FakeRunner(farm)
    wait_for(ann, lambda _: bool(farm.engine.living))
    assert len(first.claim()) == 40
    set_slots(None)
    # It held all frames: what it has not begun is shared anew.
    assert first.beat(1) == "yield"
    first.done(1)
    first.finish("stopped")
    mine = first.claim()
    assert len(mine) < 39
    second = FakeRunner(farm, 2)
    others = second.claim()
    assert first.beat(mine[0]) == second.beat(others[0]) == "continue"
    set_slots(0)
    wait_for(ann, lambda _: first.beat(mine[0]) == second.beat(others[0]) == "yield")
    for leaving in (first, second):
        leaving.finish("stopped")
        assert leaving.claim() == []
    set_slots(None)
    assert FakeRunner(farm, 3).claim()


@pytest.mark.parametrize("body", [{"priority": 101}, {"instances": -1}, {"colour": "red"}])
def test_a_change_that_makes_no_sense_names_its_field(
    farm: Farm, ann: httpx.Client, body: dict[str, object]
) -> None:
    job_id = submit(ann)
    answer = ann.patch(f"/v1/jobs/{job_id}", json=body)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == list(body)
