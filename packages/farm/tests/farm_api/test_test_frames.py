"""Test frames first, over HTTP."""

import httpx
import pytest
from farm_protocol.jobs import JobReason
from messages import saying

from .conftest import Farm, send, spec
from .runners import FakeRunner, given, job_of


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    body = spec(params={"frames": "1 9"}, instances=1, test_frames_first=True)
    client.post("/v1/submissions", json=body).raise_for_status()
    return client


def give_up(runner: FakeRunner, frame: int) -> None:
    """Let a frame fail until it is given up; those before it in its claims are done."""
    for attempt in range(3):
        for each in runner.claim() if attempt else [frame]:
            if each == frame:
                break
            runner.done(each)
        runner.beat(frame)
        runner.finish("failed", message="Out of paper.")


def test_the_rest_follows_when_three_have_succeeded(farm: Farm, ann: httpx.Client) -> None:
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 5, 9]
    for frame in (1, 5, 9):
        runner.done(frame)
    assert job_of(ann)["state"] == "running"
    assert runner.claim() == [2, 3, 4, 6, 7, 8]


def test_the_rest_is_not_started_when_one_fails_for_good(farm: Farm, ann: httpx.Client) -> None:
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 5, 9]
    runner.done(1)
    give_up(runner, 5)
    assert runner.claim() == []
    job = job_of(ann)
    assert (job["state"], job["frames_done"], job["frames_failed"]) == ("failed", 1, 8)
    assert job["reason"] == JobReason.TEST_FRAMES
    assert job["message"] == saying("failed-test-frames", "frame 5", 7, "Out of paper.")
    # Tried again, it is tested again.
    ann.post(f"/v1/jobs/{job['id']}/retry").raise_for_status()
    second = FakeRunner(farm, 2)
    assert second.claim() == [5, 9]
    give_up(second, 5)
    assert job_of(ann)["state"] == "failed"
    # The rest can be had in spite of it.
    ann.post(f"/v1/jobs/{job['id']}/restart_unstarted").raise_for_status()
    second = given(farm, second, 3, [2, 3, 4, 6, 7, 8, 9])
    for frame in (2, 3, 4, 6, 7, 8, 9):
        second.done(frame)
    job = job_of(ann)
    assert (job["state"], job["message"]) == (
        "failed",
        saying("failed-frames", "frame 5", "Out of paper."),
    )


def test_while_the_job_lives_nothing_lets_the_rest_begin(farm: Farm, ann: httpx.Client) -> None:
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 5, 9]
    ann.post("/v1/jobs/restart_unstarted").raise_for_status()
    runner.done(1)
    runner.finish("failed", message="It broke.", frame=5)
    assert runner.claim() == [5, 9]


def test_all_test_frames_that_run_may_finish(farm: Farm, ann: httpx.Client) -> None:
    ann.patch("/v1/jobs", json={"instances": 2})
    first, second = FakeRunner(farm), FakeRunner(farm, 2)
    assert (first.claim(), second.claim()) == ([1], [5])
    first.finish("failed", message="No.")
    for _ in range(2):
        first.claim()
        first.finish("failed", message="No.")
    assert job_of(ann)["state"] == "running"
    second.done(5)
    assert job_of(ann)["state"] == "failed"
    assert second.claim() == []
