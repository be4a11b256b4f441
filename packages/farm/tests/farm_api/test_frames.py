"""Frames of a job over the API, and what runners notice about their pictures."""

from typing import Any

import httpx
import pytest

from .conftest import Farm, send, spec
from .runners import FakeRunner, given, job_of, wait_for


def flag(
    frame: int, code: str = "empty", certainty: str = "hint", text: str = ""
) -> dict[str, Any]:
    sentence = text or f"Frame {frame} is empty: every pixel is black."
    return {"frame": frame, "code": code, "certainty": certainty, "sentence": sentence}


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com", credits="100000")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


@pytest.fixture
def runner(farm: Farm, ann: httpx.Client) -> FakeRunner:
    """A runner that has claimed the four frames of Ann's job."""
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 2, 3, 4]
    return runner


def frames_of(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/jobs/{job_of(client)['id']}/frames", params=query)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["frames"]
    return found


def noticed(client: httpx.Client) -> dict[int, list[tuple[str, str]]]:
    return {
        frame["number"]: [(each["code"], each["certainty"]) for each in frame["flags"]]
        for frame in frames_of(client, flagged=True)
    }


def test_frames_tell_their_state_and_come_in_pages(ann: httpx.Client, runner: FakeRunner) -> None:
    runner.done(1)
    frames = frames_of(ann)
    assert [(each["number"], each["state"]) for each in frames] == [
        (1, "done"),
        (2, "running"),
        (3, "running"),
        (4, "running"),
    ]
    assert frames[0]["seconds"] > 0
    assert all(each["flags"] == [] for each in frames)
    address = f"/v1/jobs/{job_of(ann)['id']}/frames"
    first = ann.get(address, params={"limit": 3}).json()
    assert [each["number"] for each in first["frames"]] == [1, 2, 3]
    assert first["more"]
    last = ann.get(address, params={"limit": 3, "after": 3}).json()
    assert ([each["number"] for each in last["frames"]], last["more"]) == ([4], False)


def test_a_job_with_odd_frames_is_completed_and_says_so(
    ann: httpx.Client, runner: FakeRunner
) -> None:
    runner.done(1, flags=[flag(1)])
    runner.done(2)
    odd = "Frame 2 looks different from frames 1 and 3, which look alike."
    runner.done(3, flags=[flag(2, "outlier", text=odd)])
    assert job_of(ann)["sentence"] == ""
    runner.done(4)
    job = job_of(ann)
    assert (job["state"], job["frames_done"], job["frames_failed"]) == ("completed", 4, 0)
    assert job["sentence"] == (
        f"4 of 4 frames; 2 look wrong. Frame 1 is empty: every pixel is black. {odd}"
    )
    assert noticed(ann) == {1: [("empty", "hint")], 2: [("outlier", "hint")]}


def test_a_healthy_job_says_nothing(ann: httpx.Client, runner: FakeRunner) -> None:
    for frame in (1, 2, 3, 4):
        runner.done(frame)
    job = job_of(ann)
    assert (job["state"], job["sentence"]) == ("completed", "")
    assert frames_of(ann, flagged=True) == []


def test_hindsight_replaces_a_hint_and_what_is_certain_is_told_first(
    ann: httpx.Client, runner: FakeRunner
) -> None:
    for frame in (1, 2, 3):
        runner.done(frame, flags=[flag(frame)])
    certain = "Frame 3 is empty: every pixel is black, unlike frames 2 and 4."
    runner.done(4, flags=[flag(3, certainty="certain", text=certain), flag(4)])
    assert noticed(ann)[3] == [("empty", "certain")]
    sentence = job_of(ann)["sentence"]
    assert sentence.startswith(f"4 of 4 frames; 4 look wrong. {certain} Frame 1 is")
    assert "Frame 4" not in sentence  # three are told in full


def test_what_the_end_of_a_claim_tells_is_said_by_a_completed_job(
    ann: httpx.Client, runner: FakeRunner
) -> None:
    for frame in (1, 2, 3, 4):
        runner.done(frame)
    runner.finish(flags=[flag(4)]).raise_for_status()
    wait_for(ann, lambda job: "1 looks wrong" in job["sentence"])
    assert job_of(ann)["state"] == "completed"
    assert noticed(ann) == {4: [("empty", "hint")]}


def test_flags_of_frames_that_the_claim_has_not_delivered_are_ignored(
    ann: httpx.Client, runner: FakeRunner
) -> None:
    assert runner.done(1, flags=[flag(2), flag(77)]).status_code == 204
    assert frames_of(ann, flagged=True) == []


@pytest.mark.parametrize(
    "change", [{"code": "ugly"}, {"certainty": "maybe"}, {"sentence": "x" * 501}, {"frame": 2**40}]
)
def test_flags_that_make_no_sense_are_refused(
    ann: httpx.Client, runner: FakeRunner, change: dict[str, Any]
) -> None:
    assert runner.done(1, flags=[flag(1) | change]).status_code == 400
    assert frames_of(ann)[0]["state"] == "running"


def test_a_frame_that_is_rendered_again_loses_its_flags(
    farm: Farm, ann: httpx.Client, runner: FakeRunner
) -> None:
    for frame in (1, 2, 3, 4):
        runner.done(frame, flags=[flag(frame)])
    runner.finish()
    ann.post(f"/v1/jobs/{job_of(ann)['id']}/retry_all").raise_for_status()
    assert frames_of(ann, flagged=True) == []
    assert job_of(ann)["sentence"] == ""
    again = given(farm, runner, 2, [1, 2, 3, 4])
    again.done(1)
    again.done(2, flags=[flag(2)])
    assert list(noticed(ann)) == [2]


def test_a_failed_job_keeps_its_reason_and_its_flags(ann: httpx.Client, runner: FakeRunner) -> None:
    runner.done(1, flags=[flag(1)])
    runner.finish("failed", sentence="It broke.", permanent=True)
    job = job_of(ann)
    assert job["state"] == "failed"
    assert "looks wrong" not in job["sentence"]
    assert list(noticed(ann)) == [1]
