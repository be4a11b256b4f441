"""Progress, jobs, results and actions: what the client offers beyond the published contract."""

from typing import Any

from envoy.process.status_messages import Reason
from envoy_fake_farm import EMAIL
from envoy_faults import Fault
from envoy_studio import Studio, until
from farm_protocol.frames import Flag, Frame
from farm_protocol.jobs import JobReason, JobState
from messages import says


async def get(studio: Studio, what: str, name: str = "demo") -> dict[str, Any]:
    answer = await studio.http.get(f"/envoy/projects/{name}/{what}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def reached(studio: Studio, state: str) -> dict[str, Any]:
    async def now() -> object:
        progress = await get(studio, "progress")
        return progress if progress["state"] == state else None

    progress: dict[str, Any] = await until(now)
    return progress


async def test_an_unknown_project_has_nothing(studio: Studio) -> None:
    await studio.sign_in()
    assert (await get(studio, "jobs", "größe"))["jobs"] == []
    assert (await get(studio, "results", "größe"))["results"] == []
    assert (await get(studio, "progress", "größe"))["state"] == "unknown"


async def test_progress_from_the_upload_to_the_last_file(studio: Studio) -> None:
    await studio.sign_in()
    # Held before the first byte: one that is on its way counts at once.
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    studio.write("scene.blend", b"x" * 100)
    submission_id = await studio.submit()
    await until(studio.farm.held.is_set)
    progress = await get(studio, "progress")
    assert (progress["state"], progress["bytes_done"], progress["bytes_total"]) == (
        "uploading",
        0,
        100,
    )
    assert [(job["name"], job["state"]) for job in progress["jobs"]] == [("beauty", "uploading")]
    studio.farm.released.set()
    progress = await reached(studio, "submitted")
    assert progress["bytes_done"] == progress["bytes_total"] == 100

    studio.farm.released.clear()
    studio.farm.faults = [Fault("GET", "/v1/blobs", "hold")]
    studio.farm.output(submission_id, "demo/render_results/out/frame_0001.png", b"pixels")
    studio.farm.change(f"{submission_id}-0", state=JobState.COMPLETED, frames_done=1)

    async def job_is_completed() -> object:
        jobs = (await get(studio, "jobs"))["jobs"]
        return jobs[0]["state"] == "completed"

    await until(job_is_completed)
    # Rendered, but not here yet.
    progress = await get(studio, "progress")
    assert (progress["state"], progress["files_done"], progress["files_total"]) == (
        "submitted",
        0,
        1,
    )
    assert says(progress["message"], "last-results-being-downloaded")
    assert progress["reason"] == Reason.DOWNLOADS
    studio.farm.released.set()
    progress = await reached(studio, "completed")
    assert (progress["files_done"], progress["frames_done"]) == (1, 1)
    assert (studio.results / "frame_0001.png").read_bytes() == b"pixels"


async def test_a_failed_job_says_why(studio: Studio) -> None:
    await studio.sign_in()
    submission_id = await studio.submitted()
    says = {"message": "No camera.", "reason": JobReason.FRAMES}
    studio.farm.change(f"{submission_id}-0", state=JobState.FAILED, **says)
    progress = await reached(studio, "failed")
    assert progress["message"] == "'beauty': No camera."
    assert progress["jobs"][0]["reason"] == JobReason.FRAMES
    assert progress["reason"] == Reason.JOBS


async def test_the_newest_submission_counts(studio: Studio) -> None:
    await studio.sign_in()
    first = await studio.submitted()
    studio.farm.change(f"{first}-0", state=JobState.STOPPED)
    await reached(studio, "stopped")
    second = await studio.submitted()
    assert (await get(studio, "progress"))["state"] == "submitted"
    jobs = (await get(studio, "jobs"))["jobs"]
    assert [job["id"] for job in jobs] == [f"{second}-0", f"{first}-0"]


async def test_results_say_where_they_are(studio: Studio) -> None:
    await studio.sign_in()
    body = studio.body()["project_request"]
    watch = {"/demo/render_results/out/.+0001.png": str(studio.results)}
    submission_id = await studio.submitted(project_request=body, watch_files=watch)
    for name in ("frame_0001.png", "frame_0002.png"):
        studio.farm.output(submission_id, f"demo/render_results/out/{name}", name.encode())
    await until((studio.results / "frame_0001.png").exists)

    async def both() -> object:
        found = (await get(studio, "results"))["results"]
        return found if [row["state"] for row in found] == ["downloaded", "remote"] else None

    first, second = await until(both)
    assert first == {
        "name": "/demo/render_results/out/frame_0001.png",
        "size": 14,
        "frame": 1,
        "job_id": f"{submission_id}-0",
        "state": "downloaded",
        "local_path": str(studio.results / "frame_0001.png"),
        "submission": "first",
    }
    assert second["local_path"] is None


async def test_frames_with_what_looks_wrong(studio: Studio) -> None:
    await studio.sign_in()
    job_id = f"{await studio.submitted()}-0"
    flag = Flag(code="empty", certainty="hint", message="Frame 2 is empty.")
    studio.farm.frames[job_id] = [
        Frame(number=n, state="done", seconds=1, failures=0, flags=[flag] if n == 2 else [])
        for n in (1, 2, 3)
    ]

    async def frames(**query: Any) -> tuple[list[int], bool]:
        answer = await studio.http.get(f"/envoy/jobs/{job_id}/frames", params=query)
        assert answer.status_code == 200, answer.text
        return [each["number"] for each in answer.json()["frames"]], answer.json()["more"]

    assert await frames() == ([1, 2], True)
    assert await frames(after=2) == ([3], False)
    assert await frames(flagged=True) == ([2], False)
    (frame,) = (await studio.http.get("/envoy/jobs/1/frames?flagged=true")).json()["frames"]
    assert frame["flags"] == [flag.model_dump()]


async def test_warnings_of_the_check_and_of_the_jobs_are_told_everywhere(studio: Studio) -> None:
    await studio.sign_in()
    submission_id = await studio.submitted()
    checked, lacking = "From the check.", "The scene lacks 'wood.png'."
    job_id = f"{submission_id}-0"
    studio.farm.change(job_id, warnings=[checked, lacking], frames_flagged=1)

    async def told() -> object:
        (job,) = (await get(studio, "jobs"))["jobs"]
        return job if job["warnings"] else None

    job = await until(told)
    assert (job["warnings"], job["frames_flagged"]) == ([checked, lacking], 1)
    assert (await get(studio, "progress"))["warnings"] == [checked, lacking]
    status = (await studio.http.get("/project-status/demo")).json()
    assert status["Warnings"] == [checked, lacking]
    answer = await studio.http.post("/project-submit", json=studio.body())
    assert answer.json()["warnings"] == [checked]
    assert (await studio.http.get("/project-status/demo")).json()["Warnings"] == [checked]


async def test_actions_by_either_id(studio: Studio) -> None:
    await studio.sign_in()
    submission_id = await studio.submitted()
    for job_id, action, state in (
        (f"{submission_id}-0", "suspend", "suspended"),
        ("1", "resume", "ready"),  # what the client called it
        ("1", "stop", "stopped"),
        ("1", "retry", "ready"),
    ):
        answer = await studio.http.post(f"/envoy/jobs/{job_id}/{action}", json={})
        assert (answer.status_code, answer.json()["state"]) == (200, state)


async def test_actions_that_cannot_be(studio: Studio) -> None:
    await studio.sign_in()
    studio.farm.faults = [Fault("PUT", "/v1/blobs", "hold")]
    studio.write("scene.blend", b"x")
    submission_id = await studio.submit()
    answer = await studio.http.post("/envoy/jobs/1/suspend", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert says(answer.json()["message"], "job-not-farm-yet-still", "uploading")
    studio.farm.released.set()
    await studio.until_state(submission_id, "submitted")
    studio.farm.change(f"{submission_id}-0", state=JobState.COMPLETED)
    answer = await studio.http.post("/envoy/jobs/1/stop", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    answer = await studio.http.post("/envoy/jobs/unknown/stop", json={})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await studio.http.post("/envoy/jobs/1/explode", json={})
    assert answer.status_code == 400


async def test_the_log_comes_in_pieces(studio: Studio) -> None:
    await studio.sign_in()
    submission_id = await studio.submitted()
    studio.farm.logs[f"{submission_id}-0"] = ["one\n", "two\n"]
    text, cursor = "", 0
    while piece := (await studio.http.get(f"/envoy/jobs/1/log?after={cursor}")).json():
        if not piece["text"]:
            break
        text, cursor = text + piece["text"], piece["cursor"]
    assert text == "one\ntwo\n"


async def test_downloaded_results_are_not_files_of_the_project(studio: Studio) -> None:
    await studio.sign_in()
    inside = studio.project / "frames"
    watch = {"/demo/render_results/out/.+": str(inside)}
    submission_id = await studio.submitted(watch_files=watch)
    for name in ("a.png", "b.png", "c.png"):
        studio.farm.output(submission_id, f"demo/render_results/out/{name}", name.encode())
    await until(lambda: len(list(inside.glob("?.png"))) == 3)

    async def done() -> object:
        return (await studio.of(submission_id))["downloads"]["files_done"] == 3

    await until(done)
    (inside / "b.png").write_bytes(b"painted over")
    names = ["scene.blend", "frames/a.png", "frames/b.png", "frames/c.png"]
    files = {"localRoot": str(studio.project), "remoteRoot": "/demo", "files": names}
    again = await studio.submit(project_files=files | {"named": ["frames/c.png"]})
    await studio.until_state(again, "submitted")
    sent = studio.farm.manifests[EMAIL, "demo"]
    # Changed by hand, or asked for by name: those are sent.
    assert set(sent) == {"demo/scene.blend", "demo/frames/b.png", "demo/frames/c.png"}
    # An old client names everything.
    last = await studio.submit(project_files=files)
    await studio.until_state(last, "submitted")
    assert "demo/frames/a.png" in studio.farm.manifests[EMAIL, "demo"]
