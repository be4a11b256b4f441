"""One account that lets the farm look for missing files without an end."""

import gc
import json
import queue
import threading
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, Any

import httpx
import pytest
from farm.db import manifests, projects
from farm.db.tables import accounts
from farm.scenes import blend_assets, traces
from farm.scenes.blend_assets import AssetKind, Lacks, MissingAsset
from farm.submissions import missing_files as looks
from farm.submissions.project_files import ProjectFiles
from farm_protocol.jobs import JobSpec
from sqlalchemy import select

from .conftest import Farm, add_copies, send, spec
from .runners import job_of, wait_for

CHECKS = 20


@pytest.fixture
def database_url() -> None:
    """None of this depends on the database: SQLite is enough."""


class Looks:
    """Stands in for what reads manifests or scenes: waits until it may.

    Attributes:
        asked: how often it was called.
        busy: how many threads are in it, and how many were at most.
    """

    def __init__(self) -> None:
        self.go, self.entered = threading.Event(), threading.Semaphore(0)
        self.asked = self.busy = self.most = 0
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._lock:
            self.asked += 1
            self.busy += 1
            self.most = max(self.most, self.busy)
        self.entered.release()
        assert self.go.wait(60)
        yield
        with self._lock:
            self.busy -= 1


def asset_threads() -> int:
    return sum(each.name == "assets" for each in threading.enumerate())


@pytest.mark.parametrize("missing_files", ["warn"])
def test_checks_leave_one_look_at_work_and_one_waiting(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy, other = farm.user("greedy@example.com"), farm.user("ann@example.com")
    for each in (greedy, other):
        send(each, "demo/scene.blend", b"BLENDER-v304")
    reads, read = Looks(), manifests.hashes

    def slow(*args: object) -> list[tuple[str, str]]:
        with reads.one():
            return read(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(manifests, "hashes", slow)
    monkeypatch.setattr(traces, "missing_assets", lambda *_, **__: Lacks([lost()]))
    before = asset_threads()
    for _ in range(CHECKS):
        greedy.post("/v1/submissions/check", json=spec()).raise_for_status()
    assert reads.entered.acquire(timeout=60)
    assert asset_threads() <= before + 1
    # Another account's turn is next, whatever waits of the first.
    other.post("/v1/submissions", json=spec()).raise_for_status()
    reads.go.set()
    wait_for(other, lambda job: job["warnings"] != [])
    assert reads.most == 1
    # Both manifests, and the first again if a submission had touched its project meanwhile.
    assert reads.asked <= 3


def lost() -> MissingAsset:
    return MissingAsset("//a.png", "demo/scene.blend", AssetKind.IMAGE, "x", "demo/a.png", None)


@pytest.mark.parametrize("missing_files", ["warn"])
def test_scenes_that_wait_keep_nobody_elses_waiting(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy, other = farm.user("greedy@example.com"), farm.user("ann@example.com")
    tracing = Looks()

    def slow(*_: object, **__: object) -> Lacks:
        with tracing.one():
            return Lacks([lost()])

    monkeypatch.setattr(traces, "missing_assets", slow)
    names = []
    for number in range(traces.MOST_VERSIONS + 4):
        send(greedy, "demo/scene.blend", b"BLENDER-v304 %d" % number)
        body = spec()
        submitted = greedy.post("/v1/submissions", json=body).raise_for_status().json()
        names.append(submitted["jobs"][0]["id"])
        if number < 2:
            # Two are at work; what follows waits.
            assert tracing.entered.acquire(timeout=60)
    # What waited for longest is told that nobody looks.
    wait_for(greedy, lambda _: greedy.get(f"/v1/jobs/{names[2]}").json()["warnings"] != [])
    send(other, "demo/scene.blend", b"BLENDER-v304 of another")
    other.post("/v1/submissions", json=spec()).raise_for_status()
    tracing.go.set()
    wait_for(other, lambda job: job["warnings"] != [])
    assert tracing.most <= 3


@pytest.mark.parametrize("missing_files", ["refuse"])
def test_a_submission_does_not_wait_for_its_look_without_an_end(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracing = Looks()

    def slow(*_: object, **__: object) -> Lacks:
        with tracing.one():
            return Lacks([])

    monkeypatch.setattr(traces, "missing_assets", slow)
    monkeypatch.setattr(looks, "LONGEST_WAIT", 0.1)
    body = spec()
    answer: httpx.Response = ann.post("/v1/submissions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.json()["retry"]
    tracing.go.set()
    monkeypatch.setattr(looks, "LONGEST_WAIT", 20.0)
    ann.post("/v1/submissions", json=body).raise_for_status()
    assert tracing.asked == 1
    assert job_of(ann)["state"] == "ready"


@pytest.mark.parametrize("missing_files", ["warn"])
def test_what_waits_keeps_nothing_of_a_submission_but_paths(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parameters may be megabytes, and any number of submissions may wait for one scene."""
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    tracing, reads, read = Looks(), Looks(), manifests.hashes

    def slow(*_: object, **__: object) -> Lacks:
        with tracing.one():
            return Lacks([lost()])

    def slow_reading(*args: object) -> list[tuple[str, str]]:
        with reads.one():
            return read(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(traces, "missing_assets", slow)
    monkeypatch.setattr(manifests, "hashes", slow_reading)

    def kept() -> int:
        gc.collect()
        return sum(type(each) is JobSpec for each in gc.get_objects())

    before = kept()
    for _ in range(3):
        ann.post("/v1/submissions", json=spec()).raise_for_status()
        ann.post("/v1/submissions/check", json=spec()).raise_for_status()
    assert reads.entered.acquire(timeout=60)
    ann.get("/v1/me").raise_for_status()  # The requests before it are forgotten.
    assert kept() <= before
    reads.go.set()
    assert tracing.entered.acquire(timeout=60)
    assert kept() <= before
    tracing.go.set()
    wait_for(ann, lambda job: job["warnings"] != [])


FILES = 60_000


@pytest.mark.parametrize("missing_files", ["warn"])
def test_the_files_of_a_large_project_are_never_all_in_memory(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to know whether anything has changed, nor to ask the reader of scenes."""
    ann = farm.user("ann@example.com")
    known = send(ann, "demo/scene.blend", b"BLENDER-v304")
    add_copies(farm, known, (f"demo/t/Wood{number:07}.png" for number in range(FILES)))
    asked: list[int] = []

    def trace(line: object, question: IO[bytes], output: IO[bytes], *_: object) -> None:
        asked.append(sum(part.count(b"\0") for part in iter(lambda: question.read(65_536), b"")))
        output.write(json.dumps(asdict(Lacks([lost()]))).encode())

    monkeypatch.setattr(blend_assets, "_trace", trace)
    tracemalloc.start()
    try:
        ann.post("/v1/submissions", json=spec()).raise_for_status()
        wait_for(ann, lambda job: job["warnings"] != [])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert asked == [FILES + 1]
    # Whatever else this process does counts, too. A path and a hash alone are 200 bytes.
    assert most < 100 * FILES


def test_files_that_are_still_to_be_sent_are_among_a_projects(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    sent = {
        path: send(ann, path, path.encode())["hash"] for path in ("demo/b", "demo/d", "demo/\u00e9")
    }
    with farm.database.read() as connection:
        account = connection.execute(select(accounts.c.id)).scalar_one()
        project = projects.find(connection, account, "demo")
    assert project is not None
    pending = frozenset(("demo/a", "demo/d", "demo/z"))
    files = ProjectFiles(farm.database, project.id, pending)
    assert list(files.items()) == sorted(({each: "" for each in pending} | sent).items())
    assert list(files) == sorted(pending | sent.keys())
    assert len(files) == 5
    assert files["demo/d"] == sent["demo/d"]
    assert files["demo/z"] == ""
    assert "demo/c" not in files


class Gates:
    """Stands in for what reads scenes: waits with each until it may go on.

    Attributes:
        asked: the scenes that are to be read, in their order.
        entered: those that are read.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: queue.Queue[str] = queue.Queue()
        self.entered: queue.Queue[str] = queue.Queue()
        ask = traces.Traces.ask

        def noted(made: traces.Traces, scene: str, *rest: Any) -> "Future[traces.Traced]":
            answer = ask(made, scene, *rest)
            self.asked.put(scene)
            return answer

        monkeypatch.setattr(traces.Traces, "ask", noted)
        monkeypatch.setattr(traces, "missing_assets", self)
        self._gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    def __call__(self, scene: str, *_: object, **__: object) -> Lacks:
        self.entered.put(scene)
        assert self._gates[scene].wait(60)
        return Lacks([lost()])

    def open(self, *scenes: str) -> None:
        for scene in scenes:
            self._gates[scene].set()


def submit(user: httpx.Client, name: str) -> None:
    send(user, f"{name}/scene.blend", b"BLENDER-v304 of %s" % name.encode())
    body = spec(path=f"{name}/scene.blend")
    body |= {"project": name, "output_folder": f"{name}/out"}
    user.post("/v1/submissions", json=body).raise_for_status()


@pytest.mark.parametrize("missing_files", ["warn"])
def test_one_account_never_has_all_readers(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    gates = Gates(monkeypatch)
    greedy, other = farm.user("greedy@example.com"), farm.user("ann@example.com")
    for name in ("g1", "g2", "g3"):
        submit(greedy, name)
    assert [gates.entered.get(timeout=60) for _ in range(2)] == ["g1/scene.blend", "g2/scene.blend"]
    submit(other, "a1")
    # All that the first is still waiting for goes on waiting.
    assert gates.entered.get(timeout=60) == "a1/scene.blend"
    gates.open("a1/scene.blend")
    wait_for(other, lambda job: job["warnings"] != [])
    assert gates.entered.empty()
    gates.open("g1/scene.blend", "g2/scene.blend", "g3/scene.blend")
    wait_for(greedy, lambda job: job["warnings"] != [])


@pytest.mark.parametrize("missing_files", ["warn"])
def test_whose_scenes_took_least_time_is_next(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    gates = Gates(monkeypatch)
    users = [farm.user(f"{each}@example.com") for each in ("one", "two", "ann")]
    for user, name in ((users[0], "g1"), (users[0], "g2"), (users[1], "h1")):
        submit(user, name)
        assert gates.entered.get(timeout=60) == f"{name}/scene.blend"
    submit(users[1], "h2")
    submit(users[2], "a1")
    asked = [gates.asked.get(timeout=60) for _ in range(5)]
    assert set(asked[3:]) == {"h2/scene.blend", "a1/scene.blend"}
    gates.open("h1/scene.blend")
    assert gates.entered.get(timeout=60) == "a1/scene.blend"
    gates.open("a1/scene.blend", "g1/scene.blend", "g2/scene.blend", "h2/scene.blend")
    wait_for(users[1], lambda job: job["warnings"] != [])
