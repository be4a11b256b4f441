"""A farm whose blobs are no files of its machine: everything works all the same."""

from pathlib import Path

import httpx
import pytest
from farm.db.engine.database import Database
from farm.stores.disk import DiskStore
from farm.stores.port import Store
from farm.submissions.missing_files import Mode
from memory_store import MemoryStore
from messages import says

from .conftest import Farm, send, spec
from .runners import FakeRunner

DATA = b"0123456789"


@pytest.fixture
def database_url() -> None:
    """None of this depends on the database: SQLite is enough."""


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, database: Database) -> Store:
    return MemoryStore() if request.param == "memory" else DiskStore(tmp_path / "blobs")


in_memory = pytest.mark.parametrize("store", ["memory"], indirect=True)


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    return farm.user("ann@example.com")


RANGES: list[tuple[str | None, int, bytes, str | None]] = [
    (None, 200, DATA, None),
    ("bytes=0-", 206, DATA, "bytes 0-9/10"),
    ("bytes=4-6", 206, b"456", "bytes 4-6/10"),
    ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
    ("bytes=4-99", 206, b"456789", "bytes 4-9/10"),
    ("bytes=-3", 206, b"789", "bytes 7-9/10"),
    ("bytes=-99", 206, DATA, "bytes 0-9/10"),
    ("bytes=10-", 416, b"", "bytes */10"),
    ("bytes=99-100", 416, b"", "bytes */10"),
    ("bytes=-0", 416, b"", "bytes */10"),
    # What is no range, or several: all of it.
    ("lines=1-2", 200, DATA, None),
    ("bytes=6-4", 200, DATA, None),
    ("bytes=-", 200, DATA, None),
    ("bytes=a-b", 200, DATA, None),
    ("bytes=", 200, DATA, None),
    ("bytes=0-1,4-5", 200, DATA, None),
    ("bytes=" + "0-," * 1000, 200, DATA, None),
]
"""What is asked for, the status, the bytes, and which ones they are said to be."""


@pytest.mark.parametrize("whose", ["a user's file", "a user's result", "a runner's file"])
def test_a_part_of_a_blob(farm: Farm, ann: httpx.Client, whose: str) -> None:
    """Every store and everybody who asks gets the same."""
    blob = send(ann, "demo/scene.blend", DATA)["hash"]
    client, address = ann, f"/v1/blobs/{blob}"
    if whose != "a user's file":
        ann.post("/v1/submissions", json=spec()).raise_for_status()
        runner = FakeRunner(farm)
        if whose == "a runner's file":
            client, address = runner.http, f"/v1/runner/blobs/{blob}"
        else:
            (frame, *_) = runner.claim()
            runner.done(frame, data=DATA).raise_for_status()
    for asked, status, content, said in RANGES:
        answer = client.get(address, headers={"Range": asked} if asked else {})
        assert (answer.status_code, answer.content) == (status, content), asked
        assert answer.headers["Content-Length"] == str(len(content)), asked
        assert answer.headers.get("Content-Range") == said, asked


def test_a_blob_whose_bytes_are_gone_is_an_error_that_says_so(
    ann: httpx.Client, store: Store
) -> None:
    blob = str(send(ann, "demo/a.bin", DATA)["hash"])
    for account in _accounts(store):
        store.delete(account, [blob])
    answer = ann.get(f"/v1/blobs/{blob}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert says(answer.json()["message"], "farms-store-lost-bytes-blob", blob)
    assert not answer.json()["retry"]


def _accounts(store: Store) -> list[str]:
    if isinstance(store, MemoryStore):
        return [account for account, _ in store.blobs]
    path = store.local_path("x", "x")
    assert path is not None
    return [each.name for each in path.parents[2].iterdir()]


def test_scenes_are_looked_into(ann: httpx.Client) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v405" + bytes(100))
    answer = ann.post("/v1/submissions", json=spec(app_version="3.4.1"))
    assert says(answer.json()["message"], "blender-older-than-scene", "4.5")


@pytest.mark.parametrize("missing_files", ["refuse"])
def test_missing_files_are_looked_for(ann: httpx.Client, scenes: Path, missing_files: Mode) -> None:
    send(ann, "demo/texture.blend", (scenes / "texture.blend").read_bytes())
    body = spec(path="demo/texture.blend")
    assert "textures/wood.png" in ann.post("/v1/submissions", json=body).json()["message"]
    send(ann, "demo/textures/wood.png", b"pixels")
    ann.post("/v1/submissions", json=body).raise_for_status()


@in_memory
def test_a_runner_gets_tickets_for_its_jobs_files_only(farm: Farm, ann: httpx.Client) -> None:
    scene = str(send(ann, "demo/scene.blend", b"BLENDER-v304")["hash"])
    other = str(send(ann, "other/scene.blend", b"BLENDER-v304 other")["hash"])
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    runner = FakeRunner(farm)
    assert runner.http.get("/v1/runner/job").json()["source"] == {"kind": "tickets"}

    def ask(*hashes: str) -> httpx.Response:
        return runner.http.post("/v1/runner/tickets", json={"hashes": hashes})

    assert ask(scene).json() == {"tickets": [{"hash": scene, "url": f"blobs/{scene}"}]}
    assert runner.http.get(f"/v1/runner/blobs/{scene}").content == b"BLENDER-v304"
    for wrong in (other, "0" * 64):
        answer = ask(scene, wrong)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert runner.http.get(f"/v1/runner/blobs/{wrong}").status_code == 404
    assert ask(*(f"{n:064x}" for n in range(501))).status_code == 400
    assert ask("../x").status_code == 400
    assert ask().json() == {"tickets": []}


@in_memory
def test_tickets_lead_elsewhere_where_the_store_gives_them(
    farm: Farm, ann: httpx.Client, store: MemoryStore
) -> None:
    scene = str(send(ann, "demo/scene.blend", b"BLENDER-v304")["hash"])
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    runner = FakeRunner(farm)
    with store.giving_tickets():
        asked = runner.http.post("/v1/runner/tickets", json={"hashes": [scene]})
        (ticket,) = asked.json()["tickets"]
        assert httpx.get(ticket["url"], timeout=60).content == b"BLENDER-v304"
