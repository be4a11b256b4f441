"""Runners that ask for much at once: many of one large job, or one that is hostile."""

import shutil
import socket
import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from select import select
from typing import Any

import pytest
from answers import heard, whole
from farm.api import runner_job
from farm.api.own_turns import RESULTS_AT_A_TIME
from farm.db import feed, job_rows, manifests, outputs
from farm.errors import StorageFullError, UnavailableError
from farm_protocol.files import KnownFile
from farm_protocol.runner import OutputFile
from messages import says

from .conftest import Farm, add_copies, send, spec
from .raw import posted
from .runners import FakeRunner, at_work

MANY = 60
"""More than the farm has threads."""


def ask(farm: Farm, runner: FakeRunner, what: str) -> socket.socket:
    if what == "tickets":
        return posted(farm.url, runner.http, "/v1/runner/tickets", {"hashes": ["0" * 64]})
    path = "/v1/runner/job" if what == "job" else f"/v1/runner/blobs/{'0' * 64}"
    return posted(farm.url, runner.http, path, "", "GET")


@pytest.mark.parametrize("what", ["job", "blob", "tickets"])
def test_what_runners_read_leaves_threads_for_everybody_else(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    runner = at_work(farm, farm.user("ann@example.com"))
    other = farm.user("bob@example.com")
    name = "portions" if what == "job" else "blobs_of_job"
    real = getattr(manifests, name)
    begun, release, calls = threading.Event(), threading.Event(), list[Any]()

    def slow(*given: Any) -> Any:
        calls.append(given)
        begun.set()
        assert release.wait(60)
        return real(*given)

    monkeypatch.setattr(manifests, name, slow)
    with ExitStack() as stack:
        stack.callback(release.set)
        sent = [stack.enter_context(ask(farm, runner, what)) for _ in range(MANY)]
        assert begun.wait(60)
        # Were there no thread left, this would wait for what waits for this.
        for _ in range(MANY):
            other.get("/v1/me").raise_for_status()
        assert len(calls) <= 2
        release.set()
        codes = {whole(each)[:12] for each in sent}
    assert codes == {b"HTTP/1.1 200" if what == "job" else b"HTTP/1.1 404"}
    if what == "job":
        assert len(calls) == 1  # One list for all of them.


FILES = 60_000


def read_list(runner: FakeRunner) -> tuple[int, int]:
    """Return the size of the list in bytes, and its pictures; it takes little memory."""
    size = count = 0
    tracemalloc.start()
    try:
        with runner.http.stream("GET", "/v1/runner/job", timeout=300) as answer:
            for part in answer.iter_raw():
                size += len(part)
                count += part.count(b'.png"')
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 100 * FILES
    assert most < 50 * FILES
    return size, count


def fits(read: tuple[int, int], most: int) -> bool:
    """Whether all files were listed: a name may lie in two parts."""
    size, count = read
    return FILES - size / 65_536 <= count <= most


def test_the_list_of_very_many_files_is_never_in_memory(farm: Farm) -> None:
    """Neither as rows nor as text, while it is made and while it is sent."""
    ann = farm.user("ann@example.com")
    known = send(ann, "demo/scene.blend", b"BLENDER-v304")
    add_copies(farm, known, (f"demo/t/{number:07}.png" for number in range(FILES)))
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    runner = FakeRunner(farm)
    assert fits(read_list(runner), FILES)


def test_the_list_of_very_many_results_is_never_in_memory(farm: Farm) -> None:
    """Those of a job that the runner's job depends on."""
    ann = farm.user("ann@example.com")
    known = send(ann, "demo/scene.blend", b"BLENDER-v304")
    body = spec(instances=1, params={"frames": "1"})
    first = body["jobs"][0]
    body["jobs"].append(
        first | {"id": "j2", "name": "next", "params": {"frames": "2"}, "dependencies": ["j1"]}
    )
    ann.post("/v1/submissions", json=body).raise_for_status()
    ids = {job["name"]: job["id"] for job in ann.get("/v1/jobs").json()["jobs"]}
    maker = FakeRunner(farm)
    maker.claim()

    def deliver(names: range) -> None:
        files = [
            OutputFile(path=f"demo/render_results/out/{n:07}.png", hash=known["hash"], size=12)
            for n in names
        ]
        with farm.database.write() as connection:
            row = job_rows.row(connection, ids["beauty"])
            outputs.store(
                connection,
                job_id=row.id,
                submission_id=row.submission_id,
                account_id=row.account_id,
                frame=1,
                files=files,
                now=datetime.now(UTC),
            )
            feed.outputs_changed(connection, row.account_id, row.id, [each.path for each in files])

    deliver(range(FILES))
    maker.done(1)
    maker.finish()
    runner = FakeRunner(farm, 2)
    assert fits(read_list(runner), FILES + 1)
    # What is new is in the next list.
    deliver(range(FILES, FILES + 1))
    told = {file["path"] for file in runner.http.get("/v1/runner/job").json()["files"]}
    assert len(told) == FILES + 3


def test_a_farm_that_ends_makes_no_list_to_its_end() -> None:
    made: list[int] = []

    def make() -> Iterator[list[KnownFile]]:
        for number in range(1000):
            made.append(number)
            yield []

    with pytest.raises(UnavailableError):
        runner_job.FileLists().of("a", make, lambda: len(made) > 3)
    assert len(made) == 4


def test_a_long_list_leaves_the_disk_what_jobs_need(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_job, "_IN_MEMORY_BYTES", 2000)
    monkeypatch.setattr(runner_job, "REFUSED_SECONDS", 0.0)
    ann = farm.user("ann@example.com")
    runner = at_work(farm, ann)
    # Jobs stand still below three quarters of the reserve, and this is not far from it.
    farm.room._given = shutil.disk_usage(farm.data_dir).free * 5 // 4
    runner.http.get("/v1/runner/job").raise_for_status()  # A short one is in memory.
    farm.room._given = 0
    for number in range(20):
        send(ann, f"demo/textures/{number}.png", b"oak")
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    second = FakeRunner(farm, 2)
    farm.room._given = shutil.disk_usage(farm.data_dir).free * 5 // 4
    refused = second.http.get("/v1/runner/job")
    assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
    said = [job["message"] for job in ann.get("/v1/jobs").json()["jobs"]]
    assert sum(says(each, "no-room-farms-disk-list") for each in said) == 1
    farm.room._given = 0
    assert len(second.http.get("/v1/runner/job").raise_for_status().json()["files"]) == 21


def test_a_list_without_room_is_not_made_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_job, "_IN_MEMORY_BYTES", 0)
    tried: list[int] = []

    def full(size: int) -> None:
        tried.append(size)
        raise StorageFullError("x1")

    lists = runner_job.FileLists(may_grow=full)
    for _ in range(3):
        with pytest.raises(StorageFullError, match="x1"):
            lists.of("a", lambda: [[KnownFile(path="a/b", hash="0" * 64, size=1)]])
    assert len(tried) == 1


def test_a_list_that_nobody_asks_for_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_job, "KEPT_SECONDS", 0.2)
    lists = runner_job.FileLists()
    gone = [threading.Event(), threading.Event()]
    for key, each in zip("ab", gone, strict=True):
        weakref.finalize(lists.of(key, lambda: [[]]), each.set)
    assert all(each.wait(60) for each in gone)


def test_lists_that_are_kept_have_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_job, "MOST_BYTES", 3)
    lists = runner_job.FileLists()
    made: list[str] = []

    def get(key: str) -> bytes:
        def make() -> list[list[KnownFile]]:
            made.append(key)
            return []

        return lists.of(key, make).part(0)

    for key in ("a", "a", "b", "b", "a"):
        assert get(key) == b"[]"
    assert made == ["a", "b", "a"]


def test_few_reports_of_a_runner_wait_for_each_other(farm: Farm) -> None:
    """Each waits as it was parsed; an honest runner sends one of its frames and its log."""
    runner = at_work(farm, farm.user("ann@example.com"))
    body = {"frame": 1, "seconds": 0, "outputs": [{"path": "a", "hash": "0" * 64, "size": 1}]}
    path = f"/v1/runner/claims/{runner.claim_id}/frames"
    with ExitStack() as stack:
        with farm.database.write():
            sent = [
                stack.enter_context(posted(farm.url, runner.http, path, body))
                for _ in range(1 + RESULTS_AT_A_TIME + 3)
            ]
            refused = 0
            while refused < 3:
                answered = select(sent, [], [])[0]
                sent = [each for each in sent if each not in answered]
                for each in answered:
                    assert heard(each, b'"retry":true').startswith(b"HTTP/1.1 503 ")
                    refused += 1
        for each in sent:
            assert heard(each, b"invalid_request").startswith(b"HTTP/1.1 400 ")
