"""Submissions over HTTP: what is accepted, and what is refused with which field."""

import json
from typing import Any

import httpx
import pytest
from messages import saying, says

from .conftest import Farm, send, spec


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def refused(client: httpx.Client, body: dict[str, Any]) -> dict[str, list[str]]:
    """Return the errors by field, which must be the same from the check and the submission."""
    check = client.post("/v1/submissions/check", json=body)
    create = client.post("/v1/submissions", json=body)
    assert check.status_code == create.status_code == 400, check.text
    assert check.json() == create.json()
    assert check.json()["code"] == "invalid_request"
    assert client.get("/v1/jobs").json()["jobs"] == []
    errors: dict[str, list[str]] = check.json()["errors"]
    assert all(text.endswith(".") for texts in errors.values() for text in texts)
    return errors


def test_a_submission_is_stored_once(ann: httpx.Client) -> None:
    body = spec()
    first = ann.post("/v1/submissions", json=body)
    assert first.status_code == 201
    again = ann.post("/v1/submissions", json=body)
    assert again.json()["jobs"][0]["id"] == first.json()["jobs"][0]["id"]
    assert len(ann.get("/v1/jobs").json()["jobs"]) == 1
    job = first.json()["jobs"][0]
    assert (job["state"], job["frames_total"], job["app_version"]) == ("ready", 4, "3.4.1")


@pytest.mark.parametrize(
    ("changes", "field", "word"),
    [
        ({"params": {"frames": "10 1"}}, "frames", saying("step-never-gets-from", 10, 1)),
        ({"params": {"frames": "1 10 0"}}, "frames", saying("step-must-not-0", "1 10 0")),
        ({"params": {}}, "frames", saying("field-required", "frames")),
        ({"params": {"frames": "1", "engine": "povray"}}, "engine", "CYCLES"),
        ({"params": {"frames": "1", "output_format": "docx"}}, "output_format", "PNG"),
        ({"params": {"frames": "1", "output_format": "FFMPEG"}}, "output_format", "Video"),
        ({"params": {"frames": "1", "output_prefix": "../up"}}, "output_prefix", ".."),
        ({"params": {"frames": "1", "gpu": True}}, "machine_type", "GPU"),
        ({"path": "demo/lost.blend"}, "path", "add_files"),
        ({"path": "other/scene.blend"}, "path", "'demo/"),
        ({"path": "demo/../x.blend"}, "path", ".."),
        ({"app": "paint"}, "app", "'blender'"),
        ({"operation": "sim"}, "operation", "'sim'"),
        ({"app_version": "2.79"}, "app_version", "3.4.1, 4.5.15"),
        ({"machine_type": "cray"}, "machine_type", "local-cpu"),
        ({"plugins": ["vray"]}, "plugins", "vray"),
        ({"dependencies": ["nobody"]}, "dependencies", saying("dependency-not-in-submission")),
        ({"instances": -1}, "instances", "0 or more"),
    ],
)
def test_what_is_wrong_is_named(
    ann: httpx.Client, changes: dict[str, Any], field: str, word: str | saying
) -> None:
    errors = refused(ann, spec(**changes))
    assert list(errors) == [f"jobs[0].{field}"]
    told = " ".join(errors[f"jobs[0].{field}"])
    assert says(told, word) if isinstance(word, saying) else word in told


@pytest.mark.parametrize(
    ("params", "name", "message"),
    [
        (r'"\ud800": 1', r"\ud800", "the-name-not-unicode"),
        (r'"note": "\ud800"', "note", "value-not-unicode"),
        (r'"output_prefix": "\ud800"', "output_prefix", "value-not-unicode"),
        (r'"note": [{"a": "\ud800"}]', "note", "value-not-unicode"),
        (r'"note": [{"\ud800": 1}]', "note", "has-name-not-unicode"),
        ('"note": NaN', "note", "not-finite-number"),
        ('"note": {"a": [1, -Infinity]}', "note", "not-finite-number"),
        ('"note": 1e999', "note", "not-finite-number"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    ann: httpx.Client, params: str, name: str, message: str
) -> None:
    body = json.dumps(spec(params={"HERE": 1})).replace('"HERE": 1', f'"frames": "1 4", {params}')
    for path in ("/v1/submissions/check", "/v1/submissions"):
        headers = {"Content-Type": "application/json"}
        answer = ann.post(path, content=body, headers=headers)
        assert answer.status_code == 400
        ((field, (told,)),) = answer.json()["errors"].items()
        assert field == "jobs[0].params"
        assert f"'{name}'" in told
        assert says(told, message)
    assert ann.get("/v1/jobs").json()["jobs"] == []
    assert ann.get("/v1/changes").status_code == 200


def test_a_budget_is_at_least_what_can_be_counted(ann: httpx.Client) -> None:
    errors = refused(ann, spec(budget={"value": "0.0000004", "action": "STOP"}))
    assert list(errors) == ["jobs[0].budget.value"]
    body = spec(budget={"value": "0.000001", "action": "STOP"})
    assert ann.post("/v1/submissions", json=body).status_code == 201


def test_several_mistakes_are_told_at_once(ann: httpx.Client) -> None:
    errors = refused(
        ann, spec(path="demo/lost.blend", params={"frames": "x", "engine": "y"}, plugins=["z"])
    )
    assert set(errors) == {f"jobs[0].{name}" for name in ("path", "frames", "engine", "plugins")}


def test_unknown_parameters_are_kept_as_warnings(ann: httpx.Client) -> None:
    body = spec(params={"frames": "1", "sampels": 4})
    assert ann.post("/v1/submissions", json=body).status_code == 201
    assert "sampels" in ann.get("/v1/jobs").json()["jobs"][0]["warnings"][0]


def test_a_scene_on_its_way_passes_the_check_but_not_the_submission(farm: Farm) -> None:
    bob = farm.user("bob@example.com")
    body = spec() | {"pending_files": ["/demo/scene.blend"]}
    assert bob.post("/v1/submissions/check", json=body).status_code == 200
    assert bob.get("/v1/jobs").json()["jobs"] == []


def test_partial_versions_never_become_another_one(ann: httpx.Client) -> None:
    for wanted, got in (("", "4.5.15"), ("3.4", "3.4.1"), ("4", "4.5.15")):
        answer = ann.post("/v1/submissions", json=spec(app_version=wanted))
        assert answer.json()["jobs"][0]["app_version"] == got
    assert ann.post("/v1/submissions", json=spec(app_version="3.40")).status_code == 400


def test_jobs_that_would_overwrite_each_other_are_refused(ann: httpx.Client) -> None:
    body = spec()
    first = body["jobs"][0]
    second = first | {"id": "j2", "name": "second", "params": {"frames": "4 6"}}
    body["jobs"] = [first, second]
    assert "frame_0004.png" in refused(ann, body)["jobs[1].output_prefix"][0]
    second["params"] = {"frames": "4 6", "output_prefix": "b_"}
    assert ann.post("/v1/submissions", json=body).status_code == 201


def test_dependencies_wait_and_circles_are_refused(ann: httpx.Client) -> None:
    body = spec()
    first = body["jobs"][0]
    second = first | {"id": "j2", "name": "b", "params": {"frames": "9"}, "dependencies": ["j1"]}
    body["jobs"] = [second, first]
    jobs = ann.post("/v1/submissions", json=body).json()["jobs"]
    assert [(job["name"], job["state"]) for job in jobs] == [("b", "pending"), ("beauty", "ready")]
    assert jobs[0]["message"] == saying("waiting-for-jobs", "beauty")
    body = spec()
    body["jobs"] = [first | {"dependencies": ["j2"]}, second]
    answer = ann.post("/v1/submissions/check", json=body)
    assert says(answer.json()["errors"]["jobs"][0], "jobs-wait-in-a-circle")


def test_without_credits_nothing_is_submitted(farm: Farm) -> None:
    poor = farm.user("poor@example.com", credits="0")
    send(poor, "demo/scene.blend", b"x")
    answer = poor.post("/v1/submissions", json=spec())
    assert answer.status_code == 402
    assert answer.json()["code"] == "insufficient_credits"
    assert says(answer.json()["message"], "too-few-credits", 0)
    assert poor.get("/v1/jobs").json()["jobs"] == []


def test_misspelt_fields_are_not_ignored(ann: httpx.Client) -> None:
    answer = ann.post("/v1/submissions", json=spec(frame="1"))
    assert list(answer.json()["errors"]) == ["jobs[0].frame"]
