"""Who asks for little waits for one short write of each other account, whatever these have sent."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from select import select
from typing import Any

import httpx
import pytest
from farm.accounts import users
from farm.db import manifests, projects

from .conftest import Farm, send
from .raw import posted

PORTIONS = 5
REQUESTS = 4
"""Of one account that write at a time; see `farm.api.own_turns.Turns`."""


class Order:
    """Who has written, one after the other: projects of Eve's, and settings of Ann's."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.of: list[str] = []
        self._spy(patch, projects, "ensure", "eve")
        self._spy(patch, users, "change", "ann")

    def _spy(self, patch: pytest.MonkeyPatch, module: Any, name: str, who: str) -> None:
        real = getattr(module, name)

        def work(*args: object) -> object:
            self.of.append(who)
            return real(*args)

        patch.setattr(module, name, work)


def files(project: str, entry: dict[str, object]) -> list[dict[str, object]]:
    return [entry | {"path": f"{project}/{number}.bin"} for number in range(PORTIONS)]


@contextmanager
def changes(
    farm: Farm, eve: httpx.Client, asked: list[tuple[str, str, Any]]
) -> Iterator[list[Any]]:
    """Have all of these requests of Eve's wait for the turn to write, and one of Ann's last."""
    ann = farm.user("ann@example.com")
    with ExitStack() as stack:
        with farm.database.write():
            sent = [
                stack.enter_context(posted(farm.url, eve, path, body, method))
                for method, path, body in asked
            ]
            while not farm.database._turn._waiting:
                pass
            for _ in range(20):  # Whatever is going to stand in the line does so by then.
                ann.get("/v1/jobs").raise_for_status()
            standing = len(farm.database._turn._waiting)
            body = {"email_notices": True}
            sent.append(stack.enter_context(posted(farm.url, ann, "/v1/me", body, "PATCH")))
            while len(farm.database._turn._waiting) == standing:
                pass
        yield sent


@pytest.mark.parametrize("what", ["added", "removed"])
def test_one_request_of_an_account_at_a_time_writes_and_not_for_long(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(manifests, "WRITTEN_BYTES", 1)
    eve = farm.user("eve@example.com")
    entry = send(eve, "demo/a.bin", b"one")
    asked: list[tuple[str, str, Any]] = []
    for project in map(str, range(REQUESTS)):
        body = {"files": files(project, entry)}
        add = ("PUT", f"/v1/projects/{project}/files", body)
        if what == "added":
            asked.append(add)
        else:
            eve.request(add[0], add[1], json=body).raise_for_status()
            gone = {"paths": [each["path"] for each in body["files"]]}
            asked.append(("POST", f"/v1/projects/{project}/files/remove", gone))
    order = Order(monkeypatch)
    with changes(farm, eve, asked) as sent:
        for each in sent:
            assert select([each], [], [], 60)[0]
            assert each.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 204")
    assert order.of.index("ann") <= 1
    assert order.of.count("eve") == REQUESTS * PORTIONS
    for project in map(str, range(REQUESTS)):
        found = eve.get(f"/v1/projects/{project}/files").json()["files"]
        assert len(found) == (PORTIONS if what == "added" else 0)
