"""Files reach the farm, whatever happens on the way."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import envoy.upload.hash_cache
import envoy.upload.transfer
import pytest
from blake3 import blake3
from envoy_fake_farm import EMAIL, PASSWORD, Fault
from envoy_start import Start
from envoy_studio import Studio, until
from farm_protocol.hashing import hash_open

LARGE = 12_345
"""Bytes of a file that stands for a large one, where a test says so."""


async def test_only_what_is_missing_is_sent(studio: Studio) -> None:
    for number in range(30):
        studio.write(f"tex/{number}.png", f"texture {number % 10}".encode())
    await studio.submitted(project_files=_all(studio))
    assert studio.farm.count("PUT", "/v1/blobs") == 11  # 10 textures of 30 files, and the scene.
    studio.write("tex/3.png", b"changed")
    await studio.submitted(project_files=_all(studio))
    assert studio.farm.count("PUT", "/v1/blobs") == 12
    files = studio.farm.manifests[EMAIL, "demo"]
    assert len(files) == 31
    assert files["demo/tex/3.png"].hash == blake3(b"changed").hexdigest()


async def test_more_files_than_one_batch_holds(studio: Studio) -> None:
    for number in range(600):
        studio.write(f"tex/{number}.png", str(number).encode())
    await studio.submitted(project_files=_all(studio))
    assert len(studio.farm.manifests[EMAIL, "demo"]) == 601
    assert studio.farm.count("POST", "/v1/blobs/missing") == 2


async def test_a_file_that_was_just_written_is_read_each_time(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long it takes until Envoy reads it.
    monkeypatch.setattr("envoy.upload.hash_cache.SETTLED_SECONDS", 3600.0)
    now = time.time_ns()
    for content in (b"first", b"other"):
        path = studio.write("scene.blend", content)
        # As on a disk that counts time in large steps: the two look the same.
        os.utime(path, ns=(now, now))
        await studio.until_state(await studio.submit(), "submitted")
        sent = studio.farm.manifests[EMAIL, "demo"]["demo/scene.blend"].hash
        assert sent == blake3(content).hexdigest()


async def test_a_file_that_has_settled_is_read_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def noted(file: BinaryIO, *args: Any) -> tuple[str, int]:
        read.append(file.fileno())
        return hash_open(file, *args)

    monkeypatch.setattr("envoy.upload.hash_cache.hash_open", noted)
    path = studio.write("scene.blend")
    yesterday = time.time_ns() - 24 * 3600 * 10**9
    os.utime(path, ns=(yesterday, yesterday))
    for _ in range(2):
        await studio.until_state(await studio.submit(), "submitted")
    assert len(read) == 1
    path.write_bytes(b"other")
    await studio.until_state(await studio.submit(), "submitted")
    assert len(read) == 2


async def test_empty_and_large_files(studio: Studio) -> None:
    large = bytes(range(256)) * 4096 * 5
    studio.write("empty", b"")
    studio.write("large", large)
    await studio.submitted(project_files=_all(studio))
    files = studio.farm.manifests[EMAIL, "demo"]
    assert studio.farm.blobs[EMAIL, files["demo/large"].hash] == large
    assert files["demo/empty"].size == 0


@pytest.mark.parametrize("kind", ["drop", "internal", "storage_full", "too_many_attempts"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/blobs/missing"),
        ("PUT", "/v1/blobs/"),
        ("PUT", "/v1/projects/"),
        ("POST", "/v1/submissions"),
    ],
)
async def test_passing_trouble_only_delays(
    studio: Studio, method: str, path: str, kind: str
) -> None:
    studio.write("scene.blend")
    # A submission's check is asked for before the caller is answered: not repeated.
    skipped = [Fault("POST", "/v1/submissions/check", "pass")]
    studio.farm.faults = [*skipped, Fault(method, path, kind, 2)]
    await studio.until_state(await studio.submit(), "submitted")
    assert studio.farm.count(method, path) >= 3
    assert (await studio.activity())["waiting_for"] == ""


@pytest.mark.parametrize("code", ["storage_full", "quota_exceeded"])
@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/blobs/"), ("POST", "/v1/blobs/missing")])
async def test_what_it_waits_for_is_said(studio: Studio, code: str, method: str, path: str) -> None:
    studio.farm.faults = [Fault(method, path, code, 1000)]
    studio.write("scene.blend")
    submission_id = await studio.submit()

    async def said() -> object:
        return code in (await studio.activity())["waiting_for"]

    await until(said)
    status = (await studio.http.get("/project-status/demo")).json()
    assert status["State"] == "Uploading"
    assert code in status["Message"]
    studio.farm.faults.clear()
    await studio.until_state(submission_id, "submitted")


async def test_progress_is_told_while_it_happens(studio: Studio) -> None:
    studio.write("scene.blend", b"x" * 1000)
    studio.farm.faults = [Fault("PUT", "/v1/blobs/", "hold")]
    submission_id = await studio.submit()
    await asyncio.to_thread(studio.farm.held.wait, 10)
    status = (await studio.http.get("/project-status/demo")).json()
    assert (status["Code"], status["State"]) == (200, "Uploading")
    assert status["Message"] == "File uploads in progress."
    assert status["BytesTotal"] == 1000
    assert status["Details"]["/demo/scene.blend"]["State"] == "Uploading"
    assert (await studio.of(submission_id))["bytes_total"] == 1000
    projects = (await studio.http.get("/projects")).json()["projects"]
    assert projects[0]["name"] == "demo"
    studio.farm.released.set()
    await studio.until_state(submission_id, "submitted")


async def test_a_file_that_changes_while_it_is_sent_is_read_again(studio: Studio) -> None:
    path = studio.write("scene.blend", b"before")
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    submission_id = await studio.submit()
    await asyncio.to_thread(studio.farm.held.wait, 10)
    path.write_bytes(b"after!")
    studio.farm.released.set()
    await studio.until_state(submission_id, "submitted")
    file = studio.farm.manifests[EMAIL, "demo"]["demo/scene.blend"]
    assert file.hash == blake3(b"after!").hexdigest()


@pytest.mark.parametrize("data", [b"", b"longer than it was before"])
async def test_a_file_that_changes_its_size_while_it_is_sent_is_read_again(
    studio: Studio, data: bytes
) -> None:
    path = studio.write("scene.blend", b"before")
    twin = studio.write("a_twin.blend", b"before")
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    submission_id = await studio.submit(project_files=_all(studio))
    await asyncio.to_thread(studio.farm.held.wait, 10)
    path.write_bytes(data)
    studio.farm.released.set()
    row = await studio.until_state(submission_id, "submitted")
    files = studio.farm.manifests[EMAIL, "demo"]
    assert files["demo/scene.blend"].hash == blake3(data).hexdigest()
    assert files["demo/a_twin.blend"].hash == blake3(twin.read_bytes()).hexdigest()
    assert row["bytes_done"] == row["bytes_total"]


async def test_a_vanished_file_fails_its_submission_alone_and_is_named(studio: Studio) -> None:
    path = studio.write("scene.blend", b"going")
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    doomed = await studio.submit()
    await asyncio.to_thread(studio.farm.held.wait, 10)
    path.unlink()
    studio.farm.released.set()
    row = await studio.until_state(doomed, "failed")
    assert str(path) in row["message"]
    status = (await studio.http.get("/project-status/demo")).json()
    assert (status["State"], status["Message"]) == ("Failed", row["message"])
    await studio.submitted()


async def test_what_the_farm_refuses_in_the_end_fails_with_its_message(studio: Studio) -> None:
    studio.write("scene.blend")
    studio.farm.faults = [
        Fault("POST", "/v1/submissions/check", "pass"),
        Fault("POST", "/v1/submissions", "insufficient_credits", 1),
    ]
    row = await studio.until_state(await studio.submit(), "failed")
    assert "insufficient_credits" in row["message"]


async def test_a_lost_access_key_holds_everything_until_the_next_sign_in(studio: Studio) -> None:
    studio.write("scene.blend")
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    submission_id = await studio.submit()
    await asyncio.to_thread(studio.farm.held.wait, 10)
    studio.farm.keys[EMAIL] = "another key"
    studio.farm.released.set()

    async def said() -> object:
        return (await studio.activity())["waiting_for"].startswith("Sign in again")

    await until(said)
    assert (await studio.of(submission_id))["state"] == "uploading"
    assert (await studio.http.get("/credits-info")).status_code == 401
    await studio.sign_in()
    await studio.until_state(submission_id, "submitted")


async def test_another_account_does_not_get_this_ones_work(studio: Studio) -> None:
    studio.write("scene.blend")
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    submission_id = await studio.submit()
    await asyncio.to_thread(studio.farm.held.wait, 10)
    other = {"Username": "other@example.com", "AccessKey": "other"}
    assert (await studio.http.post("/auth", json=other)).status_code == 200
    studio.farm.released.set()

    async def said() -> object:
        return f"Sign in as {EMAIL}" in (await studio.activity())["waiting_for"]

    await until(said)
    assert {account for account, _ in studio.farm.blobs} <= {EMAIL}
    again = {"Username": EMAIL, "AccessKey": PASSWORD}
    assert (await studio.http.post("/auth", json=again)).status_code == 200
    await studio.until_state(submission_id, "submitted")


def _all(studio: Studio) -> dict[str, str]:
    return {"localRoot": str(studio.project), "remoteRoot": "/demo"}


async def test_large_files_hold_up_no_other_project(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy.upload.transfer, "LONG_SECONDS", 0.2)
    released, reading = threading.Event(), []

    def slowly(file: BinaryIO, size: int, moved: Callable[[], None]) -> tuple[str, int]:
        if size == LARGE:
            reading.append(file)
            while not released.wait(0.02):
                moved()
        return hash_open(file, size, moved)

    monkeypatch.setattr("envoy.upload.hash_cache.hash_open", slowly)
    studio = await start()
    await studio.sign_in()

    async def upload(name: str, size: int) -> None:
        folder = studio.root / name
        folder.mkdir()
        (folder / "file").write_bytes(bytes(size))
        group = {"localRoot": str(folder), "remoteRoot": f"/{name}"}
        assert (await studio.http.post("/upload", json={"upload": [group]})).is_success

    async def arrived(name: str) -> object:
        return (await studio.http.get(f"/project-status/{name}")).json()["State"] == "Completed"

    try:
        for name in ("large1", "large2"):
            await upload(name, LARGE)
        await until(lambda: len(reading) == 2)
        await upload("small", 5)
        await until(lambda: arrived("small"))
        assert not await arrived("large1")
    finally:
        released.set()
    await until(lambda: arrived("large1"))
