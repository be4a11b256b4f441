"""Blobs, manifests, and that nobody sees another's."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from farm.api import projects
from farm.db import accounts, manifests
from farm.db import projects as project_rows
from farm_protocol.files import FileEntry
from farm_protocol.hashing import new_hasher
from farm_protocol.paths import MAX_PATH_BYTES
from messages import says

from .conftest import Farm, send, spec


def digest(data: bytes) -> str:
    hasher = new_hasher()
    hasher.update(data)
    return hasher.hexdigest()


def test_only_missing_blobs_get_a_ticket(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/a.bin", b"one")
    wanted = [{"hash": digest(data), "size": len(data)} for data in (b"one", b"two", b"two")]
    tickets = ann.post("/v1/blobs/missing", json={"blobs": wanted}).json()["tickets"]
    assert [ticket["hash"] for ticket in tickets] == [digest(b"two")]
    ann.put(tickets[0]["url"], content=b"two").raise_for_status()
    assert ann.post("/v1/blobs/missing", json={"blobs": wanted}).json()["tickets"] == []


def test_files_of_a_project_come_in_pages(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "PAGE", 3)
    ann = farm.user("ann@example.com")
    names = [f"demo/{n}.bin" for n in range(7)]
    for name in names:
        send(ann, name, b"same")
    path, found, more = "/v1/projects/demo/files", list[str](), True
    while more:
        answer = ann.get(path, params={"after": found[-1] if found else ""}).json()
        assert len(answer["files"]) <= 3
        found += [each["path"] for each in answer["files"]]
        more = answer["more"]
    assert found == names
    # As an older Envoy asks.
    assert [each["path"] for each in ann.get(path).json()["files"]] == names
    assert ann.get("/v1/projects/unknown/files").json() == {"files": []}
    assert ann.get("/v1/projects/unknown/files?after=").json()["files"] == []


def test_bytes_are_not_believed(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    answer = ann.put(f"/v1/blobs/{digest(b'good')}", content=b"evil")
    assert (answer.status_code, answer.json()["code"]) == (422, "hash_mismatch")
    assert answer.json()["retry"] is True
    assert ann.get(f"/v1/blobs/{digest(b'good')}").status_code == 404
    assert not [each for each in (farm.data_dir / "blobs").rglob("*") if each.is_file()]


def test_a_file_may_be_larger_than_a_body(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    entry = send(ann, "demo/large.bin", bytes(65 << 20))
    assert int(ann.get(f"/v1/blobs/{entry['hash']}").headers["Content-Length"]) == entry["size"]


def test_blobs_come_back_whole_and_in_parts(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    entry = send(ann, "demo/a.bin", b"0123456789")
    assert ann.get(f"/v1/blobs/{entry['hash']}").content == b"0123456789"
    part = ann.get(f"/v1/blobs/{entry['hash']}", headers={"Range": "bytes=4-"})
    assert (part.status_code, part.content) == (206, b"456789")


def test_a_change_of_one_project_is_none_of_another(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "first/a.bin", b"one")
    send(ann, "second/a.bin", b"two")

    def updated() -> dict[str, str]:
        return {
            row["name"]: row["updated_at"] for row in ann.get("/v1/projects").json()["projects"]
        }

    before = updated()
    assert list(before) == ["second", "first"]  # The newest first.
    send(ann, "first/b.bin", b"three")
    assert list(updated()) == ["first", "second"]
    assert updated()["second"] == before["second"]
    assert updated()["first"] > before["first"]


def test_a_manifest_grows_and_replaces(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/a.bin", b"one")
    send(ann, "demo/b.bin", b"two")
    newer = send(ann, "demo/a.bin", b"three")
    files = ann.get("/v1/projects/demo/files").json()["files"]
    assert [file["path"] for file in files] == ["demo/a.bin", "demo/b.bin"]
    assert files[0]["hash"] == newer["hash"]
    assert ann.get("/v1/projects").json()["projects"][0]["num_files"] == 2
    assert ann.get("/v1/projects/nothing/files").json() == {"files": []}


@pytest.mark.parametrize(
    "path",
    ["demo/../x", "/etc/passwd", "other/a.bin", "demo", "demo/con", "demo/a\x00b", "demo/a:b"],
)
def test_unsafe_paths_never_enter_a_manifest(farm: Farm, path: str) -> None:
    ann = farm.user("ann@example.com")
    entry = send(ann, "demo/ok.bin", b"one") | {"path": path}
    answer = ann.put("/v1/projects/demo/files", json={"files": [entry]})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["files[0].path"]


def test_a_manifest_needs_its_bytes_first(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    entry = {"path": "demo/a.bin", "hash": digest(b"never sent"), "size": 10}
    answer = ann.put("/v1/projects/demo/files", json={"files": [entry]})
    assert list(answer.json()["errors"]) == ["files[0].hash"]


def test_a_stranger_sees_nothing(farm: Farm) -> None:
    ann, eve = farm.user("ann@example.com"), farm.user("eve@example.com")
    entry = send(ann, "demo/a.bin", b"secret")
    assert eve.get(f"/v1/blobs/{entry['hash']}").status_code == 404
    assert eve.get("/v1/projects/demo/files").json() == {"files": []}
    # Knowing the hash is not having the bytes.
    assert eve.put("/v1/projects/demo/files", json={"files": [entry]}).status_code == 400
    asked = {"blobs": [{"hash": entry["hash"], "size": entry["size"]}]}
    assert len(eve.post("/v1/blobs/missing", json=asked).json()["tickets"]) == 1


def test_login(farm: Farm) -> None:
    farm.user("ann@example.com", password="correct horse")
    nobody = farm.client()

    def login(email: str, secret: str) -> httpx.Response:
        return nobody.post("/v1/login", json={"email": email, "secret": secret, "label": "here"})

    good = login("Ann@Example.com", "correct horse")
    key = good.json()["access_key"]
    assert login("ann@example.com", key).json()["access_key"] == key
    info = farm.client(key).get("/v1/me").json()
    assert info["email_address"] == "ann@example.com"
    assert (info["credits_available"], info["credits_consumed"]) == (100.0, 0.0)
    wrong = [login("ann@example.com", "wrong"), login("who@example.com", "correct horse")]
    assert [answer.status_code for answer in wrong] == [401, 401]
    assert wrong[0].json() == wrong[1].json()
    # A new login from the same place replaces its key.
    assert login("ann@example.com", "correct horse").status_code == 200
    assert farm.client(key).get("/v1/me").status_code == 401


@pytest.mark.parametrize("path", ["/v1/me", "/v1/jobs", "/v1/changes", "/v1/runner/job"])
def test_no_key_no_answer(farm: Farm, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic x"}):
        answer = httpx.get(farm.url + path, headers=headers, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize(
    ("there", "new", "told"),
    [
        ([], ["demo/a", "demo/a/b"], ("demo/a", "demo/a/b")),
        ([], ["demo/a/b/c/d", "demo/x", "demo/a/b"], ("demo/a/b", "demo/a/b/c/d")),
        (["demo/a"], ["demo/x", "demo/a/b/c"], ("demo/a", "demo/a/b/c")),
        (["demo/a/b/c", "demo/z"], ["demo/x", "demo/a/b"], ("demo/a/b", "demo/a/b/c")),
        (["demo/a/b", "demo/a b", "demo/a0", "demo/a.b/c"], ["demo/a0b", "demo/a/c"], None),
        (["demo/a/b"], ["demo/a/b", "demo/ä", "demo/A"], None),
        (["demo/ä/%"], ["demo/ä"], ("demo/ä", "demo/ä/%")),
        (["demo/a_b/c"], ["demo/aäb", "demo/a%"], None),
    ],
)
def test_no_path_is_a_file_and_a_folder(
    farm: Farm, there: list[str], new: list[str], told: tuple[str, str] | None
) -> None:
    ann = farm.user("ann@example.com")
    for path in ["demo/other", *there]:
        entry = send(ann, path, b"x")
    # Those of another project are others.
    send(ann, "other/a", b"x")
    body = {"files": [entry | {"path": path} for path in new]}
    answer = ann.put("/v1/projects/demo/files", json=body)
    found = {each["path"] for each in ann.get("/v1/projects/demo/files").json()["files"]}
    if told is None:
        assert answer.status_code == 200
        assert found == {"demo/other", *there, *new}
        return
    assert answer.status_code == 400
    assert all(f"'{each}'" in answer.json()["message"] for each in told)
    assert found == {"demo/other", *there}


def test_very_many_folders_in_one_request_are_refused(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    entry = send(ann, "demo/x", b"x")
    paths = [f"demo/{n}{'/aaaaaa' * 250}" for n in range(150)]
    body = {"files": [entry | {"path": path} for path in paths]}
    assert says(
        ann.put("/v1/projects/demo/files", json=body).json()["message"],
        "too-many-folders",
    )


def added_elsewhere(farm: Farm, file: dict[str, Any]) -> None:
    """Add a file to Ann's project as another process would; this one's requests take turns."""
    with farm.database.write() as connection:
        ann = accounts.by_email(connection, "ann@example.com")
        assert ann is not None
        project = project_rows.ensure(connection, ann.id, "demo", datetime.now(UTC))
        manifests.add(connection, ann.id, project, [FileEntry(**file)])


def test_what_comes_while_one_looks_is_looked_at_too(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of the looking is done before the turn to write; another may have it in between."""
    ann = farm.user("ann@example.com")
    made = send(ann, "demo/scene.blend", b"one")
    look, looked, go_on = manifests.two_in_one, threading.Event(), threading.Event()

    def slow(*given: Any) -> tuple[str, str] | None:
        found = look(*given)
        if not looked.is_set():
            looked.set()
            assert go_on.wait(60)
        return found

    monkeypatch.setattr(manifests, "two_in_one", slow)
    address = "/v1/projects/demo/files"
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ann.put, address, json={"files": [made | {"path": "demo/a"}]})
        assert looked.wait(60)
        added_elsewhere(farm, made | {"path": "demo/a/b"})
        go_on.set()
        assert first.result().status_code == 400


def test_a_project_that_changes_all_the_time_is_looked_at_a_few_times(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never within the turn to write: the other change waits for that turn, and would for ever."""
    ann = farm.user("ann@example.com")
    made = send(ann, "demo/scene.blend", b"one")
    address, look, looks = "/v1/projects/demo/files", manifests.two_in_one, 0

    def changed_meanwhile(*given: Any) -> tuple[str, str] | None:
        nonlocal looks
        found = look(*given)
        if any("wanted" in path for path in given[2]):
            looks += 1
            with ThreadPoolExecutor(1) as pool:
                other = made | {"path": f"demo/other{looks}"}
                pool.submit(added_elsewhere, farm, other).result(10)
        return found

    monkeypatch.setattr(manifests, "two_in_one", changed_meanwhile)
    answer = ann.put(address, json={"files": [made | {"path": "demo/wanted"}]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.json()["retry"]
    assert looks == projects.MOST_LOOKS
    monkeypatch.setattr(manifests, "two_in_one", look)
    assert ann.put(address, json={"files": [made | {"path": "demo/wanted"}]}).status_code == 200
    assert len(ann.get(address).json()["files"]) == 2 + looks


def test_the_longest_path_is_stored_and_a_longer_one_refused(farm: Farm) -> None:
    """On both databases: an index of PostgreSQL takes 2,704 bytes, however they compress."""
    ann = farm.user("ann@example.com")
    made = send(ann, "demo/scene.blend", b"one")
    names = [random.Random(number).randbytes(100).hex() for number in range(9)]
    path = "/".join(["demo", *names])
    path += "/" + "x" * (MAX_PATH_BYTES - len(path) - 1)
    address = "/v1/projects/demo/files"
    assert ann.put(address, json={"files": [made | {"path": path}]}).status_code == 200
    longer = ann.put(address, json={"files": [made | {"path": f"{path}x"}]})
    assert longer.status_code == 400
    assert says(longer.json()["message"], "longer-than-bytes", 2000)


def test_an_output_folder_leaves_room_for_names(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    folder = "/".join(["demo", *["x" * 200] * 8, "y" * 131])
    assert len(folder) == MAX_PATH_BYTES - 256
    for asked, status in ((folder, 201), (f"{folder}y", 400)):
        answer = ann.post("/v1/submissions", json=spec() | {"output_folder": asked})
        assert answer.status_code == status, answer.text
    assert list(answer.json()["errors"]) == ["output_folder"]


def test_projects_come_in_pages(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.api.projects.MOST_PROJECTS", 2)
    ann, bob = farm.user("ann@example.com"), farm.user("bob@example.com")
    send(ann, "b/scene.blend", b"scene")
    for client, names in ((ann, ["ac", "d"]), (ann, "e"), (bob, "f")):
        for name in names:
            client.put(f"/v1/projects/{name}/files", json={"files": []}).raise_for_status()
    pages, after, more = [], "", True
    while more:
        answer = ann.get("/v1/projects", params={"after": after}).raise_for_status().json()
        pages.append([(row["name"], row["num_files"]) for row in answer["projects"]])
        after, more = answer["projects"][-1]["name"], answer["more"]
    assert pages == [[("ac", 0), ("b", 1)], [("d", 0), ("e", 0)]]
    # An Envoy that knows of no pages gets the newest.
    answer = ann.get("/v1/projects").json()
    assert [row["name"] for row in answer["projects"]] == ["e", "d"]
    assert answer["more"]
