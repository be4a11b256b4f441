"""A submission has the files that its project had when it was submitted."""

import random

import httpx
import pytest
from farm.api import projects
from farm.db import manifests
from farm.db.tables import accounts, jobs, manifest_entries, replaced_entries, submissions
from farm_protocol.paths import MAX_PATH_BYTES, MAX_SEGMENTS
from farm_protocol.runner import RunnerJob
from sqlalchemy import func, insert, select

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of

FILES = "/v1/projects/demo/files"


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def remove(client: httpx.Client, *paths: str) -> None:
    client.post(f"{FILES}/remove", json={"paths": paths}).raise_for_status()


def staged(runner: FakeRunner) -> dict[str, str]:
    """Return what a runner is given to render: hashes by path."""
    job = runner.http.get("/v1/runner/job").raise_for_status().json()
    return {file["path"]: file["hash"] for file in job["files"]}


def now(client: httpx.Client) -> dict[str, str]:
    """Return what the project has at this moment."""
    return {file["path"]: file["hash"] for file in client.get(FILES).json()["files"]}


def test_a_job_renders_the_files_of_its_submission(farm: Farm, ann: httpx.Client) -> None:
    send(ann, "demo/wood.png", b"oak")
    send(ann, "demo/old.png", b"old")
    first = now(ann)
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    # What comes afterwards, before any runner has started.
    send(ann, "demo/wood.png", b"pine")
    send(ann, "demo/new.png", b"new")
    remove(ann, "demo/old.png", "demo/never.png")
    second = now(ann)
    assert second.keys() == {"demo/scene.blend", "demo/wood.png", "demo/new.png"}
    runner = FakeRunner(farm)
    assert staged(runner) == first
    for blob in first.values():
        assert runner.http.get(f"/v1/runner/blobs/{blob}").status_code == 200
    for path in ("demo/wood.png", "demo/new.png"):
        assert runner.http.get(f"/v1/runner/blobs/{second[path]}").status_code == 404
    ann.post(f"/v1/jobs/{job_of(ann)['id']}/stop").raise_for_status()
    assert runner.claim() == []
    # A submission without upload takes what the project has.
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    runner = FakeRunner(farm, 2)
    assert staged(runner) == second
    assert runner.http.get(f"/v1/runner/blobs/{first['demo/old.png']}").status_code == 404


def revision(answer: httpx.Response) -> tuple[int, int]:
    told = answer.raise_for_status().json()
    return told["revision"], told["changes"]


def test_a_submission_can_insist_on_a_revision(farm: Farm, ann: httpx.Client) -> None:
    scene, wood = (
        send(ann, "demo/scene.blend", b"BLENDER-v304 later"),
        send(ann, "demo/wood.png", b"oak"),
    )
    last, changes = revision(ann.put(FILES, json={"files": [scene, wood]}))
    assert changes == 0  # It has these already.
    pine = send(ann, "demo/wood.png", b"pine")
    assert revision(ann.put(FILES, json={"files": [pine]})) == (last + 1, 0)
    stale = spec() | {"revision": last}
    refused = ann.post("/v1/submissions", json=stale)
    assert (refused.status_code, refused.json()["code"]) == (412, "project_changed")
    assert not refused.json()["retry"]
    assert revision(ann.put(FILES, json={"files": [wood]})) == (last + 2, 1)
    accepted = spec() | {"revision": last + 2}
    ann.post("/v1/submissions", json=accepted).raise_for_status()
    # Each of these counts, but an answer that was lost can still be requested again.
    assert revision(ann.post(f"{FILES}/remove", json={"paths": ["demo/wood.png"]})) == (last + 3, 1)
    assert revision(ann.post(f"{FILES}/remove", json={"paths": ["demo/wood.png"]})) == (last + 3, 0)
    ann.post("/v1/submissions", json=accepted).raise_for_status()
    assert len(ann.get("/v1/jobs").json()["jobs"]) == 1


def test_a_large_update_counts_its_own_changes(
    ann: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.db.manifests.WRITTEN_BYTES", 1)
    scene = send(ann, "demo/scene.blend", b"BLENDER-v304 later")
    last, _ = revision(ann.put(FILES, json={"files": [scene]}))
    copies = [scene | {"path": f"demo/{number}.blend"} for number in range(3)]
    assert revision(ann.put(FILES, json={"files": copies})) == (last + 3, 3)
    paths = [str(each["path"]) for each in copies]
    assert revision(ann.post(f"{FILES}/remove", json={"paths": paths})) == (last + 6, 3)


def test_a_file_that_was_removed_makes_room_for_a_folder(farm: Farm, ann: httpx.Client) -> None:
    made = send(ann, "demo/textures", b"one")
    inside = {"files": [made | {"path": "demo/textures/wood.png"}]}
    assert ann.put(FILES, json=inside).status_code == 400
    remove(ann, "demo/textures")
    assert ann.put(FILES, json=inside).status_code == 200


def test_files_of_others_and_of_no_project_are_not_removed(farm: Farm, ann: httpx.Client) -> None:
    remove(farm.user("bob@example.com"), "demo/scene.blend")
    assert now(ann).keys() == {"demo/scene.blend"}
    refused = ann.post(f"{FILES}/remove", json={"paths": ["demo/../scene.blend"]})
    assert refused.status_code == 400


def test_what_lies_in_a_folder_comes_in_pages(
    farm: Farm, ann: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "PAGE", 2)
    inside = ["demo/a/Z", "demo/a/b/c", "demo/a/z", "demo/a/ä", "demo/a/\U0001f600"]
    for path in [*inside, "demo/A/x", "demo/a.png", "demo/a0", "demo/aa/x", "demo/á"]:
        send(ann, path, b"x")
    found: list[str] = []
    more = True
    while more:
        asked = {"folder": "demo/a", "after": found[-1] if found else ""}
        answer = ann.get(FILES, params=asked).raise_for_status().json()
        found += [file["path"] for file in answer["files"]]
        more = answer["more"]
    assert found == inside


@pytest.mark.parametrize("seed", range(5))
def test_every_submission_keeps_its_files(farm: Farm, ann: httpx.Client, seed: int) -> None:
    chance = random.Random(seed)
    paths = [f"demo/f{number}" for number in range(6)]
    made = {text: send(ann, f"demo/{text}", text.encode()) for text in ("x", "y", "z")}
    has = now(ann)
    then: dict[str, dict[str, str]] = {}
    for _ in range(60):
        some = chance.sample(paths, chance.randrange(1, 4))
        match chance.randrange(4):
            case 0 | 1:
                put = [made[chance.choice("xyz")] | {"path": path} for path in some]
                ann.put(FILES, json={"files": put}).raise_for_status()
                has |= {str(each["path"]): str(each["hash"]) for each in put}
            case 2:
                remove(ann, *some)
                has = {path: blob for path, blob in has.items() if path not in some}
            case _:
                body = spec()
                ann.post("/v1/submissions", json=body).raise_for_status()
                then[body["id"]] = dict(has)
    assert now(ann) == has
    with farm.database.read() as connection:
        for row in connection.execute(select(submissions)):
            found = manifests.entries(connection, row.project_id, row.snapshot)
            assert {file.path: file.hash for file in found} == then[row.id]
            (job,) = connection.execute(
                select(jobs.c.id).where(jobs.c.submission_id == row.id)
            ).scalars()
            blobs = {str(each["hash"]) for each in made.values()}
            its = manifests.blobs_of_job(connection, job, blobs)
            assert its == blobs & set(then[row.id].values())


def test_what_no_submission_has_is_not_kept(farm: Farm, ann: httpx.Client) -> None:
    def kept() -> int:
        with farm.database.read() as connection:
            return connection.execute(
                select(func.count()).select_from(replaced_entries)
            ).scalar_one()

    for number in range(5):
        send(ann, "demo/wood.png", b"%d" % number)
    assert kept() == 0
    for _ in range(3):
        ann.post("/v1/submissions", json=spec()).raise_for_status()
        send(ann, "demo/wood.png", b"4")  # As it is.
    assert kept() == 0
    send(ann, "demo/wood.png", b"5")
    assert kept() == 1


def test_lines_that_are_kept_count_for_the_quota(farm: Farm, ann: httpx.Client) -> None:
    def stored() -> int:
        with farm.database.read() as connection:
            return int(connection.execute(select(accounts.c.stored_bytes)).scalar_one())

    long = "demo/" + "x" * 200
    send(ann, "demo/empty", b"")  # Its blob is there from now on.
    before = stored()
    send(ann, long, b"")
    line = stored() - before
    assert line > len(long)
    remove(ann, long)
    assert stored() == before
    send(ann, long, b"")
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    before = stored()
    remove(ann, long)
    assert stored() == before  # The submission has it.
    send(ann, long, b"")
    assert stored() == before + line


def test_paths_that_an_older_farm_has_stored_are_read_and_can_be_removed(
    farm: Farm, ann: httpx.Client
) -> None:
    """Up to 4,096 bytes, of any depth. PostgreSQL could not store the longest at any time."""
    deep = "demo/" + "/".join("d" * (MAX_SEGMENTS + 1))
    older = [deep]
    if not farm.database.on_server:
        older.append("demo/" + "/".join(["x" * 200] * 20))
        assert MAX_PATH_BYTES < len(older[1]) <= 4096
    with farm.database.write() as connection:
        (line,) = connection.execute(select(manifest_entries)).mappings()
        connection.execute(insert(manifest_entries), [{**line, "path": path} for path in older])
    every = {"demo/scene.blend", *older}
    assert set(now(ann)) == every
    page = ann.get(FILES, params={"after": "", "folder": "demo"}).raise_for_status().json()
    assert {file["path"] for file in page["files"]} == every
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    job = FakeRunner(farm).http.get("/v1/runner/job").raise_for_status()
    assert {file.path for file in RunnerJob.model_validate_json(job.content).files} == every
    remove(ann, *older)
    assert set(now(ann)) == {"demo/scene.blend"}
