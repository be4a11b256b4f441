"""Signing in: wrong passwords are slowed down, keys are not."""

import httpx
import pytest
from farm.accounts import credentials
from farm.accounts.attempts import FREE, LONGEST_PAUSE_SECONDS, MOST_KNOWN, Attempts
from farm.errors import TooManyAttemptsError
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Farm

EMAIL, PASSWORD = "ann@example.com", "correct horse"


def login(farm: Farm, secret: str, email: str = EMAIL) -> httpx.Response:
    return httpx.post(f"{farm.url}/v1/login", json={"email": email, "secret": secret})


def test_guessing_is_slowed_down_and_keys_still_work(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    key = login(farm, PASSWORD).json()["access_key"]
    for _ in range(FREE["account"]):
        assert login(farm, "guess").status_code == 401
    refused = login(farm, "guess")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert refused.json()["retry"]
    assert int(refused.headers["Retry-After"]) >= 1
    # Also with the right password: else an answer would tell which guess was right.
    assert login(farm, PASSWORD).status_code == 429
    assert login(farm, key).json() == {"email": EMAIL, "access_key": key}
    me = httpx.get(f"{farm.url}/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert me.status_code == 200
    # Others are not held up.
    farm.user("bob@example.com", password=PASSWORD)
    assert login(farm, PASSWORD, "bob@example.com").status_code == 200


def test_an_unknown_user_costs_as_much_as_a_wrong_password(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.user(EMAIL, password=PASSWORD)
    farm.user("keyed@example.com")
    verified = []
    hasher = credentials._hasher

    class Counting:
        def verify(self, known: str, secret: str) -> bool:
            verified.append(known)
            return hasher.verify(known, secret)

        def hash(self, secret: str) -> str:
            return hasher.hash(secret)

    monkeypatch.setattr(credentials, "_hasher", Counting())
    answers = [
        login(farm, "wrong", who) for who in (EMAIL, "nobody@example.com", "keyed@example.com")
    ]
    assert len(verified) == 3
    assert {(answer.status_code, answer.json()["message"]) for answer in answers} == {
        (401, answers[0].json()["message"])
    }


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def waits(attempts: Attempts, account: str, address: str) -> int:
    try:
        attempts.check(account, address)
    except TooManyAttemptsError as error:
        return error.seconds
    return 0


@given(st.integers(0, 60))
def test_pauses_grow_and_end(failures: int) -> None:
    clock = Clock()
    attempts = Attempts(clock)
    before = 0
    for number in range(1, failures + 1):
        attempts.failed("ann", "1.2.3.4")
        wait = waits(attempts, "ann", "1.2.3.4")
        assert wait >= before
        assert (wait == 0) == (number < FREE["account"])
        assert wait <= LONGEST_PAUSE_SECONDS + 1
        before = wait
    clock.now += before
    assert waits(attempts, "ann", "1.2.3.4") == 0
    attempts.succeeded("ann")
    attempts.failed("ann", "5.6.7.8")
    assert waits(attempts, "ann", "5.6.7.8") == 0


def test_one_address_that_tries_many_accounts() -> None:
    attempts = Attempts(Clock())
    for number in range(FREE["address"]):
        assert waits(attempts, f"user {number}", "1.2.3.4") == 0
        attempts.failed(f"user {number}", "1.2.3.4")
    assert waits(attempts, "another", "1.2.3.4") > 0
    assert waits(attempts, "another", "5.6.7.8") == 0


def test_guessing_does_not_fill_the_memory() -> None:
    attempts = Attempts(Clock())
    for number in range(MOST_KNOWN):
        attempts.failed(f"user {number}", f"address {number}")
    assert len(attempts._failures) == MOST_KNOWN
