"""Products and machine types over HTTP, and what submissions make of them."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from farm.catalogue import Catalogue
from farm.catalogue.definitions import load_definitions
from farm.catalogue.machines import Machines
from farm.catalogue.products import Installed, product_rows
from farm_protocol.users import Role
from messages import saying, says

from .conftest import Farm, send, spec
from .runners import FakeRunner
from .studio import FOUND, HOUDINI, OF_MAYA, V_RAY, studio_catalogue


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
    send(client, "demo/scene.vrscene", b"// V-Ray")
    return client


def rows(client: httpx.Client) -> dict[str, dict[str, Any]]:
    answer = client.get("/v1/products")
    assert answer.status_code == 200
    return {row["id"]: row for row in answer.json()}


def machines(client: httpx.Client, *plugins: str, **query: str) -> list[str]:
    parameters: dict[str, str | Sequence[str]] = {**query, "plugins": plugins}
    answer = client.get("/v1/machines", params=parameters)
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()]


def test_products_and_plugins_name_each_other(ann: httpx.Client) -> None:
    found = rows(ann)
    assert found["maya:2025.1"] == {
        "id": "maya:2025.1",
        "name": "Maya",
        "app_type": "maya",
        "version": "2025.1",
        "is_plugin": False,
        "business_vertical": "media",
        "operations": ["render"],
        "compatible_modules": [*OF_MAYA[:3], "maya_vray:7.0"],
    }
    assert (found["mtoa:5.3.1"]["is_plugin"], found["mtoa:5.3.1"]["operations"]) == (True, [])
    for row in found.values():
        for module in row["compatible_modules"]:
            assert row["id"] in found[module]["compatible_modules"]
    # What another program on the machine provides, and what an administrator lists.
    assert found["hton:15.1v3"]["compatible_modules"] == ["hou:20.5.332"]
    assert found["c4d:R19.024"]["operations"] == ["render"]
    assert found["vray:6.20.01"]["compatible_modules"] == []


def test_machines_by_product_operation_category_and_plugins(ann: httpx.Client) -> None:
    assert machines(ann) == ["local-cpu", "local-gpu"]
    assert machines(ann, app="maya", operation="render", category="gpu") == ["local-gpu"]
    assert machines(ann, app="nuke", operation="composite", category="cpu") == ["local-cpu"]
    assert machines(ann, app="nuke", operation="transcode") == []
    assert machines(ann, "mtoa", app="maya") == ["local-cpu", "local-gpu"]
    assert machines(ann, "mtoa:5.3.1", "maya_vray", app="maya") == ["local-cpu", "local-gpu"]
    # Each is there, but not in one version of Maya.
    assert machines(ann, "mtoa:5.3.1", "maya_vray:7.0", app="maya") == []
    assert machines(ann, "maya_redshift", app="maya") == ["local-gpu"]
    assert machines(ann, "htoa", app="hou") == []
    answer = ann.get("/v1/machines", params={"app": "blender"}).json()
    assert [(row["is_default"], row["credits_per_hour"]) for row in answer] == [
        (True, 3600),
        (True, 7),
    ]


@pytest.mark.parametrize(
    ("asked", "got", "warned"),
    [
        ({"app_version": "4.5.15"}, "4.5.15", False),
        ({"app_version": "4.5.9"}, "4.5.15", True),
        ({"app_version": "3.4"}, "3.4.1", False),
        ({"app_version": ""}, "4.5.15", False),
        ({"app": "maya", "app_version": "2025.3"}, "2025.1", True),
        ({"app": "maya", "app_version": "2025"}, "2025.1", False),
        ({"app": "maya", "app_version": "", "plugins": ["mtoa:5.3.1"]}, "2024.2", False),
        ({"app": "c4d", "app_version": "R19"}, "R19.024", False),
        ({"app": "c4d", "app_version": "R19.050"}, "R19.024", True),
    ],
)
def test_the_version_of_a_job(
    ann: httpx.Client, asked: dict[str, Any], got: str, warned: bool
) -> None:
    answer = ann.post("/v1/submissions", json=spec(**asked))
    assert answer.status_code == 201, answer.text
    job = answer.json()["jobs"][0]
    assert job["app_version"] == got
    warnings = ann.get("/v1/jobs").json()["jobs"][0]["warnings"]
    assert len(warnings) == warned
    if warned:
        assert asked["app_version"] in warnings[0]
        assert got in warnings[0]


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"app": "maya", "app_version": "2023.1"}, "app_version", ["2024.2", "2025.1"]),
        ({"app": "c4d", "app_version": "R2"}, "app_version", ["R19.024"]),
        ({"app": "nuke", "operation": "sim"}, "operation", ["'composite'"]),
        (
            {"app": "nuke", "operation": "composite", "app_version": "14"},
            "app_version",
            ["15.1v3", "/opt/x"],
        ),
        (
            {"app": "maya", "app_version": "2025", "plugins": ["mtoa:9"]},
            "plugins",
            ["Maya 2025.1", "'mtoa:9'", "'mtoa:5.4.0'"],
        ),
        (
            {"app": "maya", "app_version": "2025", "plugins": ["mtoa:5.3.1"]},
            "plugins",
            ["'mtoa:5.3.1'", "2024.2"],
        ),
        (
            {"app": "maya", "app_version": "2024", "plugins": ["htoa"]},
            "plugins",
            [saying("farm-no-plug-which-install", "htoa", "mtoa:5.3.1")],
        ),
        ({"plugins": ["blender_vray"]}, "plugins", ["'blender_vray'", "no plug-ins"]),
        (
            {"app": "maya", "app_version": "", "plugins": ["maya_redshift"]}
            | {"machine_type": "local-cpu"},
            "machine_type",
            [saying("machine-type-no-gpu", "local-cpu")],
        ),
        (
            {"params": {"frames": "1", "engine": "v-ray"}},
            "engine",
            ["'VRAY_RENDER_RT'", "'blender_vray'", "plugins"],
        ),
        (
            V_RAY | {"params": {"frames": "1", "remap_file": "demo/lost.xml"}},
            "remap_file",
            ["'demo/lost.xml'", "add_files"],
        ),
        (V_RAY | {"path": "demo/scene.blend"}, "path", ["'demo/scene.blend'", ".vrscene"]),
        ({"path": "demo/scene.txt"}, "path", [".blend"]),
    ],
)
def test_what_is_not_there_is_refused_by_field(
    ann: httpx.Client, asked: dict[str, Any], field: str, words: list[str | saying]
) -> None:
    answer = ann.post("/v1/submissions/check", json=spec(**asked))
    assert answer.status_code == 400, answer.text
    errors = answer.json()["errors"]
    assert list(errors) == [f"jobs[0].{field}"]
    (message,) = errors[f"jobs[0].{field}"]
    assert message.endswith(".")
    for word in words:
        assert says(message, word) if isinstance(word, saying) else word in message


@pytest.mark.parametrize("operation", ["sim", "batch"])
@pytest.mark.parametrize(
    ("frames", "fits"),
    [
        *((each, True) for each in ("1 100", "1 99 2", "1 5, 6 10", "10 1 -1", "7", "3, 9")),
        *((each, False) for each in ("1 5, 8 10", "1 9 2, 10", "1, 2, 4")),
    ],
)
def test_what_is_computed_in_order_has_one_range(
    ann: httpx.Client, operation: str, frames: str, fits: bool
) -> None:
    send(ann, "demo/scene.hip", b"hip")
    asked = HOUDINI | {"operation": operation, "params": {"frames": frames}}
    answer = ann.post("/v1/submissions/check", json=spec(**asked))
    assert answer.status_code == (200 if fits else 400), answer.text
    if not fits:
        (message,) = answer.json()["errors"]["jobs[0].frames"]
        assert says(message, "single-range-only", "hou", operation)


def test_what_runners_tell_is_offered_for_a_day(farm: Farm, ann: httpx.Client) -> None:
    assert "blender:4.2.9" not in rows(ann)
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    runner = farm.client(farm.engine.wait_for(1).token)
    programs = [
        {"app": "blender", "version": "4.2.9", "plugins": ["blender_vray:6.20.1"]},
        {"app": "paint", "version": "1", "plugins": []},
    ]
    told = {"host": "node7", "programs": programs}
    runner.post("/v1/runner/claims", json=told).raise_for_status()
    found = rows(ann)
    assert found["blender:4.2.9"]["compatible_modules"] == ["blender_vray:6.20.1"]
    assert found["blender_vray:6.20.1"]["is_plugin"] is True
    assert not [row for row in found.values() if row["app_type"] == "paint"]
    body = spec(app_version="4.2.9", plugins=["blender_vray"])
    assert ann.post("/v1/submissions", json=body).status_code == 201
    # A day later nobody has told of it again.
    with farm.database.write() as connection:
        connection.exec_driver_sql("UPDATE host_programs SET reported_at = '2020-01-01 00:00:00'")
    assert "blender:4.2.9" not in rows(ann)


def test_the_same_code_for_a_product_and_a_plugin(tmp_path: Path) -> None:
    file = tmp_path / "studio.yaml"
    file.write_text("products: {vray: &able {operations: {render: blender_render}}, c4d: *able}")
    definitions = load_definitions(file)
    found = {
        row.id: row
        for row in product_rows(
            [
                Installed("vray", "6.20.01"),
                Installed("c4d", "2024.4.1", ("vray:6.20.01", "vray:7.0")),
            ],
            definitions,
        )
    }
    both = found["vray:6.20.01"]
    assert (both.is_plugin, both.operations) == (False, ["render"])
    assert both.compatible_modules == ["c4d:2024.4.1"]
    assert found["vray:7.0"].is_plugin
    assert set(found["c4d:2024.4.1"].compatible_modules) == {"vray:6.20.01", "vray:7.0"}


@pytest.mark.parametrize(
    ("asked", "gpu"),
    [
        ({}, False),
        ({"machine_type": "local-gpu"}, True),
        ({"params": {"frames": "1", "gpu": True}}, True),
        ({"app": "maya", "app_version": "2025", "plugins": ["maya_redshift"]}, True),
        (V_RAY | {"params": {"frames": "1", "rt_engine": 1}}, False),
        (V_RAY | {"params": {"frames": "1", "rt_engine": 5}}, True),
    ],
)
def test_a_job_that_needs_a_gpu_gets_it_and_its_runner_is_told(
    farm: Farm, ann: httpx.Client, asked: dict[str, Any], gpu: bool
) -> None:
    answer = ann.post("/v1/submissions", json=spec(**asked))
    assert answer.status_code == 201, answer.text
    assert ann.get("/v1/jobs").json()["jobs"][0]["machine_type"] == f"local-{'gpu' * gpu or 'cpu'}"
    assert FakeRunner(farm).http.get("/v1/runner/job").json()["gpu"] is gpu


def test_houdinis_operation_takes_usd_scenes_without_the_parameters_of_a_hip(
    farm: Farm, ann: httpx.Client
) -> None:
    send(ann, "demo/scene.usda", b"#usda 1.0\n")
    empty = {"frames": "1 4", "take": "", "rop_nodepath": "", "disk_output_path": "b.$F4.png"}
    asked = HOUDINI | {"path": "demo/scene.usda", "params": empty}
    answer = ann.post("/v1/submissions", json=spec(**asked))
    assert answer.status_code == 201, answer.text
    assert answer.json()["jobs"][0]["warnings"] == []
    given = FakeRunner(farm).http.get("/v1/runner/job").json()
    assert (given["operation"], given["template"]) == ("render", "hou_husk")
    asked["params"] = empty | {"take": "wide", "rop_nodepath": "/out/karma1"}
    errors = ann.post("/v1/submissions/check", json=spec(**asked)).json()["errors"]
    assert set(errors) == {"jobs[0].take", "jobs[0].rop_nodepath"}
    asked |= {"operation": "render", "path": "demo/scene.ma", "params": {"frames": "1"}}
    errors = ann.post("/v1/submissions/check", json=spec(**asked)).json()["errors"]
    assert ".usdz" in errors["jobs[0].path"][0]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ({}, {"disk_output_renderer": "BRAY_HdKarmaXPU"}, "scene.0004.exr"),
        ({"disk_output_ext": "png"}, {"disk_output_path": "/a/scene.$F4.png"}, "scene.0004.png"),
        ({}, {"disk_output_path": "xpu.$F4.exr"}, ""),
        ({}, {"disk_output_ext": "png"}, ""),
    ],
)
def test_jobs_of_one_usd_scene_that_would_overwrite_each_other_are_refused(
    ann: httpx.Client, first: dict[str, str], second: dict[str, str], clash: str
) -> None:
    send(ann, "demo/scene.usd", b"#usda 1.0\n")
    body = spec(**HOUDINI | {"path": "demo/scene.usd", "params": {"frames": "1 4", **first}})
    jobs: Any = body["jobs"]
    jobs.append(jobs[0] | {"id": "j2", "name": "xpu", "params": {"frames": "4 6", **second}})
    answer = ann.post("/v1/submissions/check", json=body)
    if clash:
        (message,) = answer.json()["errors"]["jobs[1].disk_output_path"]
        assert message == (
            saying("jobs-write-the-same-files", "xpu", "beauty", clash, 4, "disk_output_path")
        )
    else:
        assert answer.status_code == 200, answer.text


_TYPES = [("local-cpu", False), ("local-gpu", True), ("big-cpu", False), ("big-gpu", True)]


@pytest.mark.parametrize(
    "catalogue",
    [
        Catalogue(
            products=product_rows(FOUND),
            machines=[Machines(name, name, gpu, 1, Decimal(1)) for name, gpu in _TYPES],
        )
    ],
)
def test_a_user_has_default_machines(farm: Farm, ann: httpx.Client) -> None:
    def defaults(client: httpx.Client) -> list[str]:
        rows = client.get("/v1/machines").json()
        return [row["id"] for row in rows if row["is_default"]]

    assert defaults(ann) == ["local-cpu", "local-gpu"]
    changed = ann.patch("/v1/me", json={"machine_cpu": "big-cpu", "machine_gpu": "big-gpu"})
    assert (changed.json()["machine_cpu"], changed.json()["machine_gpu"]) == ("big-cpu", "big-gpu")
    assert defaults(ann) == ["big-cpu", "big-gpu"]
    for gpu, machine in ((False, "big-cpu"), (True, "big-gpu")):
        asked = spec(machine_type="", params={"frames": "1", "gpu": gpu})
        job = ann.post("/v1/submissions", json=asked).raise_for_status().json()["jobs"][0]
        (found,) = (each for each in ann.get("/v1/jobs").json()["jobs"] if each["id"] == job["id"])
        assert found["machine_type"] == machine
    root = farm.user("root@example.com", role=Role.ADMIN)
    assert defaults(root) == ["local-cpu", "local-gpu"]
    wrong = {"machine_cpu": "big-gpu", "machine_gpu": "cray"}
    for client, path in ((ann, "/v1/me"), (root, "/v1/users/ann@example.com")):
        answer = client.patch(path, json=wrong)
        assert answer.status_code == 400
        assert set(answer.json()["errors"]) == set(wrong)
    root.patch("/v1/users/ann@example.com", json={"machine_cpu": ""}).raise_for_status()
    assert defaults(ann) == ["local-cpu", "big-gpu"]
