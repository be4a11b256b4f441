"""Large bodies: what they say is found out while everybody else is answered."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from farm.api.bodies import LARGE
from farm_protocol.runner import MAX_OUTPUTS
from farm_protocol.users import Role
from http_gate.bodies import SMALL
from pydantic import BaseModel

from .conftest import Farm
from .raw import posted
from .runners import FakeRunner, at_work
from .test_hostile_texts import BODIES

JSON = {"Content-Type": "application/json"}


def large(body: object) -> bytes:
    """Return a body that says what a small one says."""
    return json.dumps(body).encode().ljust(SMALL.size + 1)


class Held:
    """Bodies of a model that are being parsed: as long as `goes_on` is not set."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.goes_on = threading.Event()


@contextmanager
def held(model: type[BaseModel], only: bytes = b"") -> Iterator[Held]:
    """Let those that hold ``only`` take as long as the test wants."""
    state, really = Held(), model.model_validate_json

    def parse(body: bytes, *args: Any, **kwargs: Any) -> BaseModel:
        if only in body:
            state.begun.release()
            state.goes_on.wait()
        return really(body, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "model_validate_json", parse)
        try:
            yield state
        finally:
            state.goes_on.set()


@pytest.fixture
def admin(farm: Farm) -> httpx.Client:
    return farm.user("admin@example.com", role=Role.ADMIN)


@pytest.fixture
def runner(farm: Farm, admin: httpx.Client) -> FakeRunner:
    return at_work(farm, admin)


@pytest.mark.parametrize("route", LARGE, ids=" ".join)
def test_everybody_is_answered_while_a_large_body_is_parsed(
    farm: Farm, admin: httpx.Client, runner: FakeRunner, route: tuple[str, str]
) -> None:
    method, path = route
    other = farm.user("ann@example.com")
    client = runner.http if path.startswith("/v1/runner/") else admin
    address = path.format(name="demo", claim_id=runner.claim_id)
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(client.request(method, address, content=large(BODIES[route]), headers=JSON))

    with held(LARGE[route].model) as parsing:
        asking = threading.Thread(target=ask)
        asking.start()
        parsing.begun.acquire()
        for _ in range(3):
            assert other.get("/v1/me").status_code == 200
        assert not answers
        parsing.goes_on.set()
        asking.join()
    assert answers[0].status_code < 500


@pytest.mark.parametrize("route", LARGE, ids=" ".join)
def test_a_large_body_is_answered_as_a_small_one(
    admin: httpx.Client, runner: FakeRunner, route: tuple[str, str]
) -> None:
    method, path = route
    client = runner.http if path.startswith("/v1/runner/") else admin
    address = path.format(name="demo", claim_id=runner.claim_id)
    bodies: list[Any] = [BODIES[route], BODIES[route] | {"unknown": 1}, [], {}]
    for body in bodies:
        answers = [
            client.request(method, address, content=content, headers=JSON)
            for content in (json.dumps(body).encode(), large(body))
        ]
        one, other = ((each.status_code, wrong_with(each)) for each in answers)
        assert one == other


def wrong_with(answer: httpx.Response) -> tuple[str, list[str]] | None:
    if answer.status_code < 400:
        return None
    return answer.json()["code"], list(answer.json()["errors"])


def test_credits_are_asked_about_before_a_check_is_parsed(farm: Farm) -> None:
    poor = farm.user("poor@example.com", credits="0")
    for content in (b"[", b"[" + b" " * SMALL.size):
        answer = poor.post("/v1/submissions/check", content=content, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_credits")


def test_large_bodies_of_one_account_wait_for_each_other_and_not_those_of_another(
    farm: Farm,
) -> None:
    greedy, ann = farm.user("greedy@example.com"), farm.user("ann@example.com")
    mine = {"paths": ["demo/greedy"]}, {"paths": ["demo/ann"]}
    address = "/v1/projects/demo/files/remove"
    model = LARGE["POST", "/v1/projects/{name}/files/remove"].model
    with held(model, only=b"greedy") as parsing, ExitStack() as stack:
        for _ in range(8):
            text = mine[0] | {"paths": ["demo/greedy" + " " * SMALL.size]}
            stack.enter_context(posted(farm.url, greedy, address, text))
        parsing.begun.acquire()
        answer = ann.post(address, content=large(mine[1]), headers=JSON)
        assert answer.status_code == 200
        assert not parsing.begun.acquire(blocking=False)


def test_a_frame_may_have_as_many_files_as_the_protocol_allows(farm: Farm) -> None:
    """All of them are read; that these were not sent is another matter."""
    runner = at_work(farm, farm.user("ann@example.com"))
    one = {"hash": "0" * 64, "size": 1}
    path = "demo/render_results/out/{}.png"
    files = [one | {"path": path.format(number)} for number in range(MAX_OUTPUTS)]
    answer = runner.post("frames", {"frame": 1, "seconds": 0, "outputs": files, "warnings": ["a"]})
    assert wrong_with(answer) == ("invalid_request", ["outputs[0].hash"])
