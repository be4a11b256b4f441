"""From `submit_project` to frames on the artist's disk."""

import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest
from gridmarkets import (
    APIError,
    AuthenticationError,
    EnvoyClient,
    InsufficientCreditsError,
    InvalidRequestError,
)
from messages import saying

from .conftest import ROOT, Studio


def test_frames_arrive_one_by_one(studio: Studio) -> None:
    studio.submit("1 6")
    studio.wait_for_frames(1)
    # The artist sees the first frame while later ones are still to come.
    assert studio.job_now()["state"] == "running"
    studio.assert_complete(6)


def test_the_readme_example_renders_with_the_documented_calls(studio: Studio) -> None:
    environment = {
        **os.environ,
        "ENVOY_URL": studio.url,
        "ENVOY_EMAIL": "ann@example.com",
        "ENVOY_PASSWORD": "correct horse",
    }
    script = ROOT / "examples" / "render_and_download.py"
    subprocess.run([sys.executable, script, studio.results], env=environment, check=True)
    studio.assert_complete(24)
    status = studio.client().get_project_status("sample_project")
    assert (status["Code"], status["State"]) == (200, "Submitted")
    assert status["BytesDone"] == status["BytesTotal"] > 0


def test_results_go_to_the_results_folder_when_nothing_is_watched(studio: Studio) -> None:
    folder = studio.folder / "work"
    folder.mkdir()
    subprocess.run(["cp", "-r", *(ROOT / "examples" / "sample_project").iterdir(), folder])
    project = studio.project(folder / "scene.blend", "sample_project")
    project.watch_files.clear()
    project.add_files(str(folder), project.RemoteRoot)
    project.add_jobs(studio.job(frames="2"))
    studio.client().submit_project(project)
    studio.until(
        lambda: (folder / "s" / "frame_0002.png").exists(), "the frame in the project's folder"
    )


def test_an_unchanged_project_is_not_sent_again(studio: Studio) -> None:
    studio.submit("1")
    studio.wait_for_job("completed")
    blobs = {path.name for path in (studio.data / "farm" / "blobs").rglob("*") if path.is_file()}
    studio.submit("2")
    studio.until(
        lambda: len(studio.get("/envoy/activity")["submissions"]) == 2, "second submission"
    )
    studio.wait_for_job("completed")
    again = {path.name for path in (studio.data / "farm" / "blobs").rglob("*") if path.is_file()}
    assert len(again - blobs) == 1  # the new frame


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"frames": "10 1"}, "frames"),
        ({"path": "sample_project/lost.blend"}, "path"),
        ({"engine": "povray"}, "engine"),
        ({"output_format": "docx"}, "output_format"),
        ({"app_version": "1.0"}, "app_version"),
    ],
)
def test_a_wrong_job_is_refused_before_anything_is_queued(
    idle_studio: Studio, changes: dict[str, str], field: str
) -> None:
    project = idle_studio.project()
    scene = changes.pop("path", "sample_project/scene.blend")
    project.add_jobs(idle_studio.job(scene, **changes))
    with pytest.raises(InvalidRequestError) as caught:
        idle_studio.client().submit_project(project)
    assert list(caught.value.errors) == [f"jobs[0].{field}"]
    assert idle_studio.activity() == {}


def test_wrong_password_no_credits_and_no_envoy(idle_studio: Studio) -> None:
    with pytest.raises(AuthenticationError, check=saying("email-password-access-key-wrong")):
        idle_studio.client(password="nonsense")
    idle_studio.add_user("poor@example.com", credits="0")
    project = idle_studio.project()
    project.add_jobs(idle_studio.job())
    with pytest.raises(InsufficientCreditsError):
        idle_studio.client("poor@example.com").submit_project(project)
    assert idle_studio.activity() == {}
    with pytest.raises(APIError, match="envoy up"):
        EnvoyClient(url="http://localhost:9").get_user_info()


def test_a_second_envoy_says_who_is_there(studio: Studio) -> None:
    command = [sys.executable, "-m", "envoy", "up", "--port", str(studio.port)]
    second = subprocess.run(
        [*command, "--data-dir", str(studio.folder / "other")], capture_output=True, text=True
    )
    assert second.returncode == 1
    assert studio.envoy is not None
    assert str(studio.envoy.pid) in second.stderr
    assert "envoy stop" in second.stderr


def test_stop_in_the_middle_of_a_render_leaves_nothing_and_goes_on_later(studio: Studio) -> None:
    studio.submit("1 8")
    studio.wait_for_frames(1)
    command = [sys.executable, "-m", "envoy", "stop", "--port", str(studio.port)]
    subprocess.run(command, check=True, capture_output=True)
    assert studio.envoy is not None
    assert studio.envoy.wait(60) == 0
    studio.until_nothing_runs()
    studio.up()
    studio.assert_complete(8)


def test_a_farm_without_envoy_finishes_its_work_and_ends(studio: Studio) -> None:
    studio.submit("1 4")
    studio.wait_for_frames(1)
    farm = studio.farm_process()
    studio.kill_envoy()
    studio.until(
        lambda: not farm.is_running() or farm.status() == psutil.STATUS_ZOMBIE, "the farm ends"
    )
    assert not studio.processes()
    studio.up()
    studio.assert_complete(4)


def test_browsers_cannot_talk_to_envoy(idle_studio: Studio) -> None:
    for headers in (
        {"Host": f"evil.example:{idle_studio.port}"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
    ):
        assert httpx.get(f"{idle_studio.url}/projects", headers=headers).status_code == 403
    form = httpx.post(f"{idle_studio.url}/auth", data={"Username": "a", "AccessKey": "b"})
    assert form.status_code == 415


def test_sigterm_ends_as_well_as_ctrl_c(studio: Studio) -> None:
    assert studio.envoy is not None
    studio.envoy.send_signal(signal.SIGTERM)
    assert studio.envoy.wait(60) == 0
