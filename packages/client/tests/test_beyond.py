"""Waiting for projects, controlling jobs: what the library adds to the published contract."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from envoy_stand_in import Answer, Query, StandIn
from gridmarkets import APIError, EnvoyClient, InvalidRequestError, Job, Project
from messages import saying, says

JOB = {
    "id": "f1",
    "name": "beauty",
    "state": "running",
    "message": "",
    "warnings": ["Unknown parameter."],
    "frames_flagged": 1,
}


def progress(state: str, **values: Any) -> dict[str, Any]:
    return dict({"project": "größe", "state": state, "jobs": [], "frames_done": 0}, **values)


def one_after_the_other(*answers: Answer) -> Callable[[str, Query], Answer]:
    left = list(answers)

    def answer(path: str, query: Query) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def test_wait_for_project_tells_each_change_once(envoy: StandIn, client: EnvoyClient) -> None:
    envoy.answers["GET", "envoy"] = one_after_the_other(
        (200, progress("uploading")),
        (200, progress("uploading")),
        (200, progress("submitted", frames_done=1)),
        (503, {"code": "unavailable", "message": "The farm restarts.", "retry": True}),
        (200, progress("completed", frames_done=2)),
    )
    seen: list[dict[str, Any]] = []
    last = client.wait_for_project("größe", timeout=60, on_progress=seen.append)
    assert last["state"] == "completed"
    assert [each["state"] for each in seen] == ["uploading", "submitted", "completed"]
    assert set(envoy.paths()) == {"/envoy/projects/größe/progress"}


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_a_project_that_did_not_succeed_is_returned_as_it_is(
    envoy: StandIn, client: EnvoyClient, state: str
) -> None:
    envoy.answers["GET", "envoy"] = (200, progress(state, message="No camera."))
    assert client.wait_for_project("p")["message"] == "No camera."


def test_wait_for_project_gives_up_in_time(envoy: StandIn, client: EnvoyClient) -> None:
    envoy.answers["GET", "envoy"] = (200, progress("submitted"))
    with pytest.raises(APIError, check=saying("project-not-finished-in-time", 0.2)) as caught:
        client.wait_for_project("p", timeout=0.2)
    assert (caught.value.code, caught.value.retry) == ("timeout", True)


def test_wait_for_a_project_that_nobody_submitted(envoy: StandIn, client: EnvoyClient) -> None:
    envoy.answers["GET", "envoy"] = (200, progress("unknown"))
    with pytest.raises(InvalidRequestError, check=saying("no-such-project-submitted", "p")):
        client.wait_for_project("p")


def test_warnings_are_logged_once_and_told(
    envoy: StandIn, client: EnvoyClient, caplog: pytest.LogCaptureFixture
) -> None:
    texture, version = "The scene lacks 'wood.png'.", "Rendered with 3.4.1 instead of 3.4.0."
    envoy.answers["GET", "envoy"] = one_after_the_other(
        (200, progress("submitted", warnings=[texture])),
        (200, progress("submitted", warnings=[texture, version], frames_done=1)),
        (200, progress("completed", warnings=[texture, version])),
    )
    assert client.wait_for_project("größe")["warnings"] == [texture, version]
    client.wait_for_project("größe")
    assert [(each.name, each.levelname, each.getMessage()) for each in caplog.records] == [
        ("gridmarkets", "WARNING", f"größe: {text}") for text in (texture, version)
    ]


def test_the_warnings_of_each_submission_are_logged(
    envoy: StandIn, client: EnvoyClient, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = Project(str(folder))
    project.add_files("scene.blend")
    scene = "sample project/scene.blend"
    project.add_jobs(Job("beauty", "blender", "3.4.1", "render", scene, frames="1 2 1"))
    told = {"ID": "p", "submission_id": "1", "warnings": ["Nobody knows 'fames'."]}
    envoy.answers["POST", "project-submit"] = (201, told)
    envoy.answers["GET", "envoy"] = (200, progress("completed", warnings=told["warnings"]))
    for _ in range(2):
        client.submit_project(project)
        client.wait_for_project("p")
    assert [each.getMessage() for each in caplog.records] == ["p: Nobody knows 'fames'."] * 2


def test_the_published_envoy_tells_no_warnings(client: EnvoyClient) -> None:
    assert client.get_project_status("p")["Warnings"] == []


def test_wait_without_envoy_ends(client: EnvoyClient) -> None:
    client.url = "http://localhost:1"
    with pytest.raises(APIError, check=saying("no-envoy-at-address", "http://localhost:1")):
        client.get_jobs("p")


def test_jobs_and_results(envoy: StandIn, client: EnvoyClient) -> None:
    envoy.answers["GET", "envoy"] = (200, {"jobs": [JOB], "results": [{"name": "/p/a.png"}]})
    assert client.get_jobs("p q") == [JOB]
    assert client.get_results("p q") == [{"name": "/p/a.png"}]
    assert envoy.paths() == ["/envoy/projects/p q/jobs", "/envoy/projects/p q/results"]


@pytest.mark.parametrize("action", ["stop", "suspend", "resume", "retry"])
def test_actions(envoy: StandIn, client: EnvoyClient, action: str) -> None:
    envoy.answers["POST", "envoy"] = (200, JOB)
    job = Job("beauty", "blender", "3.4.1", path="p/s.blend")
    act = getattr(client, action + "_job")
    assert act("f1") == act(job) == JOB
    assert envoy.paths() == [f"/envoy/jobs/f1/{action}", f"/envoy/jobs/{job.id}/{action}"]


def test_an_upload_is_cancelled_by_the_name_of_its_project(
    envoy: StandIn, client: EnvoyClient
) -> None:
    envoy.answers["POST", "envoy"] = (200, {"stopped": 2})
    assert client.cancel_upload("sample project") == 2
    assert envoy.paths() == ["/envoy/projects/sample project/stop-uploads"]


def test_an_action_that_makes_no_sense_says_why(envoy: StandIn, client: EnvoyClient) -> None:
    body = {"code": "conflict", "message": "'beauty' is completed; it cannot stop."}
    envoy.answers["POST", "envoy"] = (409, body)
    with pytest.raises(APIError, match="is completed") as caught:
        client.stop_job("f1")
    assert caught.value.http_status == 409


def test_a_log_of_several_pieces(envoy: StandIn, client: EnvoyClient) -> None:
    pieces = {"0": "öne\n", "7": "two\n", "9": ""}
    cursors = {"0": 7, "7": 9, "9": 9}

    def answer(path: str, query: Query) -> Answer:
        (after,) = (value for name, value in query if name == "after")
        return 200, {"text": pieces[after], "cursor": cursors[after]}

    envoy.answers["GET", "envoy"] = answer
    assert client.get_job_log("f1") == "öne\ntwo\n"


@pytest.mark.parametrize("step", [0, -1, 1])
def test_a_log_that_never_ends_is_an_error(
    envoy: StandIn, client: EnvoyClient, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridmarkets.envoy_client.MOST_LOG", 1000)

    def answer(path: str, query: Query) -> Answer:
        (after,) = (value for name, value in query if name == "after")
        assert len(envoy.requests) < 20, "it is asked for without an end"
        return 200, {"text": "x" * 100, "cursor": int(after) + step}

    envoy.answers["GET", "envoy"] = answer
    with pytest.raises(APIError) as caught:
        client.get_job_log("f1")
    if step > 0:
        assert says(caught.value, "log-too-long", 1000)
    else:
        assert says(caught.value, "envoy-sends-same-piece-log")


@pytest.mark.parametrize("warnings", [None, 7, "x", [7], [["x"]], [{}]])
def test_what_is_no_list_of_warnings_is_an_error_of_this_library(
    envoy: StandIn, client: EnvoyClient, warnings: object
) -> None:
    envoy.answers["GET", "envoy"] = 200, progress("completed", warnings=warnings)
    with pytest.raises(APIError, check=saying("envoys-answer-not-understood")):
        client.wait_for_project("p")


@pytest.mark.parametrize(
    "rows", [[7], [None], [{}], [{"app_type": "a", "version": "1", "compatible_modules": 7}]]
)
def test_what_is_no_list_of_products_is_one_as_well(
    envoy: StandIn, client: EnvoyClient, rows: list[object]
) -> None:
    envoy.answers["GET", "products"] = 200, rows
    with pytest.raises(APIError, check=saying("envoys-answer-not-understood")):
        client.get_product_resolver()


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_older_envoy_is_told_apart(envoy: StandIn, client: EnvoyClient, status: int) -> None:
    envoy.answers["GET", "envoy"] = envoy.answers["POST", "envoy"] = (status, b"404 page not found")
    calls: dict[str, Callable[[str], object]] = {
        "wait_for_project": client.wait_for_project,
        "get_jobs": client.get_jobs,
        "get_results": client.get_results,
        "get_job_log": client.get_job_log,
        "cancel_upload": client.cancel_upload,
        "stop_job": client.stop_job,
        "suspend_job": client.suspend_job,
        "resume_job": client.resume_job,
        "retry_job": client.retry_job,
    }
    for name, call in calls.items():
        with pytest.raises(APIError, check=saying("envoy-too-old-update-then", name)):
            call("x")


def test_what_envoy_does_not_find_is_not_called_old(envoy: StandIn, client: EnvoyClient) -> None:
    envoy.answers["POST", "envoy"] = (404, {"code": "not_found", "message": "Who is that?"})
    with pytest.raises(APIError, match="Who is that"):
        client.stop_job("x")


def test_one_client_in_many_threads(envoy: StandIn, client: EnvoyClient) -> None:
    envoy.answers["GET", "envoy"] = lambda path, query: (200, {"jobs": [{"id": path}]})
    failures = []

    def ask(name: str) -> None:
        for _ in range(20):
            if client.get_jobs(name) != [{"id": f"/envoy/projects/{name}/jobs"}]:
                failures.append(name)

    threads = [threading.Thread(target=ask, args=[f"p{n}"]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
