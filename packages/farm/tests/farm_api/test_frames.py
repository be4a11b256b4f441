"""Frames of a job over the API, and what runners notice about their pictures."""

from typing import Any

import httpx
import pytest
from farm_protocol.frames import SIGNATURE_CELLS
from messages import saying

from .conftest import Farm, send, spec
from .runners import FakeRunner, given, job_of


def flag(
    frame: int, code: str = "empty", certainty: str = "hint", text: str = ""
) -> dict[str, Any]:
    message = text or f"{frame} is black."
    return {"frame": frame, "code": code, "certainty": certainty, "message": message}


def light(level: int, emptiness: str = "") -> dict[str, Any]:
    """A picture of one brightness."""
    return {"signature": [level] * SIGNATURE_CELLS, "emptiness": emptiness}


PICTURE, BRIGHT, BLACK = light(20_000), light(50_000), light(0, "black")


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


def test_a_job_says_what_looks_wrong_while_it_runs_and_when_it_is_completed(
    ann: httpx.Client, runner: FakeRunner
) -> None:
    runner.done(1, flags=[flag(1)])
    job = job_of(ann)
    assert job["state"] == "running"
    assert job["message"] == saying("frames-wrong", 1, 4, "1 is black.")
    runner.done(2, flags=[flag(2, "one_colour", text="2 is even.")])
    runner.done(3)
    runner.done(4)
    job = job_of(ann)
    assert (job["state"], job["frames_done"], job["frames_failed"]) == ("completed", 4, 0)
    assert job["message"] == saying("frames-wrong", 2, 4, "1 is black. 2 is even.")
    assert noticed(ann) == {1: [("empty", "hint")], 2: [("one_colour", "hint")]}


def test_a_healthy_job_says_nothing(ann: httpx.Client, runner: FakeRunner) -> None:
    for frame in (1, 2, 3, 4):
        runner.done(frame)
    job = job_of(ann)
    assert (job["state"], job["message"]) == ("completed", "")
    assert frames_of(ann, flagged=True) == []


def test_hindsight_replaces_a_hint_and_what_is_certain_is_told_first(
    ann: httpx.Client, runner: FakeRunner
) -> None:
    even = "1 is even."
    runner.done(1, flags=[flag(1, "one_colour", text=even)], picture=PICTURE)
    runner.done(2, picture=PICTURE)
    runner.done(3, flags=[flag(3)], picture=BLACK)
    assert noticed(ann)[3] == [("empty", "hint")]
    runner.done(4, picture=PICTURE)
    assert noticed(ann) == {1: [("one_colour", "hint")], 3: [("empty", "certain")]}
    message = job_of(ann)["message"]
    empty = saying("frame-empty-every-pixel-unlike", 3, "black", "2 and 4")
    assert message == saying("frames-wrong", 2, 4, empty, even)


def test_frames_of_different_runners_are_compared(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=2)).raise_for_status()
    one, other = FakeRunner(farm, 1), FakeRunner(farm, 2)
    assert (one.claim(), other.claim()) == ([1], [2])
    other.done(2, picture=BRIGHT)
    other.finish()
    assert other.claim() == [3]
    other.done(3, picture=PICTURE)
    assert noticed(ann) == {}
    one.done(1, picture=PICTURE)
    assert noticed(ann) == {2: [("outlier", "hint")]}
    outlier = saying("frame-looks-different", 2, "1 and 3")
    assert job_of(ann)["message"] == saying("frames-wrong", 1, 4, outlier)


def test_neighbours_are_those_of_the_jobs_own_list(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1, params={"frames": "1 5 2"}))
    runner = FakeRunner(farm)
    for frame, picture in zip(runner.claim(), (PICTURE, BRIGHT, PICTURE), strict=True):
        runner.done(frame, picture=picture)
    assert noticed(ann) == {3: [("outlier", "hint")]}


def test_test_frames_are_strangers(farm: Farm, ann: httpx.Client) -> None:
    frames = {"frames": "1 9 1"}
    ann.post("/v1/submissions", json=spec(instances=1, test_frames_first=True, params=frames))
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 5, 9]
    for frame, picture in ((1, PICTURE), (5, BRIGHT), (9, PICTURE)):
        runner.done(frame, picture=picture)
    assert noticed(ann) == {}


def test_flags_of_frames_that_the_claim_has_not_delivered_are_ignored(
    ann: httpx.Client, runner: FakeRunner
) -> None:
    assert runner.done(1, flags=[flag(2), flag(77)]).status_code == 204
    assert frames_of(ann, flagged=True) == []


@pytest.mark.parametrize(
    "change", [{"code": "ugly"}, {"certainty": "maybe"}, {"message": "x" * 501}, {"frame": 2**40}]
)
def test_flags_that_make_no_sense_are_refused(
    ann: httpx.Client, runner: FakeRunner, change: dict[str, Any]
) -> None:
    assert runner.done(1, flags=[flag(1) | change]).status_code == 400
    assert frames_of(ann)[0]["state"] == "running"


@pytest.mark.parametrize(
    "picture",
    [
        {"signature": [0] * 143},
        {"signature": [0] * 145},
        {"signature": [-1] * SIGNATURE_CELLS},
        {"signature": [2**16] * SIGNATURE_CELLS},
        light(1, "dull"),
    ],
)
def test_pictures_that_make_no_sense_are_refused(
    ann: httpx.Client, runner: FakeRunner, picture: dict[str, Any]
) -> None:
    assert runner.done(1, picture=picture).status_code == 400
    assert frames_of(ann)[0]["state"] == "running"


def test_a_frame_that_is_rendered_again_loses_its_flags(
    farm: Farm, ann: httpx.Client, runner: FakeRunner
) -> None:
    for frame in (1, 2, 3, 4):
        runner.done(frame, flags=[flag(frame)], picture=BLACK)
    runner.finish()
    ann.post(f"/v1/jobs/{job_of(ann)['id']}/retry_all").raise_for_status()
    assert frames_of(ann, flagged=True) == []
    assert job_of(ann)["message"] == ""
    again = given(farm, runner, 2, [1, 2, 3, 4])
    again.done(1, picture=PICTURE)
    again.done(2, flags=[flag(2)], picture=BLACK)
    assert list(noticed(ann)) == [2]
    again.done(3, picture=PICTURE)
    assert noticed(ann) == {2: [("empty", "certain")]}


def test_a_failed_job_says_why_and_what_looks_wrong(ann: httpx.Client, runner: FakeRunner) -> None:
    runner.done(1, flags=[flag(1)])
    runner.finish("failed", message="It broke.", permanent=True)
    job = job_of(ann)
    assert job["state"] == "failed"
    wrong = saying("frames-wrong", 1, 4, "1 is black.")
    assert job["message"] == saying("failed-frames", "frames 2-4", "It broke.", wrong)
    assert list(noticed(ann)) == [1]
