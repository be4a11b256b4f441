"""Who sends a request: looked up once, and again when it takes long."""

import threading

import httpx
import pytest
from answers import whole
from farm.accounts import credentials
from farm.api import context
from farm.db import accounts
from farm.db.accounts import AccountRow
from sqlalchemy import Connection

from .conftest import Farm
from .raw import posted
from .test_own_turns import blob_of


class Looks:
    """How often the farm has looked whose an access key is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.changed = threading.Condition()
        real = accounts.by_key_hash

        def by_key_hash(connection: Connection, key_hash: str) -> AccountRow | None:
            found = real(connection, key_hash)
            with self.changed:
                self.count += 1
                self.changed.notify_all()
            return found

        monkeypatch.setattr(accounts, "by_key_hash", by_key_hash)

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.count >= count, 60)


@pytest.fixture
def looks(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> Looks:
    # However slow the machine is.
    monkeypatch.setattr(context, "FRESH_SECONDS", 600.0)
    return Looks(monkeypatch)


def test_a_key_is_looked_at_once_a_request(farm: Farm, looks: Looks) -> None:
    ann, nobody = farm.user("ann@example.com"), farm.client("ek_wrong")

    def took(answer: httpx.Response, status: int) -> int:
        assert answer.status_code == status, answer.text
        count, looks.count = looks.count, 0
        return count

    assert took(ann.get("/v1/me"), 200) == 1
    assert took(ann.get("/v1/changes"), 200) == 1
    assert took(ann.patch("/v1/me", json={"email_notices": True}), 200) == 1
    assert took(ann.put(blob_of("x"), json="x"), 201) == 1
    assert took(ann.get("/v1/users"), 403) == 1
    assert took(nobody.get("/v1/me"), 401) == 1
    assert took(nobody.patch("/v1/me", json={}), 401) == 1


def test_a_key_that_is_withdrawn_while_the_body_arrives_is_good_no_more(
    farm: Farm, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = farm.user("ann@example.com")
    monkeypatch.setattr(context, "FRESH_SECONDS", 0.0)
    head = b"PATCH /v1/me HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with posted(farm.url, ann, "/v1/me", None, "GET") as made:
        assert b" 200 " in whole(made)
        looks.count = 0
        key = ann.headers["authorization"]
        made.sendall(head + f"Authorization: {key}\r\nContent-Length: 2\r\n\r\n{{".encode())
        looks.wait_for(1)
        credentials.rotate_key(farm.database, "ann@example.com")
        made.sendall(b"}")
        assert made.recv(12) == b"HTTP/1.1 401"
