"""Which plug-ins a job gets, and on which machines."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from farm.catalogue import Catalogue
from messages import saying, says

from .conftest import Farm, send, spec
from .runners import FakeRunner
from .studio import HOUDINI, studio_catalogue


@pytest.fixture
def database_url() -> None:
    """None of this depends on the database: SQLite is enough."""


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return studio_catalogue(tmp_path)


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def test_a_job_with_a_plugin_for_gpus_gets_one(ann: httpx.Client) -> None:
    body = spec(app="maya", app_version="2025", plugins=["maya_redshift"])
    assert ann.post("/v1/submissions", json=body).json()["jobs"][0]["machine_type"] == "local-gpu"


@pytest.mark.parametrize(
    ("asked", "choices"),
    [
        (["mtoa"], {"mtoa": ("all", "5.4.0")}),
        (["maya_prman", "mtoa"], {"maya_prman": ("25", "25.2"), "mtoa": ("all", "5.4.0")}),
        (["maya_prman:25.2", "maya_redshift"], {"maya_redshift": ("all", "unknown")}),
        ([], {}),
    ],
)
def test_a_runner_is_told_which_versions_of_a_plugin_fit_the_product(
    farm: Farm, ann: httpx.Client, asked: list[str], choices: dict[str, tuple[str, str]]
) -> None:
    body = spec(app="maya", app_version="2025", plugins=asked)
    ann.post("/v1/submissions", json=body).raise_for_status()
    told = FakeRunner(farm).http.get("/v1/runner/job").json()
    assert told["plugins"] == asked
    assert told["unseen_plugins"] == []
    assert told["plugin_choices"] == {
        code: {"ranges": [text], "newest": newest} for code, (text, newest) in choices.items()
    }


@pytest.mark.parametrize(
    ("prman", "frames"),
    # 26 works with another version of the product only.
    [("25.3", [1]), ("26.1", [])],
)
def test_a_plugin_that_is_updated_while_its_job_waits_is_used_if_it_fits(
    farm: Farm, ann: httpx.Client, prman: str, frames: list[int]
) -> None:
    asked = {"params": {"frames": "1"}, "plugins": ["mtoa", "maya_prman"]}
    ann.post("/v1/submissions", json=spec(app="maya", app_version="2025", **asked))
    there = ["mtoa:5.4.2", f"maya_prman:{prman}"]
    runner = FakeRunner(farm, host="node7")
    assert runner.claim(programs=[{"app": "maya", "version": "2025.1", "plugins": there}]) == frames
    if not frames:
        assert "'node7'" in runner.reason
        assert "maya 2025.1 with mtoa, maya_prman" in runner.reason
        return
    choices = runner.http.get("/v1/runner/job").json()["plugin_choices"]
    assert {code: each["newest"] for code, each in choices.items()} == {
        "mtoa": "5.4.2",
        "maya_prman": "25.3",
    }


def test_the_newest_plugin_is_meant_whatever_the_order_in_which_a_machine_tells_of_it(
    farm: Farm, ann: httpx.Client
) -> None:
    send(ann, "demo/scene.hip", b"hip")
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    programs = [
        {"app": "nuke", "version": "15.0v2", "plugins": []},
        {"app": "nuke", "version": "13.2v9", "plugins": []},
        {
            "app": "hou",
            "version": "19.5.640",
            "plugins": ["hou_redshift:3.5.22", "hou_redshift:3.5.9", "hou_redshift:unknown"],
        },
    ]
    FakeRunner(farm, host="node7").claim(programs=programs)
    asked = HOUDINI | {"app_version": "19.5", "plugins": ["hton", "hou_redshift"]}
    asked |= {"machine_type": "local-gpu"}
    ann.post("/v1/submissions", json=spec(**asked)).raise_for_status()
    job = FakeRunner(farm, 2).http.get("/v1/runner/job").json()
    # Nuke's are reached through the plug-in.
    assert job["licence_servers"] == [{"host": "licences.studio", "port": 4101}]
    assert (job["limits"]["memory_bytes"], job["limits"]["slots"]) == (3 * 2**29, 2)
    assert (job["limits"]["frame_cpu_seconds"], job["limits"]["disk_bytes"]) == (7200, None)
    told = job["plugin_choices"]
    newest = {code: choice["newest"] for code, choice in told.items()}
    assert newest == {"hton": "15.0v2", "hou_redshift": "3.5.22"}


@pytest.mark.parametrize(
    ("asked", "told", "lacks"),
    [
        ("htoa", [{"app": "hou", "version": "20.5.332", "plugins": ["htoa:6.3.0"]}], ""),
        # Another one of the series stands in, but no other version of a plug-in that names one.
        ("htoa", [{"app": "hou", "version": "20.5.400", "plugins": ["htoa:6.3.0"]}], ""),
        (
            "htoa:6.3.0",
            [{"app": "hou", "version": "20.5.332", "plugins": ["htoa:6.2.0"]}],
            "hou 20.5.332 with htoa:6.3.0",
        ),
        ("htoa", [{"app": "hou", "version": "20.5.332", "plugins": ["htoa:6.2.0"]}], ""),
        ("htoa", [{"app": "blender", "version": "4.2.0", "plugins": []}], ""),
        ("htoa", [{"app": "hou", "version": "20.0.1", "plugins": ["htoa:6.3.0"]}], "hou 20.5.332"),
        ("htoa", [{"app": "hou", "version": "20.5.332", "plugins": []}], "hou 20.5.332 with htoa"),
    ],
)
def test_a_host_without_the_program_or_its_plug_in_gets_nothing_of_the_job(
    farm: Farm, ann: httpx.Client, asked: str, told: list[dict[str, Any]], lacks: str
) -> None:
    # Some other machine has it.
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    other = {"app": "hou", "version": "20.5.332", "plugins": ["htoa:6.3.0"]}
    FakeRunner(farm, host="other").claim(programs=[other])
    send(ann, "demo/scene.hip", b"hip")
    wanted = HOUDINI | {"plugins": [asked], "machine_type": "local-gpu"}
    ann.post("/v1/submissions", json=spec(**wanted)).raise_for_status()
    runner = FakeRunner(farm, 2, host="node1")
    frames = runner.claim(programs=told)
    if lacks:
        assert frames == []
        assert runner.reason == saying("another-machine-continues-job", "'node1'", lacks)
        messages = [job["message"] for job in ann.get("/v1/jobs").json()["jobs"]]
        assert says(messages, "waiting-another-machine", "'node1'", lacks)
    else:
        assert frames
