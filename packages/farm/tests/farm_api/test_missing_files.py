"""Files that scenes need and projects lack: FARM_MISSING_FILES, with real scenes."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from farm.catalogue import Catalogue
from farm.catalogue.definitions import built_in
from farm.catalogue.machines import Machines
from farm.catalogue.products import Installed, product_rows
from farm.scenes import traces
from farm.scenes.blend_assets import AssetKind, Lacks, MissingAsset, missing_assets
from messages import saying, says

from .conftest import Farm, send, spec
from .runners import job_of, wait_for


@pytest.fixture
def database_url() -> None:
    """None of this depends on the database: SQLite is enough."""


refuse = pytest.mark.parametrize("missing_files", ["refuse"])
warn = pytest.mark.parametrize("missing_files", ["warn"])


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    return farm.user("ann@example.com")


class Tracer:
    """Stands in for the reader of scenes, or counts how often it is asked."""

    def __init__(self) -> None:
        self.answer: Callable[..., Lacks | list[MissingAsset]] = missing_assets
        self.scenes: list[str] = []

    def __call__(self, scene: str, files: dict[str, Path], **_: object) -> Lacks:
        self.scenes.append(scene)
        told = self.answer(scene, files)
        return told if isinstance(told, Lacks) else Lacks(told)


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    made = Tracer()
    monkeypatch.setattr(traces, "missing_assets", made)
    return made


def give(client: httpx.Client, scenes: Path, *names: str) -> None:
    for name in names:
        send(client, f"demo/{name}", (scenes / name).read_bytes())


def lost(name: str, kind: AssetKind = AssetKind.IMAGE) -> MissingAsset:
    return MissingAsset(f"//{name}", "demo/scene.blend", kind, "x", f"demo/{name}", None)


def refused(client: httpx.Client, body: dict[str, Any]) -> list[str]:
    """Return why a submission and its check are refused: in the same words, for its scene."""
    check = client.post("/v1/submissions/check", json=body)
    create = client.post("/v1/submissions", json=body)
    assert check.status_code == create.status_code == 400, check.text
    assert check.json() == create.json()
    assert list(check.json()["errors"]) == ["jobs[0].path"]
    assert client.get("/v1/jobs").json()["jobs"] == []
    texts: list[str] = check.json()["errors"]["jobs[0].path"]
    return texts


_BLENDER = built_in().products["blender"]
_COMPOSITES = _BLENDER.model_copy(update={"operations": {"composite": "blender_render"}})
STUDIO = replace(built_in(), products={"blender": _COMPOSITES})


@refuse
@pytest.mark.parametrize(
    "catalogue",
    [
        Catalogue(
            product_rows([Installed("blender", "3.4.1")], STUDIO),
            [Machines("local-cpu", "Test", gpu=False, slots=2, credits_per_hour=Decimal(1))],
            definitions=STUDIO,
        )
    ],
)
def test_an_operation_of_the_studio_is_looked_into_like_that_of_its_template(
    ann: httpx.Client, tracer: Tracer
) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracer.answer = lambda *_: [lost("a.png")]
    assert "a.png" in refused(ann, spec(operation="composite"))[0]


WOOD = "demo/textures/wood.png"


@warn
def test_a_missing_texture_is_a_warning_of_the_job(ann: httpx.Client, scenes: Path) -> None:
    give(ann, scenes, "texture.blend")
    answer = ann.post("/v1/submissions", json=spec(path="demo/texture.blend"))
    assert answer.status_code == 201
    wait_for(ann, lambda job: job["warnings"] != [])
    (warning,) = job_of(ann)["warnings"]
    assert "(image 'wood" in warning
    lacks = saying("asset-not-in-project", "demo/texture.blend", "//textures/wood.png", WOOD)
    assert warning == lacks
    assert job_of(ann)["state"] == "ready"


@refuse
def test_a_farm_that_refuses_names_the_file_until_it_is_there(
    ann: httpx.Client, scenes: Path
) -> None:
    give(ann, scenes, "linked.blend")
    body = spec(path="demo/linked.blend")
    assert "library.blend" in refused(ann, body)[0]
    give(ann, scenes, "library.blend")
    lacks = saying("asset-not-in-project", "demo/library.blend", "//textures/wood.png", WOOD)
    assert refused(ann, body)[0] == lacks
    # On its way is as good as there, unless it is a scene, which nobody can look into yet.
    coming = body | {"pending_files": ["/demo/textures/wood.png"]}
    assert ann.post("/v1/submissions/check", json=coming).status_code == 200
    coming = body | {"pending_files": ["demo/linked.blend"]}
    assert ann.post("/v1/submissions/check", json=coming).status_code == 200
    give(ann, scenes, "textures/wood.png")
    assert ann.post("/v1/submissions/check", json=body).status_code == 200
    assert ann.post("/v1/submissions", json=body).status_code == 201
    assert job_of(ann)["warnings"] == []


@refuse
def test_a_submission_that_is_there_is_answered_whatever_is_missing_now(
    ann: httpx.Client, tracer: Tracer
) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracer.answer = lambda *_: []
    body = spec()
    first = ann.post("/v1/submissions", json=body).raise_for_status().json()
    tracer.answer = lambda *_: [lost("a.png")]
    send(ann, "demo/new.txt", b"another question")
    again = ann.post("/v1/submissions", json=body)
    assert again.status_code == 201
    assert again.json()["jobs"][0]["id"] == first["jobs"][0]["id"]


@refuse
def test_other_mistakes_are_told_before_anybody_looks(ann: httpx.Client, tracer: Tracer) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    answer = ann.post("/v1/submissions", json=spec(params={"frames": "x"}))
    assert list(answer.json()["errors"]) == ["jobs[0].frames"]
    assert tracer.scenes == []


@refuse
def test_a_scene_is_traced_once_however_often_it_is_asked_for(
    ann: httpx.Client, tracer: Tracer
) -> None:
    tracer.answer = lambda *_: []
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    send(ann, "demo/wood.png", b"one")
    body = spec()
    job = body["jobs"][0]
    body["jobs"] = [
        job | {"id": name, "name": name, "params": {"frames": "1", "output_prefix": name}}
        for name in ("a", "b", "c")
    ]
    ann.post("/v1/submissions/check", json=body).raise_for_status()
    ann.post("/v1/submissions", json=body).raise_for_status()
    send(ann, "demo/wood.png", b"two")  # Other bytes of a texture change nothing.
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    assert tracer.scenes == ["demo/scene.blend"]
    send(ann, "demo/metal.png", b"one")
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    send(ann, "demo/library.blend", b"BLENDER-v304")
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    send(ann, "demo/library.blend", b"BLENDER-v304 changed")
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    assert len(tracer.scenes) == 4


@refuse
def test_a_refusal_names_every_file_once(ann: httpx.Client, tracer: Tracer) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracer.answer = lambda *_: [lost(f"{n % 13}.png") for n in range(26)]
    texts = refused(ann, spec())
    assert len(texts) == len(set(texts)) == 13


@warn
def test_warnings_name_ten_files_and_count_the_others(ann: httpx.Client, tracer: Tracer) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracer.answer = lambda *_: [lost(f"{n % 13}.png") for n in range(26)]
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    wait_for(ann, lambda job: job["warnings"] != [])
    texts = job_of(ann)["warnings"]
    assert len(texts) == 11
    assert all(says(text, "asset-not-in-project", "demo/scene.blend") for text in texts[:10])
    assert texts[10] == saying("more-files-missing", 3)


@pytest.mark.parametrize("missing_files", ["refuse", "warn"])
def test_what_was_not_looked_for_is_told_and_refuses_nothing(
    ann: httpx.Client, tracer: Tracer
) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracer.answer = lambda *_: Lacks([], 0, 70)
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    wait_for(ann, lambda job: job["warnings"] != [])
    assert job_of(ann)["warnings"] == [saying("files-not-looked-for", 70)]


@refuse
def test_a_refusal_of_many_jobs_names_ten_files_of_most(ann: httpx.Client, tracer: Tracer) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracer.answer = lambda *_: [lost(f"{n}.png") for n in range(1000)]
    body = spec()
    job = body["jobs"][0]
    body["jobs"] = [
        job | {"id": f"{n}", "params": {"frames": "1", "output_prefix": f"{n}"}} for n in range(9)
    ]
    answer = ann.post("/v1/submissions/check", json=body)
    sizes = sorted(len(texts) for texts in answer.json()["errors"].values())
    assert sizes == [11] * 8 + [1000]


@refuse
def test_caches_are_only_warned_about(ann: httpx.Client, tracer: Tracer) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracer.answer = lambda *_: [lost("cache", AssetKind.CACHE)]
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    wait_for(ann, lambda job: "demo/cache" in "".join(job["warnings"]))


@refuse
def test_what_an_earlier_job_renders_is_not_missing(ann: httpx.Client, tracer: Tracer) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracer.answer = lambda *_: [lost("render_results/out/frame_0001.png")]
    body = spec()
    first = body["jobs"][0]
    second = first | {"id": "j2", "name": "b", "params": {"frames": "9"}, "dependencies": ["j1"]}
    body["jobs"] = [first, second]
    answer = ann.post("/v1/submissions", json=body)
    assert list(answer.json()["errors"]) == ["jobs[0].path"]


@pytest.mark.parametrize("missing_files", ["refuse", "warn"])
def test_a_scene_that_cannot_be_looked_through_is_rendered_with_a_warning(
    ann: httpx.Client,
) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304 and then nothing")
    assert ann.post("/v1/submissions", json=spec()).status_code == 201
    told = saying("scene-damaged-or-unknown-version", "demo/scene.blend")
    wait_for(ann, lambda job: says("".join(job["warnings"]), told))


@warn
def test_a_broken_reader_is_a_warning_and_asked_again(ann: httpx.Client, tracer: Tracer) -> None:
    def broken(*_: object) -> list[MissingAsset]:
        raise OSError("no more processes")

    tracer.answer = broken
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    wait_for(ann, lambda job: says("".join(job["warnings"]), "scene-files-unknown"))
    tracer.answer = lambda *_: [lost("a.png")]
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    wait_for(ann, lambda job: "demo/a.png" in "".join(job["warnings"]))


def test_a_farm_that_does_not_look_does_not_look(ann: httpx.Client, tracer: Tracer) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    ann.post("/v1/submissions/check", json=spec()).raise_for_status()
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    assert tracer.scenes == []
