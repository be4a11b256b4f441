"""Signing in: wrong passwords are slowed down, keys are not."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from farm.accounts import credentials
from farm.accounts.attempts import (
    FORGET_SECONDS,
    FREE,
    MOST_KNOWN,
    PAUSES,
    Attempts,
)
from farm.errors import InvalidRequestError, TooManyAttemptsError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from .conftest import Farm

EMAIL, PASSWORD = "ann@example.com", "correct horse"


def login(farm: Farm, secret: str, email: str = EMAIL) -> httpx.Response:
    return httpx.post(f"{farm.url}/v1/login", json={"email": email, "secret": secret}, timeout=60)


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
    assert login(farm, key).json() == {"email": EMAIL, "access_key": key, "device": ""}
    me = httpx.get(f"{farm.url}/v1/me", headers={"Authorization": f"Bearer {key}"}, timeout=60)
    assert me.status_code == 200
    # Others are not held up.
    farm.user("bob@example.com", password=PASSWORD)
    assert login(farm, PASSWORD, "bob@example.com").status_code == 200


def test_nobody_gets_another_address_by_saying_so(farm: Farm) -> None:
    for number in range(FREE["address"] + 1):
        answer = httpx.post(
            f"{farm.url}/v1/login",
            json={"email": f"user{number}@example.com", "secret": "guess"},
            headers={"X-Forwarded-For": f"10.0.0.{number}"},
        )
        assert answer.status_code == (401 if number < FREE["address"] else 429)


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
            raise AssertionError("that would take as long again")

        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

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
    """Guess wrongly once; return the seconds to wait instead, if that is so."""
    try:
        attempts.begin(account, address)
    except TooManyAttemptsError as error:
        return error.seconds
    return 0


@given(st.integers(0, 40))
def test_pauses_grow_and_end(guesses: int) -> None:
    clock = Clock()
    attempts = Attempts(clock)
    before = 0
    for number in range(guesses):
        wait = waits(attempts, "ann", f"address {number}")
        assert (wait == 0) == (number < FREE["account"])
        assert before <= wait <= PAUSES.longest + 1
        before = wait
        # Whoever waits as long as told may try again.
        clock.now += wait
        if wait:
            assert waits(attempts, "ann", f"address {number}") == 0
    counted = attempts.begin("ann", "home", "her device")
    attempts.succeeded("ann", "home", counted)
    assert waits(attempts, "ann", "home") == 0


def test_one_address_that_tries_many_accounts() -> None:
    attempts = Attempts(Clock())
    for number in range(FREE["address"]):
        assert waits(attempts, f"user {number}", "1.2.3.4") == 0
    assert waits(attempts, "another", "1.2.3.4") > 0
    assert waits(attempts, "another", "5.6.7.8") == 0


def test_who_knows_the_password_is_not_counted() -> None:
    attempts = Attempts(Clock())
    for number in range(3 * FREE["address"]):
        counted = attempts.begin(f"user {number}", "1.2.3.4")
        attempts.succeeded(f"user {number}", "1.2.3.4", counted)


def test_guessing_does_not_fill_the_memory() -> None:
    attempts = Attempts(Clock())
    for number in range(MOST_KNOWN):
        attempts.begin(f"user {number}", f"address {number}")
    assert len(attempts._failures) == MOST_KNOWN
    for number in range(MOST_KNOWN + 1):
        attempts.succeeded(f"user {number}", "1.2.3.4", [])
    assert len(attempts._homes) == MOST_KNOWN


def test_each_further_guess_doubles_the_pause() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    pauses = []
    for _ in range(FREE["account"] + 12):
        if wait := waits(attempts, "ann", "home"):
            clock.now += wait - 2
            assert waits(attempts, "ann", "home") == 2  # Not earlier than told.
            clock.now += 1
            pauses.append(wait - 1)
            assert waits(attempts, "ann", "home") == 0
    expected = [min(300.0, 2.0 * 2**n) for n in range(12)]
    assert pauses == expected


@pytest.mark.parametrize(("later", "free"), [(0.0, 1), (1.0, FREE["account"])])
def test_after_an_hour_counting_begins_anew(later: float, free: int) -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(FREE["account"]):
        waits(attempts, "ann", f"address {number}")
    clock.now += FORGET_SECONDS + later
    again = [waits(attempts, "ann", f"address {number}") for number in range(free + 1)]
    assert [wait > 0 for wait in again] == [False] * free + [True]


def test_a_success_takes_back_one_guess_of_its_address_and_all_of_its_account() -> None:
    attempts = Attempts(Clock())
    for _ in range(FREE["account"] - 1):
        attempts.begin("ann", "elsewhere")
    for number in range(FREE["address"] - 2):
        attempts.begin(f"user {number}", "office")
    attempts.succeeded("ann", "office", attempts.begin("ann", "office"))
    for number in range(FREE["account"]):
        assert waits(attempts, "ann", f"address {number}") == 0
    assert waits(attempts, "bob", "office") == waits(attempts, "eve", "office") == 0
    assert waits(attempts, "fay", "office") > 0


def test_a_device_and_an_address_that_knew_the_password_have_guesses_of_their_own() -> None:
    attempts = Attempts(Clock())
    attempts.succeeded("ann", "home", attempts.begin("ann", "home"))
    while not waits(attempts, "ann", "elsewhere"):
        pass
    assert not attempts.is_home("ann", "elsewhere")
    assert not attempts.is_home("bob", "home")
    for _ in range(FREE["home"]):
        assert waits(attempts, "ann", "home") == 0
    assert waits(attempts, "ann", "home") > 0
    for device in ("her device", "another"):
        for _ in range(FREE["device"]):
            attempts.begin("ann", "home", device)
        with pytest.raises(TooManyAttemptsError):
            attempts.begin("ann", "home", device)


def test_a_full_memory_counts_whoever_guesses_now() -> None:
    attempts = Attempts(Clock())
    for number in range(MOST_KNOWN):
        attempts.begin(f"user {number}", f"address {number}")
    for number in range(FREE["account"]):
        assert waits(attempts, "ann", f"another address {number}") == 0
    assert waits(attempts, "ann", "one more") > 0


def test_who_was_there_lately_is_forgotten_last() -> None:
    attempts = Attempts(Clock())
    attempts.begin("ann", "her address")
    for number in range(MOST_KNOWN // 2 - 1):
        attempts.begin(f"user {number}", f"address {number}")
    for _ in range(FREE["account"] - 1):
        attempts.begin("ann", "her address")
    attempts.begin("another", "another address")
    assert waits(attempts, "ann", "her address") > 0
    for number in range(MOST_KNOWN):
        attempts.succeeded(f"user {number}", "office", [])
    attempts.succeeded("user 0", "office", [])
    attempts.succeeded("another", "office", [])
    assert attempts.is_home("user 0", "office")
    assert not attempts.is_home("user 1", "office")
    assert attempts.is_home("user 2", "office")


def test_guesses_at_once_are_no_way_around(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    with ThreadPoolExecutor(20) as pool:
        codes = Counter(pool.map(lambda n: login(farm, f"guess {n}").status_code, range(20)))
    assert codes == {401: FREE["account"], 429: 20 - FREE["account"]}


def test_a_reset_meanwhile_is_not_slipped_past(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.user(EMAIL, password=PASSWORD)
    hasher = credentials._hasher

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

        def verify(self, known: str, secret: str) -> bool:
            right = hasher.verify(known, secret)
            monkeypatch.setattr(credentials, "_hasher", hasher)
            credentials.reset_password(farm.database, EMAIL, "another horse")
            return right

    monkeypatch.setattr(credentials, "_hasher", Slow())
    assert login(farm, PASSWORD).status_code == 401
    assert login(farm, "another horse").status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "eve@example.com,zed@example.com",
        "a@b@c",
        "@@@",
        "a\0@b",
        "ann@[",
        "<a@b>",
        "a b@c",
        "@c",
        "a@",
    ],
)
def test_an_address_names_one_user(farm: Farm, address: str) -> None:
    # A control character is refused where the account is described, by its type.
    with pytest.raises((InvalidRequestError, ValidationError)):
        farm.user(address)
