"""EnvoyClient: what is sent, what is returned, and which error each failure becomes."""

import os
from pathlib import Path
from typing import Any

import gridmarkets
import pytest
from envoy_stand_in import StandIn
from gridmarkets import (
    APIError,
    AuthenticationError,
    EnvoyClient,
    EnvoyError,
    InsufficientCreditsError,
    InvalidRequestError,
    Job,
    Project,
    WatchFile,
)
from messages import saying, says


@pytest.fixture
def project(folder: Path) -> Project:
    project = Project(str(folder), submission_name="first", output_folder_name="results")
    project.add_files("scene.blend")
    project.add_jobs(a_job())
    return project


def a_job(**params: Any) -> Job:
    params.setdefault("frames", "1 2 1")
    return Job("beauty", "blender", "3.4.1", "render", "sample project/scene.blend", **params)


def test_the_default_url_and_the_version() -> None:
    client = EnvoyClient()
    assert client.url == "http://localhost:8090"
    assert client.version == gridmarkets.__version__ == "7.1.10"


def test_authenticate_sends_the_documented_names_and_remembers(
    envoy: StandIn, client: EnvoyClient
) -> None:
    client.authenticate("ärtist@example.com", "pässword")
    assert envoy.sent("POST", "/auth") == [
        {"Username": "ärtist@example.com", "AccessKey": "pässword"}
    ]
    assert (client.email, client.access_key) == ("ärtist@example.com", "pässword")


def test_a_wrong_password_is_said_in_words(envoy: StandIn, client: EnvoyClient) -> None:
    envoy.answers["POST", "auth"] = (401, b"Invalid credentials")
    with pytest.raises(AuthenticationError) as caught:
        client.authenticate("artist@example.com", "wrong")
    assert caught.value.http_status == 401
    assert caught.value.user_message == str(caught.value) == "Invalid credentials"
    assert client.email is None


def test_validate_auth_asks_for_the_user_when_it_holds_no_credentials(
    envoy: StandIn, client: EnvoyClient
) -> None:
    assert client.validate_auth() is True
    envoy.answers["GET", "user-info"] = (401, {"code": "not_authenticated", "message": "Sign in."})
    with pytest.raises(AuthenticationError, match="Sign in"):
        client.validate_auth()


def test_validate_auth_checks_its_credentials_each_time(envoy: StandIn) -> None:
    client = EnvoyClient("artist@example.com", "key", envoy.url)
    assert client.validate_auth() is True
    assert client.validate_auth() is True
    assert envoy.paths() == ["/auth", "/auth"]


@pytest.mark.parametrize("credits_left", [0, -3.5])
def test_no_credits(envoy: StandIn, client: EnvoyClient, credits_left: float) -> None:
    assert client.validate_credits() is True
    envoy.answers["GET", "credits-info"] = (200, {"credits_available": credits_left})
    with pytest.raises(InsufficientCreditsError):
        client.validate_credits()


def test_user_info_has_the_documented_fields(client: EnvoyClient) -> None:
    info = client.get_user_info()
    assert info["credits_available"] == 1000.0
    assert info["service_plan"] == "Standard"


def test_the_resolver_reads_the_products(client: EnvoyClient) -> None:
    resolver = client.get_product_resolver()
    assert resolver.get_versions_by_type("blender") == ["3.4.1", "3.10.0"]


@pytest.mark.parametrize(
    ("arguments", "options", "query"),
    [
        ((), {}, {"category": "all"}),
        ((EnvoyClient.MACHINE_CATEGORY_CPU, ["vray"]), {}, {"category": "cpu", "plugins": "vray"}),
        ((), {"category": EnvoyClient.MACHINE_CATEGORY_GPU}, {"category": "gpu"}),
        ((), {"is_gpu": True}, {"category": "gpu"}),
        ((False,), {}, {"category": "cpu"}),
    ],
)
def test_machines(
    envoy: StandIn,
    client: EnvoyClient,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    query: dict[str, str],
) -> None:
    assert client.get_machines("c4d", "render", *arguments, **options)[0]["is_default"] is True
    (sent,) = envoy.sent("GET", "/machines")
    assert dict(sent) == dict(query, app="c4d", operation="render")


def test_an_unknown_machine_category_is_refused(client: EnvoyClient) -> None:
    with pytest.raises(InvalidRequestError, check=saying("category-must-cpu-gpu-all", "quantum")):
        client.get_machines("c4d", "render", "quantum")


@pytest.mark.parametrize("name", ["sample project", "größe/%2F?#", "東京"])
def test_the_status_of_a_project_of_any_name(
    envoy: StandIn, client: EnvoyClient, name: str
) -> None:
    assert client.get_project_status(name)["Details"] == {}
    assert envoy.paths() == ["/project-status/" + name]


def test_a_whole_submission(
    envoy: StandIn, client: EnvoyClient, project: Project, folder: Path, tmp_path: Path
) -> None:
    preparation = a_job(instances=5, machine_type="", plugins=None, gpu=False)
    preparation.set_credits_budget(value=50.00, action=Job.CREDITS_BUDGET_ACTION_STOP)
    project.jobs[0].add_dependencies(preparation)
    project.add_jobs(preparation)
    results = tmp_path / "my_results"
    project.add_watch_files(WatchFile(f"{project.remote_output_folder}/.+", str(results)))

    assert client.submit_project(project) == "project"

    assert envoy.paths() == ["/credits-info", "/project-submit"]
    (body,) = envoy.sent("POST", "/project-submit")
    request = body["project_request"]
    assert request["name"].startswith("sample project 2")
    assert request["params"] == {
        "project_name": "sample project",
        "submission_name": "first",
        "output_folder_name": "results",
        "remote_output_folder": "/sample project/render_results/results",
        "local_root": str(folder),
        "skip_auto_download": False,
    }
    first, second = request["jobs"]
    assert first["dependencies"] == [second["id"]]
    assert second["params"] == {
        "frames": "1 2 1",
        "instances": 5,
        "machine_type": "",
        "gpu": False,
        "credits_budget": {"value": 50.0, "action": "STOP"},
        "output_dir_name": "results",
    }
    assert body["project_files"] == [
        {
            "localRoot": str(folder),
            "remoteRoot": "/sample project",
            "files": ["scene.blend"],
            "named": ["scene.blend"],
            "folders": [],
        }
    ]
    assert body["watch_files"] == {"/sample project/render_results/results/.+": str(results)}
    assert "skip_upload" not in body


@pytest.mark.parametrize(
    ("call", "path"),
    [("submit_project", "/project-submit"), ("upload_project_files", "/upload")],
)
def test_a_project_says_whether_files_that_scenes_name_are_gathered(
    envoy: StandIn, client: EnvoyClient, project: Project, call: str, path: str
) -> None:
    getattr(client, call)(project)
    project.gather_files = False
    getattr(client, call)(project)
    silent, decided = envoy.sent("POST", path)
    assert "gather_files" not in silent
    assert decided["gather_files"] is False


def test_skipping_the_upload_does_not_look_at_files(
    envoy: StandIn, client: EnvoyClient, project: Project, folder: Path
) -> None:
    (folder / "scene.blend").unlink()
    client.submit_project(project, True)
    (body,) = envoy.sent("POST", "/project-submit")
    assert body["skip_upload"] is True
    assert body["project_files"] == []


def test_skipping_the_download_sends_no_patterns(
    envoy: StandIn, client: EnvoyClient, project: Project
) -> None:
    project.add_watch_files(WatchFile(".+", "somewhere"))
    client.submit_project(project, skip_auto_download=True)
    (body,) = envoy.sent("POST", "/project-submit")
    assert body["project_request"]["params"]["skip_auto_download"] is True
    assert body["watch_files"] == {}


def test_given_credentials_are_checked_once_before_the_first_submission(
    envoy: StandIn, project: Project
) -> None:
    client = EnvoyClient(email="artist@example.com", access_key="key", url=envoy.url)
    client.submit_project(project)
    client.submit_project(project)
    assert envoy.paths().count("/auth") == 1
    assert envoy.paths()[:3] == ["/auth", "/credits-info", "/project-submit"]
    client.access_key = "another"
    client.submit_project(project)
    assert envoy.paths().count("/auth") == 2


def test_after_envoy_forgot_the_user_the_next_call_signs_in_again(
    envoy: StandIn, project: Project
) -> None:
    client = EnvoyClient(email="artist@example.com", access_key="key", url=envoy.url)
    client.get_user_info()
    envoy.answers["GET", "user-info"] = (401, b"")
    with pytest.raises(AuthenticationError):
        client.get_user_info()
    client.submit_project(project)
    assert envoy.paths().count("/auth") == 2


def test_nothing_is_submitted_without_credits(
    envoy: StandIn, client: EnvoyClient, project: Project
) -> None:
    envoy.answers["GET", "credits-info"] = (200, {"credits_available": 0.0})
    with pytest.raises(InsufficientCreditsError):
        client.submit_project(project)
    assert envoy.paths() == ["/credits-info"]


def test_uploading_only(
    envoy: StandIn, client: EnvoyClient, project: Project, folder: Path
) -> None:
    project.add_folders("assets")
    assert client.upload_project_files(project) == "project"
    (body,) = envoy.sent("POST", "/upload")
    assert body["upload"][0]["files"] == ["assets/deep/größe.png", "assets/wood.png", "scene.blend"]


def test_an_upload_of_nothing_is_refused(client: EnvoyClient, folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match="add_files"):
        client.upload_project_files(Project(str(folder)))


def test_everything_wrong_with_a_project_is_said_at_once(client: EnvoyClient, folder: Path) -> None:
    project = Project(str(folder))
    project.add_files("missing.blend")
    version: Any = 3.4
    job = Job("", "blender", version, "render", "elsewhere/scene.blend", curve=object())
    job.add_dependencies(a_job())
    project.add_jobs(job)
    with pytest.raises(InvalidRequestError) as caught:
        client.submit_project(project)
    assert set(caught.value.errors) == {
        "files",
        "jobs[0].name",
        "jobs[0].app_version",
        "jobs[0].path",
        "jobs[0].curve",
        "jobs[0].dependencies",
    }
    assert says(caught.value, "field-must-be-text", "3.4")
    assert says(caught.value, "not-below-project-path", "sample project")


def test_a_project_without_jobs_is_refused(client: EnvoyClient, folder: Path) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        client.submit_project(Project(str(folder)))
    assert "add_jobs" in caught.value.errors["jobs"][0]


ONE_ROOT = (AuthenticationError, InsufficientCreditsError, InvalidRequestError, APIError)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"code": "invalid_request", "message": "Bad."}, InvalidRequestError, "Bad."),
        (400, {"frames": "is missing"}, InvalidRequestError, "frames: is missing"),
        (400, ["one", "two"], InvalidRequestError, "one"),
        (400, "as text", InvalidRequestError, "as text"),
        (400, {}, InvalidRequestError, saying("client-request-not-valid")),
        (400, b"", InvalidRequestError, saying("client-request-not-valid")),
        (401, b"who?", AuthenticationError, "who?"),
        (
            402,
            {"code": "insufficient_credits", "message": "Top up."},
            InsufficientCreditsError,
            "T",
        ),
        (402, b"", InsufficientCreditsError, "credits"),
        (403, {"code": "forbidden", "message": "Not yours."}, APIError, "Not yours."),
        (404, b"<html>no</html>", APIError, "404"),
        (409, {"code": "conflict", "message": "Busy."}, APIError, "Busy."),
        (422, {"code": "hash_mismatch", "message": "Changed."}, APIError, "Changed."),
        (429, b"slow down", APIError, "slow down"),
        (500, b"\xff\xfe", APIError, "500"),
        (503, {"code": "unavailable", "message": "Later.", "retry": True}, APIError, "Later."),
        (302, b"", APIError, saying("program-not-envoy-answered-with", 302)),
        (200, b"<html>", APIError, saying("program-not-envoy-answered-with", 200)),
        (200, {"no": "ID"}, APIError, saying("envoys-answer-not-understood", "ID")),
    ],
)
def test_each_answer_becomes_exactly_one_error(
    envoy: StandIn,
    client: EnvoyClient,
    project: Project,
    status: int,
    body: Any,
    kind: type[EnvoyError],
    words: str | saying,
) -> None:
    envoy.answers["POST", "project-submit"] = (status, body)
    with pytest.raises(EnvoyError) as caught:
        client.submit_project(project)
    assert type(caught.value) is kind
    assert [type(caught.value) is one for one in ONE_ROOT].count(True) == 1
    message = caught.value.user_message
    assert message == str(caught.value)
    assert says(message, words) if isinstance(words, saying) else words in message
    assert caught.value.http_status == (None if body == {"no": "ID"} else status)
    assert caught.value.retry is (words == "Later.")
    assert envoy.paths().count("/project-submit") == 1, "a POST is never repeated"


def test_the_field_errors_of_envoy_arrive(
    envoy: StandIn, client: EnvoyClient, project: Project
) -> None:
    errors = {"jobs[0].frames": ["'1 0 0': the step must not be 0.", "Ünd so weiter."]}
    envoy.answers["POST", "project-submit"] = (
        400,
        {"code": "invalid_request", "message": "It is all wrong.", "errors": errors},
    )
    with pytest.raises(InvalidRequestError) as caught:
        client.submit_project(project)
    assert caught.value.errors == errors
    assert str(caught.value) == "It is all wrong."


def test_the_http_client_of_old_plug_ins(envoy: StandIn, client: EnvoyClient) -> None:
    answer = client.http_client.request("get", client.url + "/products")
    assert answer.status_code == 200
    assert answer.json()[0]["app_type"] == "blender"
    assert "blender" in answer.text


def test_the_url_may_be_changed_later(envoy: StandIn) -> None:
    client = EnvoyClient()
    client.url = envoy.url + "/"
    assert client.url == envoy.url
    assert client.validate_auth() is True


def test_nothing_is_printed(
    client: EnvoyClient, project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    client.submit_project(project)
    assert capfd.readouterr() == ("", "")


def test_relative_download_folders_are_sent_absolute(
    envoy: StandIn,
    client: EnvoyClient,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    project.add_watch_files(WatchFile(".+", "out"))
    client.submit_project(project)
    (body,) = envoy.sent("POST", "/project-submit")
    assert body["watch_files"] == {".+": os.path.join(str(tmp_path), "out")}


def test_envoy_is_told_what_was_left_out(
    client: EnvoyClient, envoy: StandIn, project: Project, folder: Path
) -> None:
    (folder / "lost-link").symlink_to("nothing")
    project.add_files(project.LocalRoot, project.RemoteRoot)
    client.submit_project(project)
    (body,) = envoy.sent("POST", "/project-submit")
    assert "lost-link" in body["skipped_files"][0]
    client.upload_project_files(project)
    (body,) = envoy.sent("POST", "/upload")
    assert "lost-link" in body["skipped_files"][0]
