"""Products and machine types over HTTP, and what submissions make of them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from farm.catalog import Catalogue
from farm.catalog.definitions import load_definitions
from farm.catalog.machines import Machines, with_definitions
from farm.catalog.products import Installed, listed, merged, product_rows
from farm_protocol.users import Role

from .conftest import Farm, send, spec
from .runners import FakeRunner


@pytest.fixture
def database_url() -> None:
    """None of this depends on the database: SQLite is enough."""


STUDIO = """
products:
  blender:
    credits_per_hour: {local-gpu: 7}
  maya:
    operations: {render: blender_render, batch: no_such_template}
    plugins:
      maya_vray: {versions: ["6.1", "7.0"], works_with: {"6": ["2023..2024"], "7": ["2025"]}}
      maya_redshift: {needs_gpu: true}
      maya_prman: {works_with: {"25": ["2025"], "26": ["2026"]}}
  c4d:
    operations: {render: blender_render}
    versions: ["R19.024"]
  nuke: {operations: {composite: blender_render}}
machines:
  local-gpu: {gpu: true, name: A GPU, slots: 2}
"""
_OF_MAYA = ("mtoa:5.4.0", "maya_redshift:unknown", "maya_prman:25.2", "maya_prman:26.1")
FOUND = [
    Installed("blender", "3.4.1"),
    Installed("blender", "4.5.15"),
    Installed("maya", "2024.2", ("mtoa:5.3.1",)),
    Installed("maya", "2025.1", _OF_MAYA),
    Installed("hou", "20.5.332"),
    Installed("nuke", "15.1v3"),
    Installed("vray", "6.20.01"),
]


def studio_catalogue(folder: Path) -> Catalogue:
    file = folder / "studio.yaml"
    file.write_text(STUDIO)
    definitions = load_definitions(file)
    price = Decimal(3600)
    machines = [Machines("local-cpu", "Test", False, 2, price)]
    return Catalogue(
        products=merged(
            [*product_rows(FOUND, definitions), *product_rows(listed(definitions), definitions)]
        ),
        machines=with_definitions(machines, definitions, price),
        definitions=definitions,
        problems={"nuke": "The configured nuke '/opt/x' does not answer '--version' as nuke does."},
    )


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return studio_catalogue(tmp_path)


V_RAY = {"app": "vray", "app_version": "", "path": "demo/scene.vrscene"}


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
    parameters = [*query.items(), *(("plugins", each) for each in plugins)]
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
        "compatible_modules": [*_OF_MAYA[:3], "maya_vray:7.0"],
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
            ["'htoa'", "'mtoa:5.3.1'", "Install it"],
        ),
        ({"plugins": ["blender_vray"]}, "plugins", ["'blender_vray'", "no plug-ins"]),
        (
            {"app": "maya", "app_version": "", "plugins": ["maya_redshift"]}
            | {"machine_type": "local-cpu"},
            "machine_type",
            ["no GPU"],
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
    ann: httpx.Client, asked: dict[str, Any], field: str, words: list[str]
) -> None:
    answer = ann.post("/v1/submissions/check", json=spec(**asked))
    assert answer.status_code == 400, answer.text
    errors = answer.json()["errors"]
    assert list(errors) == [f"jobs[0].{field}"]
    (sentence,) = errors[f"jobs[0].{field}"]
    assert sentence.endswith(".")
    for word in words:
        assert word in sentence


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
        (sentence,) = answer.json()["errors"]["jobs[0].frames"]
        assert sentence.startswith(f"hou {operation} computes its frames in order")


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
        assert "'node7' has no maya 2025.1 with mtoa, maya_prman" in runner.reason
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
    told = FakeRunner(farm, 2).http.get("/v1/runner/job").json()["plugin_choices"]
    newest = {code: choice["newest"] for code, choice in told.items()}
    assert newest == {"hton": "15.0v2", "hou_redshift": "3.5.22"}


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


HOUDINI = {"app": "hou", "operation": "render", "app_version": "20.5", "path": "demo/scene.hip"}


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
        assert runner.reason == f"'node1' has no {lacks}: another machine shall do this job."
        sentences = [job["sentence"] for job in ann.get("/v1/jobs").json()["jobs"]]
        assert f"Waits for another machine: 'node1' has no {lacks}." in sentences
    else:
        assert frames


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
    assert ".usdz file" in errors["jobs[0].path"][0]


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
        (sentence,) = answer.json()["errors"]["jobs[1].disk_output_path"]
        assert sentence == (
            f"'xpu' and 'beauty' would both write '{clash}' (frames 4). "
            "Give each job its own disk_output_path."
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
