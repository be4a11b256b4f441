"""Runners that ask for much at once: many of one large job, or one that is hostile."""

import socket
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from answers import whole
from farm.api import runner_job
from farm.db import manifests
from farm_protocol.files import KnownFile

from .conftest import Farm
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
    name = "entries" if what == "job" else "blobs_of_job"
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


def test_lists_that_are_kept_have_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_job, "MOST_BYTES", 3)
    lists = runner_job.FileLists()
    made: list[str] = []

    def get(key: str) -> bytes:
        def make() -> list[KnownFile]:
            made.append(key)
            return []

        return lists.of(key, make)

    for key in ("a", "a", "b", "b", "a"):
        assert get(key) == b"[]"
    assert made == ["a", "b", "a"]
