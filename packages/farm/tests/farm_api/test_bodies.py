"""No route reads more than it can need, and hardly anything from somebody without a key."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from farm.api import bodies
from farm.api.bodies import FOR_STRANGERS, LARGE, limit_of
from farm.api.errors import LONGEST_MESSAGE, MOST_FAULTS, MOST_FIELDS, MOST_TEXTS
from http_gate import bodies as reading
from http_gate.bodies import SMALL
from messages import says

from .conftest import Farm, send, spec
from .runners import FakeRunner, at_work

ENOUGH = 60
"""Seconds: a thousand times what an answer needs."""

IN_BUFFERS = 32 << 20
"""Bytes that the system takes from a sender before anybody reads them, and that are thrown away."""

PIECE = b"\x20" * 65_536


class Caller:
    """A connection that sends what it likes."""

    def __init__(self, farm: Farm) -> None:
        address = urlsplit(farm.url)
        self.socket = socket.create_connection((address.hostname, address.port), ENOUGH)
        self.host = address.netloc

    def begin(self, method: str, path: str, length: int | None, key: str = "") -> None:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}"]
        lines.append("Content-Type: application/json")
        lines.append(
            "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        )
        if key:
            lines.append(f"Authorization: Bearer {key}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def pour(self, most: int = 256 << 20) -> int:
        """Send chunks until the farm has enough; return how many bytes it took."""
        sent = 0
        self.socket.settimeout(0.2)
        try:
            while sent < most:
                self.socket.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
                sent += len(PIECE)
        except OSError:
            pass
        self.socket.settimeout(ENOUGH)
        return sent

    def answer(self) -> tuple[int, bytes]:
        """Return the status, and everything up to the end of the connection."""
        got = b""
        try:
            while piece := self.socket.recv(65_536):
                got += piece
        except ConnectionResetError:
            pass
        return int(got.split(b" ", 2)[1]), got


@pytest.fixture
def caller(farm: Farm) -> Iterator[Caller]:
    made = Caller(farm)
    with closing(made.socket):
        yield made


def addresses(farm: Farm) -> list[tuple[str, str]]:
    """Return every route with something in the place of its parameters."""
    return [
        (method, re.sub(r"\{\w+\}", "0" * 64 if "blobs" in path else "x", path))
        for method, path in farm.routes()
    ]


def test_no_route_reads_a_long_body_of_a_stranger(farm: Farm) -> None:
    """Neither one that says how long it is, of which not a byte comes, nor one without an end."""
    routes = addresses(farm)
    assert len(routes) > 40
    for method, path in routes:
        for_strangers = (method, path) in FOR_STRANGERS
        limit = limit_of(method, path)
        is_blob = method == "PUT" and "/blobs/" in path
        for length, key in ((1 << 40, ""), (1 << 40, "ek_no"), (None, ""), (None, "ek_no")):
            made = Caller(farm)
            with closing(made.socket):
                made.begin(method, path, length, key)
                taken = 0 if length else made.pour()
                status, told = made.answer()
            assert taken <= limit.size + IN_BUFFERS, (method, path)
            if is_blob or (length is None and not for_strangers):
                assert status == 401, (method, path, told)
            else:
                assert status == 413, (method, path, told)


def test_a_control_character_at_the_end_of_an_address_leads_nowhere(farm: Farm) -> None:
    """What goes by the path, such as the turns of an account, does not know it; no route does."""
    ann = farm.user("ann@example.com")
    for method, path in addresses(farm):
        for ending in ("%0A", "%0D", "%00", "%C2%85", "%E2%80%A8"):
            answer = ann.request(method, path + ending)
            assert answer.status_code == 404, (method, path, ending)


def test_every_large_limit_is_of_a_route(farm: Farm) -> None:
    assert set(LARGE) <= set(farm.routes())
    assert set(farm.routes()) >= FOR_STRANGERS


def test_the_farm_goes_on_while_strangers_send_slowly(farm: Farm, caller: Caller) -> None:
    caller.begin("POST", "/v1/login", SMALL.size)
    caller.socket.sendall(b'{"email": "')
    began = time.monotonic()
    assert httpx.get(f"{farm.url}/v1/health", timeout=ENOUGH).status_code == 200
    assert time.monotonic() - began < ENOUGH


def test_a_key_is_looked_at_before_a_byte_is_there(farm: Farm, caller: Caller) -> None:
    for path in ("/v1/submissions", "/v1/runner/claims/x/log"):
        made = Caller(farm)
        with closing(made.socket):
            made.begin("POST", path, SMALL.size + 1, "ek_no")
            assert made.answer()[0] == 401


def test_who_has_a_key_is_limited_too(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    large = LARGE["POST", "/v1/submissions"].limit
    for path, limit in (("/v1/submissions", large), ("/v1/me", SMALL)):
        method = "PATCH" if path == "/v1/me" else "POST"
        answer = ann.request(method, path, content=b" " * (limit.size + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert not answer.json()["retry"]
        made = Caller(farm)
        with closing(made.socket):
            made.begin(method, path, None, ann.headers["authorization"].removeprefix("Bearer "))
            assert made.pour() <= limit.size + IN_BUFFERS
            assert made.answer()[0] == 413


BOMBS = {
    "depth": b"[" * 1_900,
    "depth of objects": b'{"a":' * 900,
    "a long number": b'{"email": ' + b"9" * 60_000 + b"}",
    "a long number with a point": b'{"email": 0.' + b"9" * 60_000 + b"}",
    "an exponent": b'{"email": 1e' + b"9" * 60_000 + b"}",
    "empty lists": b"[" + b"[]," * 20_000 + b"[]]",
    "unknown fields": b"{" + b",".join(b'"%d":1' % n for n in range(900)) + b"}",
    "too many fields": b"{" + b",".join(b'"%d":1' % n for n in range(5_000)) + b"}",
    "half a character": b'{"\\ud800": 1, "email": "\\udc00", "secret": "\\ud800"}',
    "a long name": b'{"' + b"x" * 60_000 + b'": 1}',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_cannot_be_read_is_refused_in_few_words(farm: Farm, bomb: str) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    runner = FakeRunner(farm).http
    longest = LONGEST_MESSAGE + MOST_FIELDS * MOST_TEXTS * 100
    for client, path in (
        (ann, "/v1/login"),
        (ann, "/v1/submissions"),
        (runner, "/v1/runner/claims"),
    ):
        answer = client.post(
            path, content=BOMBS[bomb], headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 401, 413), (path, answer.text[:300])
        assert len(answer.content) < longest


@pytest.fixture
def runner(farm: Farm) -> FakeRunner:
    return at_work(farm, farm.user("ann@example.com"))


def fields(count: int) -> bytes:
    return b"{" + b",".join(b'"%x":1' % number for number in range(count)) + b"}"


@pytest.mark.parametrize("route", LARGE, ids=" ".join)
def test_very_many_faults_are_counted_and_not_told(
    farm: Farm, runner: FakeRunner, route: tuple[str, str]
) -> None:
    """Each that is told takes time from everybody: a hundred thousand a second."""
    method, path = route
    client = runner.http if path.startswith("/v1/runner/") else farm.user("bob@example.com")
    address = path.format(name="demo", claim_id=runner.claim_id)
    limit = limit_of(method, address)
    told = []
    for count in (MOST_FIELDS, min(limit.names, limit.values - 10)):
        content = fields(count).ljust(SMALL.size + 1)
        headers = {"Content-Type": "application/json"}
        answer = client.request(method, address, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        told.append(len(answer.json()["errors"]))
    assert told[0] == MOST_FIELDS
    assert limit.names <= MOST_FAULTS or told[1] == 1


@pytest.mark.parametrize(
    ("wrong", "field", "told"),
    [
        ({"naem": "x"}, "naem", "not-known-field-remove-correct"),
        ({"jobs": "x"}, "jobs", "must-be-one-of"),
        ({"jobs": [{}]}, "jobs[0].name", "missing-add"),
        ({"id": "x" * 201}, "id", "wrong-form-write"),
    ],
)
def test_what_is_wrong_with_a_body_is_told_in_plain_words(
    farm: Farm, wrong: dict[str, Any], field: str, told: str
) -> None:
    body = spec() | wrong
    answer = farm.user("ann@example.com").post("/v1/submissions", json=body).json()
    assert answer["code"] == "invalid_request"
    assert says(answer["errors"][field][0], told)


def test_a_log_may_say_anything_and_holds_nothing_else(runner: FakeRunner) -> None:
    line = '"a": [{"b\\\\": "\\", 1}], \\"c\\": ,,,\n'
    text = line * (1_000_000 // len(line))
    assert runner.post("log", {"offset": 0, "text": text}).status_code == 204
    for more in (fields(100_000), b'{"text": "' + b'\\\\", "' * 100_000, b'["",' * 100_000):
        answer = runner.http.post(
            f"/v1/runner/claims/{runner.claim_id}/log",
            content=more,
            headers={"Content-Type": "application/json"},
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_parameters_of_any_shape_are_bounded(farm: Farm) -> None:
    """Values that a product does not know are kept, and so must be of some size and depth."""
    ann = farm.user("ann@example.com")
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    for params in (
        {"frames": "1 4 1", "deep": deep},
        {"frames": "1 4 1", **{f"p{n}": 1 for n in range(2_000)}},
        {"frames": "1 4 1", "long": "x" * 2_000_000},
    ):
        answer = ann.post("/v1/submissions", json=spec(params=params))
        assert answer.status_code == 400, answer.text[:300]
        assert len(answer.content) < 20_000


@pytest.fixture
def small_pot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large bodies fill what there is for them sooner."""
    monkeypatch.setattr(bodies, "MOST_HELD", 4 << 20)
    monkeypatch.setattr(bodies, "MOST_HELD_OF_ONE", 3 << 19)


def begun(farm: Farm, number: int, size: int) -> Caller:
    """Return a large check that has begun to arrive, so many bytes of it."""
    client = farm.user(f"{number}@example.com")
    made = Caller(farm)
    key = client.headers["authorization"].removeprefix("Bearer ")
    made.begin("POST", "/v1/submissions/check", size + 1, key)
    made.socket.sendall(b" " * size)
    return made


@pytest.mark.usefixtures("small_pot")
def test_large_bodies_leave_room_for_small_ones(farm: Farm) -> None:
    ann = farm.user("ann@example.com", password="correct horse")
    padded = b" " * (SMALL.size - 1_000)
    with ExitStack() as stack:
        size = 3 << 19
        for number in range(12):
            made = begun(farm, number, size - 1_000)
            stack.enter_context(closing(made.socket))
            size = size * 5 // 8
        for _ in range(5):
            ann.patch(
                "/v1/me",
                content=b'{"email_notices": true}' + padded,
                headers={"Content-Type": "application/json"},
            ).raise_for_status()
        login = {"email": "ann@example.com", "secret": "correct horse"}
        httpx.post(f"{farm.url}/v1/login", json=login, timeout=ENOUGH).raise_for_status()


@pytest.mark.usefixtures("small_pot")
def test_large_bodies_of_some_accounts_leave_room_for_those_of_another(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    with ExitStack() as stack:
        for number in range(3):
            made = begun(farm, number, (4 << 20) // 3)
            stack.enter_context(closing(made.socket))
        for _ in range(5):
            answer = ann.post("/v1/submissions/check", content=b" " * (300 << 10))
            assert answer.json()["code"] == "invalid_request"


def test_a_large_body_may_not_take_for_ever(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_SECONDS", 0.2)
    made = begun(farm, 1, 1 << 20)
    with closing(made.socket):
        status, told = made.answer()
    assert status == 503
    assert b'"retry":true' in told
