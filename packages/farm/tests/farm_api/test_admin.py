"""Administrators manage users, plans and credits over the API; nobody else does."""

import threading
from decimal import Decimal
from typing import Any

import httpx
import pytest
from farm_protocol.users import Role

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of

EMAIL = "ann@example.com"


@pytest.fixture
def admin(farm: Farm) -> httpx.Client:
    return farm.user("root@example.com", role=Role.ADMIN)


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    return farm.user(EMAIL)


def refused(answer: httpx.Response) -> tuple[str, list[str]]:
    body = answer.json()
    return body["code"], sorted(body["errors"])


def test_a_new_user_can_work_at_once(farm: Farm, admin: httpx.Client) -> None:
    new = {"email": "Bob@Example.com ", "password": "correct horse", "credits": "2.5"}
    created = admin.post("/v1/users", json=new)
    assert created.status_code == 201, created.text
    body = created.json()
    user = body["user"]
    assert (user["email"], user["role"], user["plan"]) == ("bob@example.com", "artist", "Standard")
    assert (user["available"], user["has_password"], user["keys"]) == ("2.5", True, ["first key"])
    assert farm.client(body["access_key"]).get("/v1/me").json()["credits_available"] == 2.5
    login = {"email": "bob@example.com", "secret": "correct horse"}
    assert httpx.post(f"{farm.url}/v1/login", json=login, timeout=60).status_code == 200
    assert admin.post("/v1/users", json=new).json()["code"] == "conflict"
    emails = [each["email"] for each in admin.get("/v1/users").json()["users"]]
    assert emails == ["bob@example.com", "root@example.com"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": f"{'x' * 400}@example.com"}, "email"),
        ({"email": "a/b@example.com"}, "email"),
        ({"credits": "1E+1000000"}, "credits"),
        ({"credits": "1E-2000000"}, "credits"),
        ({"credits": "999999999.00000000000000000000000001"}, "credits"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 2000}, "password"),
        ({"credits": -1}, "credits"),
        ({"credits": "0.0000001"}, "credits"),
        ({"credits": 10**12}, "credits"),
        ({"role": "king"}, "role"),
    ],
)
def test_a_wrong_field_of_a_new_user_is_named(
    admin: httpx.Client, wrong: dict[str, Any], field: str
) -> None:
    answer = admin.post("/v1/users", json={"email": "bob@example.com", **wrong})
    assert refused(answer) == ("invalid_request", [field])
    assert len(admin.get("/v1/users").json()["users"]) == 1


def test_a_long_address_has_a_short_name(admin: httpx.Client) -> None:
    created = admin.post("/v1/users", json={"email": f"{'x' * 300}@example.com"})
    assert len(created.json()["user"]["name"]) == 200


def test_a_plan_that_does_not_exist_creates_nobody(admin: httpx.Client) -> None:
    answer = admin.post("/v1/users", json={"email": "bob@example.com", "plan": "Gold"})
    assert answer.json()["code"] == "not_found"
    assert "'Standard'" in answer.json()["message"]
    assert len(admin.get("/v1/users").json()["users"]) == 1


def test_a_change_counts_at_once(farm: Farm, admin: httpx.Client, ann: httpx.Client) -> None:
    admin.put("/v1/plans/Small", json={"job_throughput_limit": 1, "max_throughput": 2})
    user = admin.patch(f"/v1/users/{EMAIL}", json={"plan": "Small", "name": "Ann"}).json()
    assert (user["plan"], user["name"], user["role"]) == ("Small", "Ann", "artist")
    me = ann.get("/v1/me").json()
    assert (me["job_throughput_limit"], me["max_throughput"]) == (1, 2)
    assert (me["service_plan"], me["name"]) == ("Small", "Ann")
    # Somebody who was made an administrator is one with the next request.
    assert ann.get("/v1/users").status_code == 403
    admin.patch(f"/v1/users/{EMAIL}", json={"role": "admin"}).raise_for_status()
    assert ann.get("/v1/users").status_code == 200


@pytest.mark.parametrize(("instances", "shown"), [(5, (5, 5)), (0, (1, 2))])
def test_a_larger_plan_starts_more_runners_of_a_job_that_runs(
    farm: Farm,
    admin: httpx.Client,
    ann: httpx.Client,
    instances: int,
    shown: tuple[int, int],
) -> None:
    admin.put("/v1/plans/Small", json={"job_throughput_limit": 1, "max_throughput": 1})
    admin.patch(f"/v1/users/{EMAIL}", json={"plan": "Small"}).raise_for_status()
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    ann.post("/v1/submissions", json=spec(instances=instances)).raise_for_status()
    before = job_of(ann)["instances"]
    runner = FakeRunner(farm)
    assert runner.claim() == [1, 2, 3, 4]
    assert runner.beat(1) == "continue"
    assert len(farm.engine.launched) == 1
    admin.put("/v1/plans/Small", json={"job_throughput_limit": 2, "max_throughput": 2})
    assert (before, job_of(ann)["instances"]) == shown
    # It had all frames: now it gives back those that it has not begun.
    assert runner.beat(1) == "yield"
    assert runner.done(1).status_code == 204
    runner.finish("stopped")
    second = FakeRunner(farm, 2)
    assert (len(runner.claim()), len(second.claim())) == (1, 1)


def test_a_movement_with_a_reference_happens_once(farm: Farm, admin: httpx.Client) -> None:
    farm.user(EMAIL)
    address = f"/v1/users/{EMAIL}/credits"

    def available(**move: object) -> httpx.Response:
        return admin.post(address, json={"credits": "5", "reason": "gift", **move})

    before = Decimal(admin.get(f"/v1/users/{EMAIL}").json()["available"])
    for _ in range(2):
        user = available(reference="invoice 7").raise_for_status().json()
        assert Decimal(user["available"]) == before + 5
    for other in ({"credits": "6"}, {"reason": "another"}):
        assert available(reference="invoice 7", **other).json()["code"] == "conflict"
    # Each account has references of its own; without one, each call moves.
    mine = "/v1/users/root@example.com/credits"
    first = admin.get(mine).json()["movements"]
    admin.post(mine, json={"credits": "5", "reason": "gift", "reference": "invoice 7"})
    assert len(admin.get(mine).json()["movements"]) == len(first) + 1
    for number in (2, 3):
        assert Decimal(available().json()["available"]) == before + 5 * number
    assert available(reference="x" * 101).status_code == 400


def test_a_disabled_user_is_out_and_its_renderer_ends(
    farm: Farm, admin: httpx.Client, ann: httpx.Client
) -> None:
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    runner = FakeRunner(farm)
    runner.claim()
    assert not admin.patch(f"/v1/users/{EMAIL}", json={"active": False}).json()["active"]
    assert runner.beat(1) == "stop"
    assert ann.get("/v1/me").status_code == 401
    admin.patch(f"/v1/users/{EMAIL}", json={"active": True}).raise_for_status()
    assert job_of(ann)["state"] in ("running", "suspended", "ready")


def test_who_waits_for_news_hears_of_the_end_of_its_key(
    admin: httpx.Client, ann: httpx.Client
) -> None:
    cursor = ann.get("/v1/changes").json()["cursor"]
    answers: list[int] = []

    def wait() -> None:
        answers.append(ann.get("/v1/changes", params={"after": cursor, "wait": 30}).status_code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    admin.post(f"/v1/users/{EMAIL}/key").raise_for_status()
    # Any change wakes those who wait.
    admin.patch(f"/v1/users/{EMAIL}", json={"name": "Ann"}).raise_for_status()
    waiting.join(60)
    assert answers == [401]


def test_credits_move_with_a_reason(admin: httpx.Client, ann: httpx.Client) -> None:
    address = f"/v1/users/{EMAIL}/credits"
    move = {"credits": "-30.25", "reason": "paid back"}
    assert admin.post(address, json=move).json()["available"] == "69.75"
    moved = admin.get(address).json()["movements"]
    assert [(each["credits"], each["reason"]) for each in moved] == [
        ("-30.25", "paid back"),
        ("100", "opening balance"),
    ]
    assert ann.get("/v1/me/credits").json()["movements"] == moved
    for wrong, field in (
        ({"credits": 0, "reason": "x"}, "credits"),
        ({"credits": "NaN", "reason": "x"}, "credits"),
        ({"credits": 5, "reason": " "}, "reason"),
    ):
        assert refused(admin.post(address, json=wrong)) == ("invalid_request", [field])


def test_passwords_and_keys_are_replaced(
    farm: Farm, admin: httpx.Client, ann: httpx.Client
) -> None:
    key = admin.post(f"/v1/users/{EMAIL}/key").json()["access_key"]
    assert ann.get("/v1/me").status_code == 401
    assert farm.client(key).get("/v1/me").status_code == 200
    address = f"/v1/users/{EMAIL}/password"
    assert refused(admin.post(address, json={"password": "x"}))[1] == ["password"]
    assert admin.post(address, json={"password": "another horse"}).status_code == 204
    assert farm.client(key).get("/v1/me").status_code == 401
    login = {"email": EMAIL, "secret": "another horse"}
    assert httpx.post(f"{farm.url}/v1/login", json=login, timeout=60).status_code == 200


def test_plans_are_made_changed_and_removed(admin: httpx.Client, ann: httpx.Client) -> None:
    plans = admin.put("/v1/plans/Gold", json={"job_throughput_limit": 5, "max_throughput": 9})
    assert [(each["name"], each["users"]) for each in plans.json()["plans"]] == [
        ("Gold", 0),
        ("Standard", 2),
    ]
    for wrong in ({"job_throughput_limit": 0}, {"job_throughput_limit": 10**9}):
        answer = admin.put("/v1/plans/Gold", json={"max_throughput": 9, **wrong})
        assert refused(answer) == ("invalid_request", ["job_throughput_limit"])
    admin.patch(f"/v1/users/{EMAIL}", json={"plan": "Gold"}).raise_for_status()
    for name in ("Gold", "Standard"):
        assert admin.delete(f"/v1/plans/{name}").json()["code"] == "conflict"
    admin.patch(f"/v1/users/{EMAIL}", json={"plan": "Standard"}).raise_for_status()
    left = admin.delete("/v1/plans/Gold").json()["plans"]
    assert [each["name"] for each in left] == ["Standard"]
    assert admin.delete("/v1/plans/Gold").json()["code"] == "not_found"


def test_nobody_gives_up_the_own_role(admin: httpx.Client) -> None:
    for change in ({"role": "artist"}, {"active": False}):
        answer = admin.patch("/v1/users/root@example.com", json=change)
        assert answer.json()["code"] == "conflict"
    assert admin.patch("/v1/users/root@example.com", json={"name": "Root"}).status_code == 200


def test_an_unknown_user_is_not_found(admin: httpx.Client) -> None:
    assert admin.get("/v1/users/nobody@example.com").json()["code"] == "not_found"


def test_users_decide_about_their_emails(ann: httpx.Client) -> None:
    changed = ann.patch("/v1/me", json={"email_notices": False}).json()
    assert (changed["email"], changed["email_notices"]) == (EMAIL, False)
    assert refused(ann.patch("/v1/me", json={"role": "admin"})) == ("invalid_request", ["role"])
