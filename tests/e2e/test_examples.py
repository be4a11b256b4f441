"""Every script in examples/ runs as it stands, and does what its page says."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from gridmarkets import EnvoyClient

from .conftest import EMAIL, PASSWORD, ROOT, Studio, a_studio

PROJECT = "sample_project"
SCRIPTS = {
    path.stem
    for path in (ROOT / "examples").glob("*.py")
    # For Blender's Python; what it makes is in the repository.
    if path.name != "make_sample_project.py"
}

NEEDS = {"render_and_transcode": ("ffmpeg", "ffprobe")}
"""Programs, Blender aside, that a script's jobs need on this machine."""

Check = Callable[["Run"], None]
CHECKS: dict[str, Check] = {}


def script(check: Check) -> Check:
    """Register what has to be true after the script of the function's name has run."""
    CHECKS[check.__name__] = check
    return check


class Run:
    """One run of a script, by a given account, in a folder of its own."""

    def __init__(self, studio: Studio, name: str, email: str = EMAIL) -> None:
        self.studio = studio
        self.client: EnvoyClient = studio.client(email)
        self.results = studio.folder / f"results of {name}"
        environment = {
            **os.environ,
            "ENVOY_URL": studio.url,
            "ENVOY_EMAIL": email,
            "ENVOY_PASSWORD": PASSWORD,
        }
        command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), str(self.results)]
        # Elsewhere: a script must not depend on where it was started.
        done = subprocess.run(
            command, cwd=studio.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert not done.stderr
        self.output = done.stdout
        self.lines = done.stdout.splitlines()

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Wait for the newest submission and return its jobs by name, all of them completed."""
        end = self.client.wait_for_project(PROJECT)
        assert end["state"] == "completed", end["message"]
        return {job["name"]: job for job in end["jobs"]}

    def assert_frames(self, *names: str) -> None:
        """These images, and no other file, have arrived in the results folder."""
        files = [path for path in self.results.rglob("*") if path.is_file()]
        assert sorted(path.relative_to(self.results).as_posix() for path in files) == sorted(names)
        for path in files:
            image = oiio.ImageBuf(str(path))
            assert image.read(force=True), image.geterror()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    for studio in a_studio(tmp_path_factory.mktemp("studio")):
        studio.add_user("poor@example.com", credits="0")
        yield studio


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script(studio: Studio, name: str) -> None:
    assert name in CHECKS, f"say below what examples/{name}.py has to do"
    for program in NEEDS.get(name, ()):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} on the PATH")
    before = sample_files()
    CHECKS[name](Run(studio, name))
    assert sample_files() == before, "a script wrote into the sample project"


def test_every_check_is_for_a_script_that_exists() -> None:
    assert set(CHECKS) == SCRIPTS


def test_without_credits_the_scripts_say_so(studio: Studio) -> None:
    errors = Run(studio, "handle_errors", "poor@example.com")
    assert errors.lines[0].startswith("Ask for credits. ")
    plugin = Run(studio, "validate_in_plugin", "poor@example.com")
    assert plugin.output.startswith("Please add credits. ")


def sample_files() -> list[Path]:
    return sorted((ROOT / "examples" / PROJECT).rglob("*"))


@script
def authenticate(run: Run) -> None:
    assert run.lines == [
        f"Signed in as {EMAIL}",
        "Credentials accepted: True",
        f"Envoy acts for {EMAIL}",
    ]


@script
def budgets(run: Run) -> None:
    jobs = run.jobs()
    assert list(jobs) == ["careful", "patient", "curious"]
    for line, job in zip(run.lines, jobs.values(), strict=True):
        assert line == f"{job['name']}: completed, {job['credits']:.6f} of 50 credits"
        assert 0 < job["credits"] < 50
    run.assert_frames("careful_0001.png", "patient_0002.png", "curious_0003.png")


@script
def dependencies(run: Run) -> None:
    assert run.lines[2] == "third waits for: first, second"
    assert list(run.jobs()) == ["first", "second", "third"]
    first, second, third = run.studio.activity()["jobs"]
    ends = [datetime.fromisoformat(job["finished_at"]) for job in (first, second)]
    assert datetime.fromisoformat(third["started_at"]) >= max(ends)
    run.assert_frames("first_0001.png", "second_0002.png", "third_0003.png")


@script
def handle_errors(run: Run) -> None:
    engine, frames, password, envoy = run.lines
    assert engine.startswith("Mark the field jobs[0].engine: ")
    assert frames.startswith("Mark the field jobs[0].frames: ")
    assert password.startswith("Ask for the password again. ")
    assert envoy.startswith("Try again later: ")
    assert "envoy up" in envoy


@script
def list_machines(run: Run) -> None:
    ids = ", ".join(machine["id"] for machine in run.client.get_machines("blender", "render"))
    assert ids
    assert run.lines[:3] == [f"CPU: {ids}", "GPU: ", f"all: {ids}"]
    assert re.fullmatch(r"default: .+ \(GPU: False\)", run.lines[-1])


@script
def list_products(run: Run) -> None:
    pieces = re.split(r"^([\w ,-]+): (?=[\[{])", run.output, flags=re.MULTILINE)[1:]
    answers = {what: json.loads(answer) for what, answer in zip(*[iter(pieces)] * 2, strict=True)}
    assert len(answers) == 9
    products = answers["products"]
    assert products["blender"]["is_plugin"] is False
    assert products.items() <= answers["products and plug-ins"].items()
    assert answers["versions of Blender"] == products["blender"]["versions"]
    assert answers["versions of Blender"][-1] == answers["versions of the newest series"][-1]
    assert answers["plug-ins, and what was asked for"]["blender"]["name"] == "Blender"


@script
def package_version(run: Run) -> None:
    (line,) = run.lines
    assert line.startswith(f"gridmarkets {run.client.version} in ")


@script
def project_status(run: Run) -> None:
    told = [line for line in run.lines if not line.startswith("  ")]
    assert re.fullmatch(r"Submitted, (\d+) of \1 bytes: .+", told[-1])
    assert "  /sample_project/scene.blend: Completed" in run.lines
    assert list(run.jobs()) == ["one"]
    run.assert_frames("frame_0001.png")


@script
def render_and_download(run: Run) -> None:
    assert run.lines == [f"Submitted {PROJECT}; frames will appear in {run.results}"]
    (job,) = run.jobs().values()
    assert (job["name"], job["frames_done"]) == ("beauty", 24)
    run.assert_frames(*(f"frame_{number:04d}.png" for number in range(1, 25)))


@script
def render_and_transcode(run: Run) -> None:
    film = run.results / "film.mp4"
    assert run.lines == [f"Submitted {PROJECT}; the film will be {film}"]
    jobs = run.jobs()
    assert list(jobs) == ["beauty", "film"]
    assert (jobs["beauty"]["frames_done"], jobs["film"]["frames_done"]) == (24, 1)
    asked = "stream=codec_name,nb_read_frames,avg_frame_rate"
    look = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", asked, "-of", "csv=p=0"]
    told = subprocess.run([*look, film], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "h264,24/1,24"
    # The frames are images, which the film is not.
    film.unlink()
    run.assert_frames(*(f"frames/frame_{number:04d}.png" for number in range(1, 25)))


@script
def submit_again(run: Run) -> None:
    assert len(run.lines) == 2
    run.jobs()
    # The newest submission is over; the one before it need not be.
    preview = run.results / "preview" / "frame_0001.jpg"
    run.studio.until(preview.exists, "the frame of the first submission")
    run.assert_frames("preview/frame_0001.jpg", "final/frame_0001.png", "final/frame_0002.png")


@script
def upload_only(run: Run) -> None:
    assert run.lines[0].startswith("Completed: ")
    uploaded = [line.strip() for line in run.lines[1:]]
    files = [path.relative_to(ROOT / "examples") for path in sample_files() if path.is_file()]
    assert uploaded == [f"/{path.as_posix()}" for path in files]


@script
def user_info(run: Run) -> None:
    *text, left = run.lines
    info = json.loads("\n".join(text))
    assert (info["email_address"], info["service_plan"]) == (EMAIL, "Standard")
    assert left == f"{info['credits_available']:.2f} credits left"
    assert info["credits_available"] + info["credits_consumed"] == pytest.approx(100)


@script
def validate_in_plugin(run: Run) -> None:
    assert run.lines == ["Ready to submit."]


@script
def wait_and_control(run: Run) -> None:
    assert run.lines[:3] == ["suspended: suspended", "resumed: ready", "stopped: stopped"]
    assert "completed: 5 of 5 frames rendered, 5 of 5 files downloaded" in run.lines
    assert "The end: completed" in run.lines
    assert re.search(r"^second: completed, 0\.\d+ credits$", run.output, re.MULTILINE)
    assert "first_0004.png" in run.output
    frames = [*(f"first_{number:04d}.png" for number in range(1, 5)), "second_0003.png"]
    for frame in frames:
        assert f": downloaded, {run.results / frame}\n" in run.output
    run.assert_frames(*frames)
