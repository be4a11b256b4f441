"""The published wire, as clients and plug-ins of several years speak it."""

import os
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from envoy_fake_farm import EMAIL, PASSWORD
from envoy_faults import Refusal
from envoy_start import Start
from envoy_studio import Studio
from farm_protocol.errors import ErrorCode
from farm_protocol.jobs import BudgetAction
from messages import says


async def test_wrong_password_answers_401_with_a_text_body(start: Start) -> None:
    studio = await start()
    answer = await studio.http.post("/auth", json={"Username": EMAIL, "AccessKey": "wrong"})
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/plain")
    assert "Wrong" in answer.text
    empty = await studio.http.post("/auth", json={"Username": "", "AccessKey": None})
    assert empty.status_code == 401


async def test_signing_in_by_password_and_by_access_key(start: Start, tmp_path: Path) -> None:
    studio = await start()
    await studio.sign_in()
    stored = tmp_path / "envoy" / "account.json"
    assert PASSWORD not in stored.read_text()
    if os.name == "posix":
        assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    before = studio.farm.count("POST", "/v1/login")
    key = studio.farm.key_of(EMAIL)
    answer = await studio.http.post("/auth", json={"Username": EMAIL, "AccessKey": key})
    assert answer.json() == {"email": EMAIL}
    assert studio.farm.count("POST", "/v1/login") == before + 1


async def test_the_account_is_remembered_after_a_restart(start: Start) -> None:
    await (await start()).sign_in()
    await start.stop()
    again = await start()
    assert (await again.http.get("/credits-info")).json() == {"credits_available": 100.0}


@pytest.mark.parametrize("path", ["/credits-info", "/user-info", "/projects"])
async def test_not_signed_in_answers_401(start: Start, path: str) -> None:
    studio = await start()
    answer = await studio.http.get(path)
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"


async def test_user_products_and_machines(studio: Studio) -> None:
    user = (await studio.http.get("/user-info")).json()["data"]
    assert user["created"] == "2019-07-01T15:27:48"
    assert user["max_throughput"] == 30
    rows = (await studio.http.get("/products")).json()
    assert rows[0]["app_type"] == "blender"
    query: dict[str, str | list[str]]
    query = {"app": "c4d", "operation": "render", "category": "gpu"}
    query |= {"plugins": ["arnold", "vray:6.20"]}
    machines = (await studio.http.get("/machines", params=query)).json()
    assert machines[0]["name"] == "c4d-render-gpu-arnold-vray:6.20"


async def test_an_unknown_project_has_no_files_and_no_details(studio: Studio) -> None:
    status = await studio.http.get("/project-status/nothing%20here")
    assert status.status_code == 200
    assert status.json()["Details"] == {}
    files = await studio.http.get("/project/nothing%20here/Files")
    assert files.json() == {"project_files": {"all_files": []}}


async def test_submit_uploads_and_submits(studio: Studio) -> None:
    studio.write("scene.blend", b"abc")
    body = studio.body()
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 201
    assert answer.json()["ID"] == "demo"
    row = await studio.until_state(answer.json()["submission_id"], "submitted")
    assert row["warnings"] == ["From the check."]
    assert [job["name"] for job in row["jobs"]] == ["beauty"]
    spec = studio.farm.specs[row["submission_id"]]
    assert spec.output_folder == "demo/render_results/out"
    (job,) = spec.jobs
    assert (job.instances, job.machine_type, job.path) == (2, "", "demo/scene.blend")
    assert job.params == {"frames": "1 3 1"}
    assert studio.farm.checks[0].pending_files == ["demo/scene.blend"]
    status = (await studio.http.get("/project-status/demo")).json()
    assert status["State"] == "Submitted"
    assert status["Message"] == "Job submission successful."
    assert status["BytesDone"] == status["BytesTotal"] == 3
    detail = status["Details"]["/demo/scene.blend"]
    assert detail == {
        "Name": "/demo/scene.blend",
        "State": "Completed",
        "BytesDone": 3,
        "BytesTotal": 3,
        "Speed": "0.00",
    }


async def test_upload_then_two_submissions_without_upload(studio: Studio) -> None:
    studio.write("scene.blend", b"1234")
    groups = [studio.body()["project_files"]]
    answer = await studio.http.post("/upload", json={"upload": groups})
    assert (answer.status_code, answer.json()) == (200, {"ID": "demo"})
    # At once: the upload is still on its way, and the submissions wait for it.
    first = await studio.submit(skip_upload=True)
    second = await studio.submit(skip_upload=True)
    await studio.until_state(first, "submitted")
    await studio.until_state(second, "submitted")
    projects = (await studio.http.get("/projects")).json()["projects"]
    assert projects == [
        {
            "name": "demo",
            "deleting": False,
            "num_files": 1,
            "total_size": 4,
            "auto_downloading": True,
            "watched_list": ["/demo/render_results/out/.+"],
        }
    ]
    (file,) = (await studio.http.get("/project/demo/Files")).json()["project_files"]["all_files"]
    assert file["Name"] == "/demo/scene.blend"
    assert file["Size"] == 4
    assert set(file) == {"CheckSum", "LastModified", "Name", "Key", "Size", "FmtName"}


async def test_an_old_client_sends_no_project_params(studio: Studio) -> None:
    studio.write("scene.blend")
    body = studio.body()
    request = body["project_request"]
    request["name"] = "demo 2019-Aug-02 14:43:29 PM"
    request["params"] = {}
    request["jobs"][0]["params"] = {
        "frames": "1 2 1",
        "output_dir_name": "old_out",
        "output_upload": ["/demo/render_results/old_out/.+"],
        "billing_meta": ["blender"],
        "instances": "",
        "machine_type": None,
        "plugins": None,
        "credits_budget": {"value": 50, "action": "STOP"},
    }
    request["jobs"][0]["path"] = "/demo/scene.blend"
    body["watch_files"] = {}
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 201, answer.text
    row = await studio.until_state(answer.json()["submission_id"], "submitted")
    spec = studio.farm.specs[row["submission_id"]]
    assert spec.name == "demo 2019-Aug-02 14:43:29 PM"
    assert spec.output_folder == "demo/render_results/old_out"
    assert spec.jobs[0].params == {"frames": "1 2 1"}
    assert row["downloads"]["folders"] == [str(studio.project / "old_out")]
    budget = spec.jobs[0].budget
    assert budget is not None
    assert (budget.value, budget.action) == (Decimal(50), BudgetAction.STOP)


async def test_an_old_client_names_nothing_at_all(studio: Studio) -> None:
    studio.write("scene.blend")
    body = studio.body(watch_files=None)
    body["project_request"]["params"] = None
    body["project_request"]["name"] = "demo 14:43:29"
    answer = await studio.http.post("/project-submit", json=body)
    row = await studio.until_state(answer.json()["submission_id"], "submitted")
    spec = studio.farm.specs[row["submission_id"]]
    assert spec.output_folder == "demo/render_results/demo 14-43-29"


async def test_skip_upload_ignores_local_roots_and_skip_auto_download_watches_nothing(
    studio: Studio,
) -> None:
    await studio.submitted()
    body = studio.body(skip_upload=True, watch_files={})
    body["project_files"] = {"localRoot": "Z:\\nowhere", "remoteRoot": "/demo", "files": ["x"]}
    body["project_request"]["params"]["skip_auto_download"] = True
    answer = await studio.http.post("/project-submit", json=body)
    row = await studio.until_state(answer.json()["submission_id"], "submitted")
    assert row["downloads"]["folders"] == []


async def test_several_groups_and_whole_folders(studio: Studio) -> None:
    studio.write("scene.blend")
    studio.write("assets/deep/ü tex.png", b"t")
    elsewhere = studio.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "cache.vdb").write_bytes(b"v")
    groups = [
        {"localRoot": str(studio.project), "remoteRoot": "/demo", "files": ["scene.blend"]},
        {"localRoot": str(studio.project), "remoteRoot": "/demo", "files": ["assets"]},
        {"localRoot": str(elsewhere), "remoteRoot": "/demo/caches"},
    ]
    await studio.until_state(await studio.submit(project_files=groups), "submitted")
    assert set(studio.farm.manifests[EMAIL, "demo"]) == {
        "demo/scene.blend",
        "demo/assets/deep/ü tex.png",
        "demo/caches/cache.vdb",
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"project_files": {"localRoot": "nope", "remoteRoot": "/demo", "files": ["a"]}}, "Root"),
        ({"files": ["../secret"]}, "project_files.files"),
        ({"files": ["missing.blend"]}, "project_files.files"),
        ({"files": ["/etc/passwd"]}, "project_files.files"),
        ({"watch_files": {"[": "/tmp/x"}}, "watch_files"),
        ({"watch_files": {".+": "relative"}}, "watch_files"),
        ({"project_request": {"jobs": []}}, "jobs"),
        ({"project_request": {"jobs": "x"}}, "jobs"),
        ({"project_request": None}, ""),
    ],
)
async def test_what_is_wrong_is_named(studio: Studio, change: dict[str, Any], field: str) -> None:
    studio.write("scene.blend")
    body = studio.body(change.pop("files", None), **change)
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 400
    error = answer.json()
    assert error["code"] == "invalid_request"
    assert error["retry"] is False
    assert any(field in name for name in error["errors"]), error
    assert (await studio.activity())["submissions"] == []


@pytest.mark.parametrize(
    ("job", "field"),
    [
        ({"path": "demo/../x"}, "jobs[0].path"),
        ({"params": {"instances": "many"}}, "jobs[0].instances"),
        ({"params": {"instances": -1}}, "jobs[0].instances"),
        ({"params": {"plugins": [1]}}, "jobs[0].plugins"),
        ({"params": {"test_frames_first": "maybe"}}, "jobs[0].test_frames_first"),
    ],
)
async def test_what_is_wrong_with_a_job_is_named(
    studio: Studio, job: dict[str, object], field: str
) -> None:
    studio.write("scene.blend")
    body = studio.body()
    body["project_request"]["jobs"][0] |= job
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


@pytest.mark.parametrize(
    "code", [ErrorCode.INVALID_REQUEST, ErrorCode.INSUFFICIENT_CREDITS, ErrorCode.FORBIDDEN]
)
async def test_the_farms_refusals_pass_unchanged_and_nothing_is_kept(
    studio: Studio, code: ErrorCode
) -> None:
    studio.write("scene.blend")
    studio.farm.refuse_check = Refusal(code, "No.", {"jobs[0].frames": ["Wrong."]})
    answer = await studio.http.post("/project-submit", json=studio.body())
    assert answer.status_code == studio.farm.refuse_check.status
    assert answer.json() == studio.farm.refuse_check.body.model_dump()
    assert (await studio.activity())["submissions"] == []


async def test_an_unreachable_farm_is_said_so(start: Start) -> None:
    studio = await start(farm_url="http://127.0.0.1:9")
    answer = await studio.http.get("/products")
    assert answer.status_code == 503
    assert answer.json()["retry"] is True
    assert says(answer.json()["message"], "farm-does-not-answer-reason")


async def test_health_and_unknown_routes(studio: Studio) -> None:
    health = (await studio.http.get("/envoy/health")).json()
    assert health["service"] == "envoy"
    assert health["signed_in_as"] == EMAIL
    assert health["pid"] == os.getpid()
    answer = await studio.http.get("/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_parameters_of_the_project_are_shared_by_its_jobs(studio: Studio) -> None:
    studio.write("scene.blend")
    body = studio.body()
    request = body["project_request"]
    request["params"] |= {"of_the_studio": {"HOUDINI_PATH": "&"}, "frames": "9", "name": "x"}
    request["jobs"].append(request["jobs"][0] | {"id": "2", "params": {}})
    submission_id = await studio.submit(project_request=request)
    await studio.until_state(submission_id, "submitted")
    first, second = studio.farm.specs[submission_id].jobs
    assert first.params["of_the_studio"] == {"HOUDINI_PATH": "&"} == second.params["of_the_studio"]
    # The job's own come first.
    assert (first.params["frames"], second.params["frames"]) == ("1 3 1", "9")


async def test_nothing_is_accepted_for_nobody(start: Start) -> None:
    """It would wait for ever, or for whoever signs in next."""
    studio = await start()
    studio.write("scene.blend")
    upload = {"upload": [studio.body()["project_files"]]}
    for path, body in (("/project-submit", studio.body()), ("/upload", upload)):
        answer = await studio.http.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    await studio.sign_in()
    assert (await studio.activity())["submissions"] == []
