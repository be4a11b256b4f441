"""Jobs of a million frames, over HTTP: submitted, checked, looked at and acted on as ranges."""

import threading
import time
import tracemalloc
from typing import Any
from uuid import uuid4

import httpx
import pytest
from farm.db.tables import frame_runs, frames, jobs
from farm.scheduler import actions
from farm.scheduler.actions import Action
from messages import saying, says
from sqlalchemy import delete, func, insert, select

from .conftest import Farm, send, spec
from .runners import FakeRunner, given

MILLION = 1_000_000
GUARD_SECONDS = 5
"""What took minutes is to take a tenth of a second; a busy machine may take longer."""
GUARD_BYTES = 30_000_000


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com", credits="100000")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def many(count: int, frames: str) -> dict[str, Any]:
    """Return a submission of jobs with these frames."""
    body = spec(params={"frames": frames})
    (job,) = body["jobs"]
    body["jobs"] = [
        {**job, "id": f"j{i}", "params": {"frames": frames, "output_prefix": f"{i}_"}}
        for i in range(count)
    ]
    return body


def submit(client: httpx.Client, frames: str, **changes: Any) -> str:
    answer = client.post("/v1/submissions", json=spec(params={"frames": frames}, **changes))
    answer.raise_for_status()
    return str(answer.json()["jobs"][0]["id"])


def rows(farm: Farm) -> int:
    with farm.database.read() as connection:
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (frames, frame_runs)
        )


def pages(client: httpx.Client, job_id: str, limit: int = 1000) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        answer = client.get(f"/v1/jobs/{job_id}/frames", params=query).json()
        found += answer["frames"]
        if not answer["more"]:
            return found
        query["after"] = found[-1]["number"]


@pytest.mark.parametrize("path", ["/v1/submissions/check", "/v1/submissions"])
def test_five_million_frames_cost_next_to_nothing(farm: Farm, ann: httpx.Client, path: str) -> None:
    ann.post(path, json=spec())  # What is imported late.
    body = many(5, "1 1000000")
    tracemalloc.start()
    begin = time.process_time()
    answer = ann.post(path, json=body)
    took = time.process_time() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.is_success, answer.text
    assert took < GUARD_SECONDS
    assert peak < GUARD_BYTES
    assert rows(farm) <= 10
    if path == "/v1/submissions":
        assert [job["frames_total"] for job in answer.json()["jobs"]] == [MILLION] * 5


def test_a_submission_has_so_many_frames_and_ranges(ann: httpx.Client) -> None:
    pairs = ",".join(f"{i},{i + 1}" for i in range(1, 9_000, 5))
    too_many = saying("submission-has-too-many-frames", 6000000)
    for body, message in (
        (many(6, "1 1000000"), too_many),
        (many(1000, "1 1000000"), too_many),
        (many(12, pairs), saying("too-many-ranges-in-submission")),
        # Each frame that is left lies alone, and all of them come to one range.
        (many(1000, "0 600000 2,0 600000 1"), saying("frame-ranges-overlap-too-much")),
    ):
        errors = ann.post("/v1/submissions/check", json=body).json()["errors"]
        assert list(errors) == ["jobs"]
        assert errors["jobs"] == [message]


def test_too_many_ranges_of_a_job_are_refused(ann: httpx.Client) -> None:
    errors = ann.post("/v1/submissions/check", json=many(1, "1 900000 9,1 900000")).json()["errors"]
    assert says(errors["jobs[0].frames"][0], "too-many-ranges-in-job")


def test_many_jobs_whose_ranges_are_refused_take_no_longer_than_a_few(ann: httpx.Client) -> None:
    # Two ranges from 300,000 frames each, then too many.
    frames = "0 400000 2,0 400000 1,500000 560000 3,500000 560000 1"
    begin = time.process_time()
    errors = ann.post("/v1/submissions/check", json=many(1000, frames)).json()["errors"]
    assert time.process_time() - begin < GUARD_SECONDS
    assert says(errors["jobs[0].frames"][0], "too-many-ranges-in-job")
    assert says(errors["jobs"][0], "frame-ranges-overlap-too-much")


def test_who_has_no_credits_hears_that_first(farm: Farm, ann: httpx.Client) -> None:
    poor = farm.user("poor@example.com", credits="0")
    for path in ("/v1/submissions/check", "/v1/submissions"):
        answer = poor.post(path, json=many(5, "1 1000000,nonsense"))
        assert answer.json()["code"] == "insufficient_credits"


def test_whole_jobs_have_a_limit(ann: httpx.Client) -> None:
    job = {"app": "ffmpeg", "app_version": "5.1", "operation": "transcode"}
    body = spec(**job, path="demo/f_####.png", params={"frames": "1 600000"})
    errors = ann.post("/v1/submissions/check", json=body).json()["errors"]
    assert says(errors["jobs[0].frames"][0], "too-many-frames-at-once", 500000)


def test_a_film_of_many_images_is_compared_as_ranges(ann: httpx.Client) -> None:
    film = {"app": "ffmpeg", "app_version": "5.1", "operation": "transcode"}
    film |= {"id": "f", "name": "film", "path": "demo/render_results/out/0_####.png"}
    body = many(1, "1 400000")
    begin = time.process_time()
    for wanted, word in (("1 400000", ""), ("1 400003", "400001-400003"), ("5 -1 -1", "-1-0")):
        job = {**film, "params": {"frames": wanted}, "dependencies": ["j0"]}
        answer = ann.post("/v1/submissions/check", json={**body, "jobs": [*body["jobs"], job]})
        assert answer.is_success is (not word), answer.text
        assert word in answer.text
    assert time.process_time() - begin < GUARD_SECONDS


def test_two_jobs_of_a_million_frames_that_overlap(ann: httpx.Client) -> None:
    body = many(2, "1 1000000")
    for job in body["jobs"]:
        job["params"]["output_prefix"] = "same_"
    begin = time.process_time()
    errors = ann.post("/v1/submissions/check", json=body).json()["errors"]
    assert time.process_time() - begin < GUARD_SECONDS
    assert list(errors) == ["jobs[1].output_prefix"]
    assert "'same_0001.png' (frames 1-1000000)" in errors["jobs[1].output_prefix"][0]


@pytest.mark.parametrize("action", ["stop", "suspend", "retry", "retry_all", "restart_unstarted"])
def test_actions_on_millions_keep_nobody_waiting(
    farm: Farm, ann: httpx.Client, action: str
) -> None:
    for _ in range(3):
        submit(ann, "1 1000000")
    begin = time.process_time()
    for path in ("stop", action, "retry_all"):
        assert ann.post(f"/v1/jobs/{path}").is_success
    assert time.process_time() - begin < GUARD_SECONDS
    assert rows(farm) == 3


def test_frames_are_listed_whether_or_not_anybody_has_begun_them(
    farm: Farm, ann: httpx.Client
) -> None:
    text = "1 40 3,2 40 3,60 50 -2,1 12"
    job_id = submit(ann, text, instances=5)
    claimed = FakeRunner(farm).claim()
    wanted = sorted({*range(1, 41, 3), *range(2, 41, 3), *range(50, 61, 2), *range(1, 13)})
    for limit in (1, 3, 7, 1000):
        found = pages(ann, job_id, limit)
        assert [each["number"] for each in found] == wanted
        running = {each["number"] for each in found if each["state"] == "running"}
        assert running == set(claimed)
        assert {each["state"] for each in found} == {"running", "waiting"}


def test_a_page_of_a_million_frames(ann: httpx.Client) -> None:
    job_id = submit(ann, "1 1000000")
    begin = time.process_time()
    answer = ann.get(f"/v1/jobs/{job_id}/frames", params={"after": 500_000}).json()
    assert time.process_time() - begin < GUARD_SECONDS
    assert [each["number"] for each in answer["frames"]] == list(range(500_001, 501_001))
    assert answer["more"]


def test_others_write_while_a_large_submission_is_checked(farm: Farm, ann: httpx.Client) -> None:
    """Checks hold no write turn: while one goes on, others are served."""
    bob = farm.user("bob@example.com")
    send(bob, "demo/scene.blend", b"BLENDER-v304")
    over = threading.Event()

    def press() -> None:
        with farm.client(ann.headers["Authorization"].removeprefix("Bearer ")) as client:
            for _ in range(3):
                body = many(400, "1 10000 3,2 10000 3")
                assert client.post("/v1/submissions", json=body | {"id": uuid4().hex}).is_success
        over.set()

    thread = threading.Thread(target=press)
    thread.start()
    waits = []
    while not over.is_set():
        begin = time.monotonic()
        send(bob, "demo/note.txt", uuid4().bytes)
        waits.append(time.monotonic() - begin)
    thread.join()
    assert max(waits) < 10 * GUARD_SECONDS


def test_jobs_of_an_older_farm_are_rendered_to_their_end(farm: Farm, ann: httpx.Client) -> None:
    """Their frames are rows, all of them; those of new jobs beside them are not."""
    old, new = submit(ann, "1 6", instances=1), submit(ann, "1 6", instances=1)
    with farm.database.write() as connection:
        connection.execute(delete(frame_runs).where(frame_runs.c.job_id == old))
        same = {"job_id": old, "state": "waiting", "failures": 0, "losses": 0, "seconds": 0.0}
        connection.execute(
            insert(frames), [{**same, "number": i + 1, "position": i} for i in range(6)]
        )
    assert [each["number"] for each in pages(ann, old)] == [1, 2, 3, 4, 5, 6]
    for count, job_id in enumerate((old, new), 1):
        runner = FakeRunner(farm, count)
        assert sorted(runner.claim()) == [1, 2, 3, 4, 5, 6]
        for frame in range(1, 7):
            runner.done(frame).raise_for_status()
        runner.finish().raise_for_status()
        with farm.database.read() as connection:
            state = connection.execute(select(jobs.c.state).where(jobs.c.id == job_id)).scalar()
        assert state == "completed"


@pytest.mark.parametrize("address", ["jobs/{job}", "submissions/{submission}", "jobs"])
def test_frames_are_requeued_a_portion_at_a_time(
    farm: Farm, ann: httpx.Client, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(actions, "PORTION", 3)
    monkeypatch.setattr(actions, "_FEWEST", 3)
    job_id = submit(ann, "1 20", instances=1)
    runner = FakeRunner(farm)
    for frame in runner.claim():
        runner.done(frame).raise_for_status()
    runner.finish().raise_for_status()
    with farm.database.write() as connection:
        # A farm that died in between: its user asks again.
        assert actions.requeue_some(connection, job_id, Action.RETRY_ALL, 3)
    job = ann.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["frames_done"]) == ("completed", 17)

    path = address.format(job=job_id, submission=job["submission_id"])
    assert ann.post(f"/v1/{path}/retry_all").is_success

    job = ann.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["frames_done"], job["frames_failed"]) == ("ready", 0, 0)
    assert {each["state"] for each in pages(ann, job_id)} == {"waiting"}
    given(farm, runner, 2, list(range(1, 21)))
