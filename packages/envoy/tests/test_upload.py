"""Files reach the farm, whatever happens on the way."""

import threading
from collections.abc import Callable
from typing import BinaryIO

import envoy.upload.hash_cache
import envoy.upload.transfer
import pytest
from blake3 import blake3
from envoy.process.status_messages import Reason
from envoy_fake_farm import EMAIL, PASSWORD
from envoy_faults import Fault
from envoy_start import Start
from envoy_studio import Studio, until
from farm_protocol.hashing import hash_open
from messages import says

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


@pytest.mark.parametrize(
    ("sizes", "most_files", "most_bytes", "batches"),
    [
        ([1, 1, 1, 1, 1], 2, 1000, 3),
        ([1, 1, 1, 1], 2, 1000, 2),
        ([4, 6, 9, 1, 5], 1000, 10, 3),
        ([10, 10], 1000, 10, 2),
        ([11, 1], 1000, 10, 2),
    ],
)
async def test_a_batch_ends_with_the_file_that_fills_it(
    studio: Studio,
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    most_files: int,
    most_bytes: int,
    batches: int,
) -> None:
    monkeypatch.setattr("envoy.upload.transfer.BATCH_FILES", most_files)
    monkeypatch.setattr("envoy.upload.transfer.BATCH_BYTES", most_bytes)
    files = [*(f"f{number}.png" for number in range(len(sizes) - 1)), "scene.blend"]
    for number, (name, size) in enumerate(zip(files, sizes, strict=True)):
        studio.write(name, bytes([number]) * size)
    await studio.until_state(await studio.submit(files), "submitted")
    assert studio.farm.count("POST", "/v1/blobs/missing") == batches


async def test_an_upload_of_nothing_is_done(studio: Studio) -> None:
    nothing = studio.body()["project_files"] | {"files": []}
    answer = await studio.http.post("/upload", json={"upload": [nothing]})
    assert answer.status_code == 200, answer.text

    async def done() -> object:
        return (await studio.http.get("/project-status/demo")).json()["State"] == "Completed"

    await until(done)


async def test_a_file_that_does_not_hold_still_is_given_up(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envoy.upload.transfer.MOST_CHANGES", 2)
    path = studio.write("scene.blend")
    studio.farm.faults = [Fault("PUT", "/v1/blobs/", "hash_mismatch", 10**9)]
    row = await studio.until_state(await studio.submit(), "failed")
    assert str(path) in row["message"]
    assert studio.farm.count("PUT", "/v1/blobs/") == 3
    studio.farm.faults = [Fault("PUT", "/v1/blobs/", "hash_mismatch", 2)]
    await studio.submitted()


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


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("drop", Reason.FARM_UNREACHABLE), ("internal", Reason.FARM_TROUBLE)],
)
async def test_a_farm_in_trouble_is_a_reason_to_wait(
    studio: Studio, kind: str, reason: Reason
) -> None:
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", kind, 10**9)]
    studio.write("scene.blend")
    submission_id = await studio.submit()

    async def said() -> object:
        return (await studio.activity())["waits_for"] == reason

    await until(said)
    progress = (await studio.http.get("/envoy/projects/demo/progress")).json()
    assert (progress["state"], progress["reason"]) == ("uploading", reason)
    studio.farm.faults.clear()
    sent = await studio.until_state(submission_id, "submitted")
    assert (sent["reason"], (await studio.activity())["waits_for"]) == (Reason.NONE, Reason.NONE)


@pytest.mark.parametrize("code", ["storage_full", "quota_exceeded"])
@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/blobs/"), ("POST", "/v1/blobs/missing")])
async def test_what_it_waits_for_is_said(studio: Studio, code: str, method: str, path: str) -> None:
    studio.farm.faults = [Fault(method, path, code, 1000)]
    studio.write("scene.blend")
    submission_id = await studio.submit()

    async def said() -> object:
        return code in (await studio.activity())["waiting_for"]

    await until(said)
    reasons = {"storage_full": Reason.DISK, "quota_exceeded": Reason.STORAGE}
    assert (await studio.activity())["waits_for"] == reasons[code]
    status = (await studio.http.get("/project-status/demo")).json()
    assert status["State"] == "Uploading"
    assert code in status["Message"]
    studio.farm.faults.clear()
    await studio.until_state(submission_id, "submitted")


async def test_progress_is_told_while_it_happens(studio: Studio) -> None:
    studio.write("scene.blend", b"x" * 1000)
    studio.farm.faults = [Fault("PUT", "/v1/blobs/", "hold")]
    submission_id = await studio.submit()
    await until(studio.farm.held.is_set)
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


async def test_a_file_is_complete_as_soon_as_the_farm_has_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envoy.upload.transfer.BATCH_FILES", 1)
    await studio.submitted()
    studio.write("a.png", b"first")
    studio.write("b.png", (studio.project / "scene.blend").read_bytes())  # It has that.
    studio.write("scene.blend", b"second")
    studio.farm.faults = [
        Fault("POST", "/v1/blobs/missing", "pass", 3),
        Fault("POST", "/v1/blobs/missing", "hold"),
        Fault("PUT", "/v1/blobs/", "pass"),
        Fault("PUT", "/v1/blobs/", "hash_mismatch"),
    ]
    submission_id = await studio.submit(["a.png", "b.png", "scene.blend"])
    await until(studio.farm.held.is_set)
    # The last is asked for anew, since its bytes were others.
    files = (await studio.http.get("/project-status/demo")).json()["Details"]
    states = {name: each["State"] for name, each in files.items()}
    assert states == {
        "/demo/a.png": "Completed",
        "/demo/b.png": "Completed",
        "/demo/scene.blend": "Uploading",
    }
    studio.farm.released.set()
    await studio.until_state(submission_id, "submitted")


async def test_a_file_that_changes_while_it_is_sent_is_read_again(studio: Studio) -> None:
    path = studio.write("scene.blend", b"before")
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    submission_id = await studio.submit()
    await until(studio.farm.held.is_set)
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
    await until(studio.farm.held.is_set)
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
    await until(studio.farm.held.is_set)
    path.unlink()
    studio.farm.released.set()
    row = await studio.until_state(doomed, "failed")
    assert str(path) in row["message"]
    assert row["reason"] == Reason.LOCAL_FILE
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
    assert row["reason"] == Reason.REFUSED
    progress = (await studio.http.get("/envoy/projects/demo/progress")).json()
    assert (progress["state"], progress["reason"]) == ("failed", Reason.REFUSED)
    assert [job["reason"] for job in progress["jobs"]] == [Reason.REFUSED]


async def test_a_lost_access_key_holds_everything_until_the_next_sign_in(studio: Studio) -> None:
    studio.write("scene.blend")
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    submission_id = await studio.submit()
    await until(studio.farm.held.is_set)
    studio.farm.keys[EMAIL] = "another key"
    studio.farm.released.set()

    async def said() -> object:
        return says((await studio.activity())["waiting_for"], "sign-in-again")

    await until(said)
    assert (await studio.activity())["waits_for"] == Reason.SIGN_IN
    assert (await studio.of(submission_id))["state"] == "uploading"
    assert (await studio.http.get("/credits-info")).status_code == 401
    await studio.sign_in()
    await studio.until_state(submission_id, "submitted")


async def test_another_account_does_not_get_this_ones_work(studio: Studio) -> None:
    studio.write("scene.blend")
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    submission_id = await studio.submit()
    await until(studio.farm.held.is_set)
    other = {"Username": "other@example.com", "AccessKey": "other"}
    assert (await studio.http.post("/auth", json=other)).status_code == 200
    studio.farm.released.set()

    async def said() -> object:
        return says((await studio.activity())["waiting_for"], "sign-continue-uploads", EMAIL)

    await until(said)
    assert (await studio.activity())["waits_for"] == Reason.OTHER_ACCOUNT
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
