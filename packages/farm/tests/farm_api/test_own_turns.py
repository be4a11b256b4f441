"""Accounts that ask for much at once."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from select import select
from typing import Any

import httpx
import pytest
from answers import heard
from farm.accounts.credentials import authenticate
from farm.api import projects
from farm.api.own_turns import MOST_AT_A_TIME, MOST_WAITING, OwnTurns
from farm.db import feed, manifests
from farm_protocol.hashing import new_hasher

from .conftest import Farm, send, spec
from .raw import posted

CHECKS = 50
"""More than the farm has threads."""


def heavy(jobs: int) -> dict[str, object]:
    """Return a small check that takes a twentieth of a second for each job."""
    asked = spec(params={"frames": "0 600000 2,0 600000 1"})
    (job,) = asked["jobs"]
    asked["jobs"] = [{**job, "id": f"j{n}", "name": f"j{n}"} for n in range(jobs)]
    return asked


def unanswered(sent: list[socket.socket]) -> int:
    return len(sent) - len(select(sent, [], [], 0)[0])


def test_checks_of_one_account_wait_for_each_other_and_nobody_else_does(farm: Farm) -> None:
    greedy, other = farm.user("greedy@example.com"), farm.user("ann@example.com")
    send(greedy, "demo/scene.blend", b"BLENDER-v304")
    with ExitStack() as stack:
        sent = [
            stack.enter_context(posted(farm.url, greedy, "/v1/submissions/check", heavy(3)))
            for _ in range(CHECKS)
        ]
        # The first answer: by then they are all being worked on, or wait.
        select(sent, [], [], 120)
        for _ in range(3):
            other.get("/v1/jobs").raise_for_status()
        assert unanswered(sent) > CHECKS // 2
        for each in sent:
            each.shutdown(socket.SHUT_RDWR)


def test_more_than_can_wait_are_told_to_try_again(farm: Farm) -> None:
    greedy = farm.user("greedy@example.com")
    send(greedy, "demo/scene.blend", b"BLENDER-v304")
    with ExitStack() as stack:
        sent = [
            stack.enter_context(posted(farm.url, greedy, "/v1/submissions/check", heavy(1)))
            for _ in range(MOST_AT_A_TIME + MOST_WAITING + 20)
        ]
        # Whoever is turned away is answered before those that wait.
        refused: list[tuple[socket.socket, bytes]] = []
        while not refused:
            answered = select(sent, [], [], 120)[0]
            sent = [each for each in sent if each not in answered]
            answers = [(each, each.recv(1000)) for each in answered]
            assert answers
            refused = [(each, answer) for each, answer in answers if b" 503 " in answer]
        assert heard(refused[0][0], b'"retry":true', refused[0][1])


def blob_of(content: str) -> str:
    hasher = new_hasher()
    hasher.update(f'"{content}"'.encode())
    return f"/v1/blobs/{hasher.hexdigest()}"


@pytest.mark.parametrize("what", ["a setting", "an action", "a manifest", "blobs"])
def test_writers_that_wait_leave_threads_for_everybody_else(farm: Farm, what: str) -> None:
    """Of three accounts, each with more requests than the farm has threads."""
    greedy = [farm.user(f"{n}@example.com") for n in range(3)]
    other = farm.user("ann@example.com")

    def begin(client: httpx.Client, number: int) -> socket.socket:
        if what == "blobs":
            text = f"{client.headers['authorization']} {number}"
            return posted(farm.url, client, blob_of(text), text, "PUT")
        if what == "a manifest":
            return posted(farm.url, client, "/v1/projects/x/files", {"files": []}, "PUT")
        if what == "an action":
            return posted(farm.url, client, "/v1/jobs/suspend", None)
        return posted(farm.url, client, "/v1/me", {"email_notices": True}, "PATCH")

    with ExitStack() as stack:
        with farm.database.write():
            sent = [
                stack.enter_context(begin(client, number))
                for number in range(CHECKS)
                for client in greedy
            ]
            # Were there no thread left, this would wait for the writer, which waits for this.
            for _ in range(CHECKS):
                other.get("/v1/me").raise_for_status()
        for each in sent:
            assert each.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 204")


class Slow:
    """A function of a module that waits, in the calls that are meant, until it is released."""

    def __init__(
        self, patch: pytest.MonkeyPatch, module: Any, name: str, is_meant: Callable[..., bool]
    ) -> None:
        self.release, self._begun = threading.Event(), threading.Semaphore(0)
        self.at_work: list[int] = []
        self._real, self._is_meant = getattr(module, name), is_meant
        patch.setattr(module, name, self._work)

    def _work(self, *given: Any) -> Any:
        if self._is_meant(*given):
            self.at_work.append(1)
            self._begun.release()
            assert self.release.wait(60)
            self.at_work.pop()
        return self._real(*given)

    @contextmanager
    def asked(self, farm: Farm, greedy: httpx.Client, path: str) -> Iterator[list[socket.socket]]:
        """Ask for more than the farm has threads; yields when four of the calls have begun."""
        with ExitStack() as stack:
            stack.callback(self.release.set)
            sent = [
                stack.enter_context(posted(farm.url, greedy, path, "", "GET"))
                for _ in range(CHECKS)
            ]
            for _ in range(4):
                assert self._begun.acquire(timeout=60)
            yield sent


@pytest.mark.parametrize("wait", ["0", "0.001"])
def test_readers_of_news_take_turns(farm: Farm, monkeypatch: pytest.MonkeyPatch, wait: str) -> None:
    greedy, other = farm.user("greedy@example.com"), farm.user("ann@example.com")
    with farm.database.read() as connection:
        its = authenticate(connection, greedy.headers["authorization"].split()[1]).id
    slow = Slow(monkeypatch, feed, "after", lambda _, account_id, *rest: account_id == its)
    with slow.asked(farm, greedy, f"/v1/changes?wait={wait}") as sent:
        # Others are answered, and nobody else's news are looked for before these are done.
        for _ in range(CHECKS):
            other.get("/v1/changes").raise_for_status()
        assert len(slow.at_work) == 4
        slow.release.set()
        for each in sent:
            assert each.recv(12) == b"HTTP/1.1 200"


def test_whole_manifests_take_a_turn_for_each_page(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are answered a page at a time, after the turn of their request has ended."""
    monkeypatch.setattr(projects, "PAGE", 1)
    greedy, other = farm.user("greedy@example.com"), farm.user("ann@example.com")
    for name in ("demo/a", "demo/b"):
        send(greedy, name, b"same")
    slow = Slow(monkeypatch, manifests, "page", lambda *_: True)
    with slow.asked(farm, greedy, "/v1/projects/demo/files") as sent:
        for _ in range(CHECKS):
            other.get("/v1/jobs").raise_for_status()
        assert len(slow.at_work) == 4
        slow.release.set()
        for each in sent:
            whole = b""
            while not whole.endswith(b"0\r\n\r\n"):
                whole += each.recv(1 << 16)
            assert b"demo/a" in whole
            assert b"demo/b" in whole


def test_a_turn_is_for_the_account_that_has_fewest() -> None:
    order: list[str] = []

    async def work(turns: OwnTurns, name: str, go_on: asyncio.Event) -> None:
        async with turns.of(name):
            order.append(name)
            await go_on.wait()

    async def all_of_them() -> None:
        turns, go_on = OwnTurns(4, 8), asyncio.Event()
        many = [name for name in "abc" for _ in range(20)]
        tasks = [asyncio.create_task(work(turns, name, go_on)) for name in many]
        await asyncio.sleep(0)  # All of them have begun, or wait.
        await asyncio.sleep(0)
        assert order == ["a"] * 4 + ["b"] * 4
        late = asyncio.create_task(work(turns, "late", go_on))
        await asyncio.sleep(0)
        # Whoever has gone away takes no turn with it.
        tasks[20 + 10].cancel()
        go_on.set()
        await asyncio.gather(late, *tasks, return_exceptions=True)
        assert order.count("c") == 20
        assert order.count("b") == 19
        # It was the last of all to ask. "c" has none, too, and has waited for longer.
        assert order[8:10] == ["c", "late"]

    asyncio.run(all_of_them())
