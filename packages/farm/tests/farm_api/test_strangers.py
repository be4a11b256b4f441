"""Every route of the farm, walked by somebody else: nothing is seen, stopped, fetched or paid."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from farm.db.tables import runners
from farm_protocol.hashing import new_hasher
from sqlalchemy import update

from .conftest import Farm, send, spec
from .runners import FakeRunner, at_work, job_of

OPEN = {"POST /v1/login", "GET /v1/health", "POST /v1/proof"}
"""What needs no key; a proof needs the secret of the farm's announcement."""

RUNNERS = "/v1/runner/"

EMPTY: dict[str, Any] = {
    "GET /v1/blobs/{blob_hash}": 404,
    "POST /v1/blobs/missing": None,
    "PUT /v1/blobs/{blob_hash}": None,
    "GET /v1/projects": {"projects": [], "more": False},
    "GET /v1/projects/{name}/files": {"files": []},
    "PUT /v1/projects/{name}/files": 400,  # A blob that only another user has is not there.
    "POST /v1/projects/{name}/files/remove": None,  # Of the caller's own project.
    "POST /v1/submissions/check": 400,  # So is a scene.
    "POST /v1/submissions": 409,  # The id is taken.
    "GET /v1/submissions/{submission_id}": 404,
    "PATCH /v1/submissions/{submission_id}": 404,
    "POST /v1/submissions/{submission_id}/{action}": 404,
    "GET /v1/jobs": {"jobs": [], "more": False},
    "PATCH /v1/jobs": {"jobs": [], "more": False},
    "POST /v1/jobs/{action}": {"jobs": [], "more": False},
    "GET /v1/jobs/{job_id}": 404,
    "PATCH /v1/jobs/{job_id}": 404,
    "GET /v1/jobs/{job_id}/log": 404,
    "GET /v1/jobs/{job_id}/tasks": 404,
    "GET /v1/jobs/{job_id}/frames": 404,
    "GET /v1/jobs/{job_id}/outputs": 404,
    "POST /v1/jobs/{job_id}/{action}": 404,
    "GET /v1/changes": None,
    "GET /v1/me": None,
    "GET /v1/me/credits": None,
    "GET /v1/products": None,  # The same for everybody.
    "GET /v1/machines": None,
    "PATCH /v1/me": None,
    "GET /v1/users": 403,  # Administrators only.
    "POST /v1/users": 403,
    "GET /v1/users/{email}": 403,
    "PATCH /v1/users/{email}": 403,
    "GET /v1/users/{email}/credits": 403,
    "POST /v1/users/{email}/credits": 403,
    "POST /v1/users/{email}/key": 403,
    "POST /v1/users/{email}/password": 403,
    "GET /v1/plans": 403,
    "PUT /v1/plans/{name}": 403,
    "DELETE /v1/plans/{name}": 403,
}
"""What a stranger gets: a status, or an answer; None: looked at below."""


class House:
    """What Ann has: a project with a file, a job with a result, a runner at work."""

    def __init__(self, farm: Farm) -> None:
        self.ann = farm.user("ann@example.com")
        self.blob = str(send(self.ann, "demo/scene.blend", b"BLENDER-v304 secret")["hash"])
        self.spec = spec(instances=1)
        self.ann.post("/v1/submissions", json=self.spec).raise_for_status()
        self.runner = FakeRunner(farm)
        self.runner.claim()
        self.runner.done(1, data=b"secret pixels")
        self.runner.post("log", {"offset": 0, "text": "secret words"})
        hasher = new_hasher()
        hasher.update(b"secret pixels")
        self.result = hasher.hexdigest()

    def address(self, path: str, blob: str = "") -> str:
        return path.format(
            blob_hash=blob or self.result,
            name="demo",
            submission_id=self.spec["id"],
            job_id=job_of(self.ann)["id"],
            claim_id=self.runner.claim_id,
            action="stop",
            email="ann@example.com",
        )

    def body(self, method: str, path: str) -> Any:
        entry = {"path": "demo/stolen.blend", "hash": self.blob, "size": 19, "mtime_ns": 1}
        return {
            ("POST", "/v1/blobs/missing"): {"blobs": [{"hash": self.blob, "size": 19}]},
            ("PUT", "/v1/projects/{name}/files"): {"files": [entry]},
            ("POST", "/v1/projects/{name}/files/remove"): {"paths": ["demo/scene.blend"]},
            ("POST", "/v1/submissions/check"): spec(),
            ("POST", "/v1/submissions"): self.spec,
            ("POST", "/v1/users"): {"email": "mallory@example.com", "role": "admin"},
            ("PATCH", "/v1/users/{email}"): {"active": False},
            ("POST", "/v1/users/{email}/credits"): {"credits": -5, "reason": "mine"},
            ("POST", "/v1/users/{email}/password"): {"password": "another horse"},
            ("PUT", "/v1/plans/{name}"): {"job_throughput_limit": 1, "max_throughput": 1},
            ("PATCH", "/v1/jobs"): {"priority": 40},
            ("PATCH", "/v1/jobs/{job_id}"): {"priority": 40},
            ("PATCH", "/v1/submissions/{submission_id}"): {"priority": 40},
        }.get((method, path))


@pytest.fixture
def house(farm: Farm) -> House:
    return House(farm)


def call(client: httpx.Client, house: House, method: str, path: str) -> httpx.Response:
    body = house.body(method, path)
    if method == "PUT" and "{blob_hash}" in path:
        return client.put(house.address(path), content=b"other bytes")
    query = {"app": "blender", "operation": "render"} if path.endswith("/machines") else None
    return client.request(method, house.address(path), json=body, params=query)


def test_every_route_is_known_to_this_test(farm: Farm) -> None:
    mine = {" ".join(route) for route in farm.routes()}
    known = set(EMPTY) | OPEN
    assert {route for route in mine if RUNNERS not in route} == known


def test_a_stranger_gets_nothing(farm: Farm, house: House) -> None:
    before = job_of(house.ann)
    eve = farm.user("eve@example.com")
    for method, path in farm.routes():
        expected = EMPTY.get(f"{method} {path}")
        if expected is None:
            continue
        answer = call(eve, house, method, path)
        if isinstance(expected, int):
            assert answer.status_code == expected, (method, path, answer.text)
        else:
            assert answer.json() == expected, (method, path)
        assert "secret" not in answer.text
    after = job_of(house.ann)
    assert (after["state"], after["priority"]) == (before["state"], before["priority"])
    changes = eve.get("/v1/changes").json()
    assert (changes["jobs"], changes["outputs"]) == ([], [])
    assert eve.patch("/v1/me", json={"name": "Eve"}).json()["name"] == "Eve"
    assert house.ann.get("/v1/me").json()["name"] == "ann"
    me = eve.get("/v1/me").json()
    assert (me["email_address"], me["credits_available"]) == ("eve@example.com", 100)
    moved = eve.get("/v1/me/credits").json()["movements"]
    assert [(each["kind"], float(each["credits"])) for each in moved] == [("grant", 100)]
    # The farm asks for bytes that another user has sent: it does not even say that it has them.
    missing = {"blobs": [{"hash": house.blob, "size": 19}]}
    assert len(eve.post("/v1/blobs/missing", json=missing).json()["tickets"]) == 1
    # And other bytes under that name are refused.
    answer = eve.put(f"/v1/blobs/{house.blob}", content=b"poison")
    assert answer.json()["code"] == "hash_mismatch"
    assert house.ann.get(f"/v1/blobs/{house.blob}").content == b"BLENDER-v304 secret"


def test_without_a_key_there_is_nothing(farm: Farm, house: House) -> None:
    clients = {
        "no key": farm.client(),
        "a wrong key": farm.client("ek_wrong"),
        "a runner's token": farm.client(house.runner.request.token),
    }
    for method, path in farm.routes():
        if f"{method} {path}" in OPEN or RUNNERS in path:
            continue
        for who, client in clients.items():
            answer = call(client, house, method, path)
            assert answer.status_code == 401, (who, method, path, answer.text)


def test_runners_routes_take_no_users_key_and_no_other_runners_token(
    farm: Farm, house: House
) -> None:
    bob = farm.user("bob@example.com")
    send(bob, "demo/scene.blend", b"BLENDER-v304 bob")
    bob.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    other = FakeRunner(farm, 2)
    other.claim()
    for method, path in farm.routes():
        if RUNNERS not in path:
            continue
        assert call(house.ann, house, method, path).status_code == 401, path
        assert call(farm.client(), house, method, path).status_code == 401, path
    output = {"path": "demo/render_results/out/x.png", "hash": house.blob, "size": 19}
    bodies = {"frames": {"frame": 2, "seconds": 0, "outputs": [output]}, "heartbeat": {}}
    bodies |= {"log": {"offset": 0, "text": "x"}, "finish": {"outcome": "stopped"}}
    for what, body in bodies.items():
        address = f"/v1/runner/claims/{house.runner.claim_id}/{what}"
        assert other.http.post(address, json=body).json()["code"] == "claim_lost", what
    for blob in (house.blob, house.result):
        assert other.http.get(f"/v1/runner/blobs/{blob}").status_code == 404
    assert house.runner.beat(2) == "continue"


def test_the_description_tells_nothing_of_the_farms_data(farm: Farm) -> None:
    before = httpx.get(f"{farm.url}/openapi.json", timeout=60)
    assert before.status_code == 200
    assert before.headers["content-type"] == "application/json"
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    ann.post("/v1/submissions", json=spec(name="secret project")).raise_for_status()
    for client in (farm.client(), ann):
        assert client.get("/openapi.json").content == before.content
    # Nor is there another page that describes it.
    for path in ("/docs", "/redoc", "/openapi.yaml", "/v1/openapi.json"):
        assert farm.client().get(path).status_code == 404


def test_who_has_no_valid_token_takes_no_turn_to_write(farm: Farm) -> None:
    """Each call of theirs would be repeated with, and before, those of runners."""
    stranger = farm.client("a token that nobody was given")
    with farm.database.write():
        for what in ("heartbeat", "log", "finish", "frames"):
            body = {"offset": 0, "text": "", "outcome": "stopped", "frame": 1, "seconds": 0}
            answer = stranger.post(f"/v1/runner/claims/none/{what}", json=body | {"outputs": []})
            assert answer.status_code in (400, 401), answer.text
        assert stranger.post("/v1/runner/heartbeat", json={}).status_code == 401
        assert stranger.post("/v1/runner/claims", json={}).status_code == 401


def test_a_token_that_has_ended_takes_one_turn_at_most(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    runner = at_work(farm, ann)
    with farm.database.write() as connection:
        connection.execute(update(runners).values(expires_at=datetime(2026, 1, 1, tzinfo=UTC)))
    beat = f"/v1/runner/claims/{runner.claim_id}/heartbeat"
    assert runner.http.post(beat, json={"frame": 1}).status_code == 401
    with farm.database.write():
        assert runner.http.post(beat, json={"frame": 1}).status_code == 401
