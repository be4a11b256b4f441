"""An upload can be stopped, and with it the submission that it is for."""

import os
from typing import Any

import pytest
from envoy.process.status_messages import Reason
from envoy_fake_farm import EMAIL
from envoy_faults import Fault
from envoy_start import Start
from envoy_studio import Studio, until
from messages import says
from typer.testing import CliRunner

STOPPED = "upload-stopped-too-early"


def whole(studio: Studio) -> dict[str, Any]:
    return {"localRoot": str(studio.project), "remoteRoot": "/demo"}


async def sending(studio: Studio, part: str = "/v1/blobs/") -> str:
    """Return a submission whose second file is being sent, for as long as it takes."""
    await studio.sign_in()
    studio.write("scene.blend")
    studio.write("large.exr", os.urandom(100_000))
    studio.farm.faults = [Fault("PUT", part, "hold")]
    submission_id = await studio.submit(project_files=whole(studio))
    await until(studio.farm.held.is_set)
    return submission_id


async def is_stopped(studio: Studio, submission_id: str) -> None:
    row = await studio.until_state(submission_id, "stopped")
    assert says(row["message"], STOPPED)
    assert row["reason"] == Reason.STOPPED
    progress = (await studio.http.get("/envoy/projects/demo/progress")).json()
    assert (progress["state"], progress["reason"]) == ("stopped", Reason.STOPPED)
    assert [job["state"] for job in progress["jobs"]] == ["stopped"]
    published = (await studio.http.get("/project-status/demo")).json()
    assert (published["State"], says(published["Message"], STOPPED)) == ("Failed", True)
    assert submission_id not in studio.farm.specs


@pytest.mark.parametrize("how", ["job", "project"])
async def test_an_upload_that_is_stopped_ends(studio: Studio, how: str) -> None:
    submission_id = await sending(studio)
    path = "jobs/1/stop" if how == "job" else "projects/demo/stop-uploads"
    answer = (await studio.http.post(f"/envoy/{path}", json={})).raise_for_status().json()
    assert answer["state"] == "stopped" if how == "job" else answer == {"stopped": 1}
    await is_stopped(studio, submission_id)
    # What comes behind it goes on, though nothing of the first has moved on.
    again = await studio.submit()
    await studio.until_state(again, "submitted")
    studio.farm.released.set()
    await is_stopped_still(studio, submission_id)


async def is_stopped_still(studio: Studio, submission_id: str) -> None:
    assert (await studio.of(submission_id))["state"] == "stopped"
    assert submission_id not in studio.farm.specs


async def test_what_waits_in_line_is_stopped_before_it_begins(studio: Studio) -> None:
    first = await sending(studio)
    body = studio.body()
    body["project_request"]["jobs"][0]["id"] = "second"
    second = (await studio.http.post("/project-submit", json=body)).json()["submission_id"]
    (await studio.http.post("/envoy/jobs/second/stop", json={})).raise_for_status()
    studio.farm.released.set()
    await studio.until_state(first, "submitted")
    await is_stopped(studio, second)


async def test_uploads_without_jobs_are_stopped_as_well(studio: Studio) -> None:
    await sending(studio)
    upload = {"upload": [whole(studio)]}
    (await studio.http.post("/upload", json=upload)).raise_for_status()
    for stopped in (2, 0):
        answer = await studio.http.post("/envoy/projects/demo/stop-uploads", json={})
        assert answer.json() == {"stopped": stopped}
    assert (EMAIL, "demo") not in studio.farm.manifests


async def test_what_was_stopped_stays_so_after_a_restart(start: Start) -> None:
    studio = await start()
    submission_id = await sending(studio)
    (await studio.http.post("/envoy/jobs/1/stop", json={})).raise_for_status()
    await start.stop()
    studio.farm.released.set()
    studio = await start()
    later = await studio.submit()
    await studio.until_state(later, "submitted")
    await is_stopped_still(studio, submission_id)


async def test_a_submission_that_is_on_its_way_to_the_farm_cannot_be_stopped_yet(
    studio: Studio,
) -> None:
    await studio.sign_in()
    studio.write("scene.blend")
    check = Fault("POST", "/v1/submissions/check", "pass")
    studio.farm.faults = [check, Fault("POST", "/v1/submissions", "hold")]
    submission_id = await studio.submit()
    await until(studio.farm.held.is_set)
    answer = await studio.http.post("/envoy/jobs/1/stop", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert says(answer.json()["message"], "job-not-farm-yet-still", "submitting")
    studio.farm.released.set()
    await studio.until_state(submission_id, "submitted")


async def test_the_command(studio: Studio) -> None:
    import asyncio

    from envoy.cli.commands import app

    await sending(studio)
    url = str(studio.http.base_url)

    def cancel() -> Any:
        return CliRunner().invoke(app, ["cancel", "demo", "--url", url])

    done = await asyncio.to_thread(cancel)
    assert (done.exit_code, "demo" in done.output) == (0, True)
    done = await asyncio.to_thread(cancel)
    assert done.exit_code == 1
    assert says(done.output, "nothing-being-uploaded", "demo")
