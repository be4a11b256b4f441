"""Whatever an address, a query or a body holds in the place of an id or a name: never a fault.

Every route, found by itself, with every text, on both databases. A fault is an answer of 500, one
in another shape than `ErrorBody`, or a farm that does not answer any more.
"""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from farm.api.bodies import LARGE
from farm_protocol.errors import STATUS, ErrorBody, ErrorCode
from farm_protocol.users import Role
from http_gate.bodies import SMALL
from json_places import places, with_value

from .conftest import Farm, spec
from .runners import FakeRunner, at_work, job_of

HASH = "0" * 64
RUNNERS = "/v1/runner/"
ODD = {
    "NUL": "\0",
    "NUL in between": "a\0b",
    "escape": "\x1b]52;c;eA==\x07",
    "newline": "a\nb",
    "C1": "a\x9bb",
    "bidi": "a\u202eb",
    "up": "..",
    "dot": ".",
    "slash": "a/b",
    "backslash": "a\\b",
    "long": "x" * 5000,
    "letters": "größe 日本 🎬",
    "not a character": "\uffff",
    "quotes": "';--\"",
    "percent": "%00%2e%2e%2f",
    "format": "%s{0}{x}",
    "space": " ",
    "number": "9" * 30,
    "minus": "-1",
}
RAW = [
    "%00",
    "%2e%2e",
    "%2f",
    "%ff%fe",
    "%c0%80",
    "%ed%a0%80",
    "%",
    "%zz",
    "%0d%0aX:%20y",
    "%25%30%30",
]
"""As they stand in an address, well or badly encoded."""


def addresses(path: str, value: str) -> Iterator[str]:
    """Yield a route's address with each of its parameters, alone, exchanged."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    right = {"blob_hash": HASH, "action": "stop", "name": "demo", "email": "a@example.com"}
    for name in names:
        values = {each: right.get(each, "0" * 32) for each in names} | {name: value}
        address = path
        for each, text in values.items():
            address = address.replace("{" + each + "}", text)
        yield address


def check(answer: httpx.Response, what: object) -> None:
    assert answer.status_code < 500, (what, answer.text)
    if answer.status_code < 400:
        return
    assert answer.headers["content-type"] == "application/json", (what, answer.text)
    body = ErrorBody.model_validate_json(answer.content)
    assert STATUS[ErrorCode(body.code)] == answer.status_code or answer.status_code == 405, what
    assert body.message, what


def as_it_stands(
    client: httpx.Client, method: str, address: str, content: bytes | None
) -> httpx.Response:
    """Send a request whose address other libraries would tidy."""
    connection = HTTPConnection(client.base_url.host, client.base_url.port or 80, timeout=60)
    headers = {"Authorization": client.headers["Authorization"], "Content-Type": "application/json"}
    connection.request(method, address, content, headers)
    answer = connection.getresponse()
    found = httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    connection.close()
    return found


@pytest.fixture
def admin(farm: Farm) -> httpx.Client:
    return farm.user("admin@example.com", role=Role.ADMIN)


@pytest.fixture
def runner(farm: Farm, admin: httpx.Client) -> FakeRunner:
    return at_work(farm, admin)


def test_no_address_is_a_fault(farm: Farm, admin: httpx.Client, runner: FakeRunner) -> None:
    for method, path in farm.routes():
        client = runner.http if path.startswith(RUNNERS) else admin
        bodies = BODIES.get((method, path), {})
        for value in [*(quote(text, safe="") for text in ODD.values()), *RAW]:
            for address in addresses(path, value):
                content = None if method in ("GET", "DELETE") else json.dumps(bodies).encode()
                answer = as_it_stands(client, method, address, content)
                check(answer, (method, address))
                # A GET may answer that there is nothing; nothing is done to what has no name.
                exists = "name" in path or "blob" in path
                assert (
                    answer.status_code >= 400 or exists or method == "GET" or ("{action}" in path)
                ), (method, address, answer.text)
    assert job_of(admin)["state"] in ("running", "ready", "stopping", "stopped")


def test_no_query_is_a_fault(farm: Farm, admin: httpx.Client, runner: FakeRunner) -> None:
    described = httpx.get(f"{farm.url}/openapi.json", timeout=60).json()["paths"]
    job = job_of(admin)
    tried = 0
    for path, methods in described.items():
        for method, route in methods.items():
            names = [each["name"] for each in route.get("parameters", []) if each["in"] == "query"]
            address = path.format(
                job_id=job["id"],
                submission_id=job["submission_id"],
                blob_hash=HASH,
                name="demo",
                email="admin@example.com",
                action="stop",
            )
            for name in names:
                for value in [*(quote(text, safe="") for text in ODD.values()), *RAW, ""]:
                    others = "".join(f"&{n}=1" for n in names if n != name and n != "wait")
                    answer = admin.request(method, f"{address}?{name}={value}{others}")
                    check(answer, (method, path, name, value))
                    tried += 1
    assert tried > 300


BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/login"): {"email": "a@example.com", "secret": "x", "label": "x"},
    ("POST", "/v1/proof"): {"nonce": HASH, "proof": HASH},
    ("POST", "/v1/blobs/missing"): {"blobs": [{"hash": HASH, "size": 1}]},
    ("PUT", "/v1/projects/{name}/files"): {
        "files": [{"path": "demo/x", "hash": HASH, "size": 1, "mtime_ns": 1}]
    },
    ("POST", "/v1/projects/{name}/files/remove"): {"paths": ["demo/x"]},
    ("POST", "/v1/submissions/check"): spec(
        plugins=["x"],
        dependencies=["j1"],
        machine_type="local-cpu",
        params={"frames": "1 4 1", "text": "x", "list": ["x", {"x": "x"}]},
    )
    | {"pending_files": ["demo/x"]},
    ("POST", "/v1/submissions"): spec(
        plugins=["x"], machine_type="local-cpu", params={"frames": "1 1 1", "list": ["x"]}
    ),
    ("POST", "/v1/users"): {"email": "new@example.com", "password": "x" * 12, "plan": "x"},
    ("PATCH", "/v1/users/{email}"): {"name": "x", "plan": "x", "machine_cpu": "x"},
    ("PATCH", "/v1/me"): {"name": "x", "machine_cpu": "x", "machine_gpu": "x"},
    ("POST", "/v1/users/{email}/credits"): {"credits": "1", "reason": "x", "reference": "x"},
    ("POST", "/v1/users/{email}/password"): {"password": "x" * 12},
    ("PUT", "/v1/plans/{name}"): {"job_throughput_limit": 1, "max_throughput": 1},
    ("PATCH", "/v1/jobs"): {"priority": 40, "instances": 1},
    ("PATCH", "/v1/jobs/{job_id}"): {"priority": 40, "instances": 1},
    ("PATCH", "/v1/submissions/{submission_id}"): {"priority": 40, "instances": 1},
    ("POST", "/v1/runner/claims"): {
        "host": "x",
        "warnings": ["x"],
        "programs": [{"app": "x", "version": "x", "plugins": ["x"]}],
        "ended": {"claim_id": "x", "finish": {"outcome": "stopped", "message": "x"}},
    },
    ("POST", "/v1/runner/heartbeat"): {"frame": 1},
    ("POST", "/v1/runner/tickets"): {"hashes": [HASH]},
    ("POST", "/v1/runner/claims/{claim_id}/heartbeat"): {"frame": 1},
    ("POST", "/v1/runner/claims/{claim_id}/log"): {"offset": 0, "text": "x"},
    ("POST", "/v1/runner/claims/{claim_id}/frames"): {
        "frame": 1,
        "seconds": 1,
        "outputs": [{"path": "demo/render_results/out/x.png", "hash": HASH, "size": 1}],
        "flags": [{"frame": 1, "code": "empty", "certainty": "hint", "message": "x"}],
    },
    ("POST", "/v1/runner/claims/{claim_id}/finish"): {
        "outcome": "failed",
        "message": "x",
        "marker": "x",
        "frame": 1,
        "exit_code": 1,
    },
}


WRONG: list[Any] = [*ODD.values(), None, [], {}, True, 2**63, -(2**63), 2**200, 1e308, "1e999999"]
UNPRINTABLE = [b'"\\ud800"', b"NaN", b"-Infinity", b"1e999", b"[" * 3000 + b"]" * 3000, b"1" * 5000]
"""As bytes: Python would not write them."""


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
def test_no_body_is_a_fault(
    farm: Farm, admin: httpx.Client, runner: FakeRunner, route: tuple[str, str]
) -> None:
    method, path = route
    body = BODIES[route]
    client = runner.http if path.startswith(RUNNERS) else admin
    address = path.format(
        job_id=job_of(admin)["id"],
        submission_id=job_of(admin)["submission_id"],
        name="demo",
        email="new@example.com",
        claim_id=runner.claim_id,
    )
    if path.startswith("/v1/users/"):
        admin.post("/v1/users", json={"email": "new@example.com"}).raise_for_status()
    kind = {"Content-Type": "application/json"}
    for way in places(body):
        for value in WRONG:
            answer = client.request(method, address, json=with_value(body, way, value))
            check(answer, (path, way, value))
        for raw in UNPRINTABLE:
            text = json.dumps(with_value(body, way, "@here@")).encode()
            content = text.replace(b'"@here@"', raw)
            for size in (0, SMALL.size + 1) if route in LARGE else (0,):
                padded = content.ljust(size)
                answer = client.request(method, address, content=padded, headers=kind)
                check(answer, (path, way, raw))
    # The farm goes on.
    assert httpx.get(f"{farm.url}/v1/health", timeout=60).status_code == 200
    assert admin.get("/v1/jobs").status_code == 200
    assert admin.get("/v1/changes").status_code == 200
    assert admin.get("/v1/users").status_code == 200


def test_every_route_with_a_body_is_tried(farm: Farm) -> None:
    described = httpx.get(f"{farm.url}/openapi.json", timeout=60).json()["paths"]
    of_users = {
        (method.upper(), path)
        for path, methods in described.items()
        for method, route in methods.items()
        if "requestBody" in route
    }
    of_runners = {route for route in farm.routes() if RUNNERS in route[1] and route[0] == "POST"}
    assert of_users | of_runners == set(BODIES)
