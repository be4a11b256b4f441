"""Guesses make strangers wait, and nobody who knows the password."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from farm.accounts import credentials
from farm.accounts.attempts import FREE, Attempts
from farm.accounts.password_queue import MOST_OF_AN_ADDRESS, MOST_WAITING, PasswordQueue
from farm.db import accounts
from farm.errors import TooManyAttemptsError
from http_gate.addresses import network_of

from .conftest import Farm

EMAIL, PASSWORD = "ann@example.com", "correct horse"
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""To load them for each call would cost more than the call."""


def login(
    farm: Farm, secret: str, email: str = EMAIL, device: str = "", source: str = "127.0.0.1"
) -> httpx.Response:
    """Sign in from an address of this machine."""
    transport = httpx.HTTPTransport(local_address=source, verify=NO_CERTIFICATES)
    with httpx.Client(transport=transport, timeout=60) as client:
        body = {"email": email, "secret": secret, "device": device}
        return client.post(f"{farm.url}/v1/login", json=body)


def guess_until_refused(farm: Farm, source: str = "127.0.0.1", device: str = "") -> None:
    for number in range(2 * FREE["address"]):
        if login(farm, f"guess {number}", device=device, source=source).status_code == 429:
            return
    raise AssertionError("nobody slowed down the guesses")


def test_a_device_that_knew_the_password_does_not_wait_for_strangers(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    device = login(farm, PASSWORD).json()["device"]
    guess_until_refused(farm)  # From the same address.
    guess_until_refused(farm, "127.0.0.9")
    assert login(farm, PASSWORD).status_code == 429
    answer = login(farm, PASSWORD, device=device)
    assert answer.status_code == 200
    # The one that was sent is still good, from wherever.
    assert answer.json()["device"] == ""
    assert login(farm, PASSWORD, device=device, source="127.0.0.10").status_code == 200


def test_an_address_that_signed_in_before_does_not_wait_for_others(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    login(farm, PASSWORD, source="127.0.0.5").raise_for_status()
    guess_until_refused(farm, "127.0.0.6")
    assert login(farm, PASSWORD, source="127.0.0.7").status_code == 429
    for _ in range(2 * FREE["home"]):
        assert login(farm, PASSWORD, source="127.0.0.5").status_code == 200


def test_twenty_guesses_from_an_address_leave_its_users_alone(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    login(farm, PASSWORD).raise_for_status()
    for number in range(FREE["address"] + 1):
        last = login(farm, "guess", f"user{number}@example.com")
    assert last.status_code == 429
    assert login(farm, PASSWORD).status_code == 200


def test_a_device_is_slowed_down_on_its_own(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    device = login(farm, PASSWORD).json()["device"]
    guess_until_refused(farm, device=device)
    assert login(farm, PASSWORD, device=device).status_code == 429
    assert login(farm, PASSWORD).status_code == 200


def test_a_device_is_of_one_account_and_one_password(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    farm.user("bob@example.com", password=PASSWORD)
    device = login(farm, PASSWORD).json()["device"]
    credentials.reset_password(farm.database, EMAIL, "another horse")
    flipped = ("0" if device[0] != "0" else "1") + device[1:]
    for email, token in (
        ("bob@example.com", device),
        (EMAIL, device),
        (EMAIL, flipped),
        (EMAIL, "0" * 64),
        (EMAIL, "x" * 64),
        (EMAIL, device[:-2]),
        ("nobody@example.com", device),
    ):
        with farm.database.read() as connection:
            account = accounts.by_email(connection, email)
        assert credentials.device_of(account, token) == ""
    new = login(farm, "another horse", device=device).json()["device"]
    assert new
    assert new != device


def test_access_keys_never_wait(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    key = login(farm, PASSWORD).json()["access_key"]
    guess_until_refused(farm)
    for _ in range(30):
        assert login(farm, key).json()["access_key"] == key


@contextmanager
def guessed_at(farm: Farm, *sources: str) -> Iterator[None]:
    """Let others guess from several addresses for as long as it lasts."""
    over, begun = threading.Event(), threading.Barrier(len(sources) + 1)

    def guess(source: str) -> None:
        login(farm, "a guess", source=source)
        begun.wait(60)
        while not over.is_set():
            assert login(farm, "a guess", source=source).status_code in (401, 429)

    with ThreadPoolExecutor(len(sources)) as pool:
        guessers = [pool.submit(guess, source) for source in sources]
        begun.wait(60)
        try:
            yield
        finally:
            over.set()
        for each in guessers:
            each.result()


def test_who_knows_the_password_signs_in_while_others_guess(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    device = login(farm, PASSWORD, source="127.0.0.5").json()["device"]
    # One of them sits at the owner's own machine, or behind the same router.
    with guessed_at(farm, "127.0.0.1", "127.0.0.9"):
        for _ in range(FREE["device"] + 1):
            assert login(farm, PASSWORD, device=device).status_code == 200
            answer = login(farm, PASSWORD, source="127.0.0.5")
            assert answer.status_code == 200
            key = answer.json()["access_key"]
            assert login(farm, key, source="127.0.0.9").json()["access_key"] == key


@pytest.mark.parametrize("known", ["device", "address"])
def test_who_knows_the_password_may_use_it_several_times_at_once(farm: Farm, known: str) -> None:
    """The parts of a script, say, each of which signs in."""
    farm.user(EMAIL, password=PASSWORD)
    first = login(farm, PASSWORD, source="127.0.0.5").json()
    device = first["device"] if known == "device" else ""
    with ThreadPoolExecutor(16) as pool, guessed_at(farm, "127.0.0.9"):
        source = "127.0.0.1" if device else "127.0.0.5"
        many = [pool.submit(login, farm, PASSWORD, EMAIL, device, source) for _ in range(16)]
        assert [each.result().status_code for each in many] == [200] * 16


@contextmanager
def slow_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Look at passwords only when told; yields how many are looked at, and tells."""
    hasher, lock, go = credentials._hasher, threading.Lock(), threading.Event()
    seen: dict[str, Any] = {"now": 0, "most": 0, "begun": threading.Event(), "go": go}

    class Slow:
        def verify(self, known: str, secret: str) -> bool:
            with lock:
                seen["now"] += 1
                seen["most"] = max(seen["most"], seen["now"])
                seen["begun"].set()
            assert go.wait(60)
            with lock:
                seen["now"] -= 1
            return hasher.verify(known, secret)

        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

    monkeypatch.setattr(credentials, "_hasher", Slow())
    yield seen
    go.set()


def test_guesses_take_neither_all_cores_nor_all_answers(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.user(EMAIL, password=PASSWORD)
    first = login(farm, PASSWORD).json()
    device, key = first["device"], first["access_key"]
    with slow_passwords(monkeypatch) as seen, ThreadPoolExecutor(20) as pool:
        guesses = [
            pool.submit(login, farm, f"g{n}", f"u{n}@example.com", "", f"127.0.1.{n % 2}")
            for n in range(12)
        ]
        assert seen["begun"].wait(60)
        mine = pool.submit(login, farm, PASSWORD, EMAIL, device)
        # Everything else is answered meanwhile.
        for _ in range(20):
            assert httpx.get(f"{farm.url}/v1/health", timeout=60).status_code == 200
            assert login(farm, key).json()["access_key"] == key
        seen["go"].set()
        assert mine.result().status_code == 200
        statuses = {each.result().status_code for each in guesses}
    assert statuses <= {401, 429}
    assert seen["most"] == PasswordQueue()._free


async def test_the_known_come_first_and_an_address_takes_a_few_places() -> None:
    queue = PasswordQueue(1)
    order: list[str] = []
    leave = asyncio.Event()

    async def look(name: str, address: str, stranger: bool) -> None:
        async with queue.turn(address, stranger=stranger):
            order.append(name)
            await leave.wait()

    tasks = [asyncio.create_task(look("first", "a", True))]
    tasks += [asyncio.create_task(look(f"a{n}", "a", True)) for n in range(MOST_OF_AN_ADDRESS)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyAttemptsError):
        await look("too many", "a", True)
    tasks.append(asyncio.create_task(look("other", "b", True)))
    tasks.append(asyncio.create_task(look("owner", "a", False)))
    await asyncio.sleep(0)
    # One of those who wait goes away; its place is free again.
    tasks[1].cancel()
    await asyncio.wait(tasks[1:2])
    tasks.append(asyncio.create_task(look("late", "a", True)))
    await asyncio.sleep(0)
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order[:2] == ["first", "owner"]
    assert {"other", "late"} < set(order)
    assert "a0" not in order
    assert queue._free == 1
    assert not queue._of_address


async def test_who_goes_away_while_the_turn_is_handed_over_just_goes_away() -> None:
    queue = PasswordQueue(1)
    leave = asyncio.Event()

    async def look() -> None:
        async with queue.turn("a", stranger=True):
            await leave.wait()

    first, second = (asyncio.create_task(look()) for _ in range(2))
    await asyncio.sleep(0)
    leave.set()
    second.cancel()
    await asyncio.wait([first, second])
    assert second.cancelled()
    await look()  # The turn is free again.
    assert not queue._of_address


async def test_those_of_one_owner_wait_for_each_other_and_for_nobody_else() -> None:
    queue = PasswordQueue(8)
    order: list[str] = []
    leave = asyncio.Event()

    async def look(whose: str) -> None:
        async with queue.one_by_one((whose,)):
            order.append(whose)
            await leave.wait()

    tasks = [asyncio.create_task(look("ann")) for _ in range(MOST_WAITING)]
    tasks.append(asyncio.create_task(look("bob")))
    await asyncio.sleep(0)
    assert order == ["ann", "bob"]
    with pytest.raises(TooManyAttemptsError):
        await look("ann")
    # Who goes away leaves a place, and only one.
    tasks[1].cancel()
    await asyncio.wait(tasks[1:2])
    tasks.append(asyncio.create_task(look("ann")))
    await asyncio.sleep(0)
    with pytest.raises(TooManyAttemptsError):
        await look("ann")
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order.count("ann") == MOST_WAITING
    assert not queue._awaiting_own
    await look("ann")


async def test_no_more_wait_than_are_allowed() -> None:
    queue = PasswordQueue(1)

    async def look(number: int) -> None:
        async with queue.turn(str(number), stranger=True):
            await asyncio.sleep(0)

    answers = await asyncio.gather(*map(look, range(MOST_WAITING + 50)), return_exceptions=True)
    assert sum(isinstance(each, TooManyAttemptsError) for each in answers) == 49
    assert queue._free == 1


def test_strangers_do_not_drive_out_who_is_known() -> None:
    attempts = Attempts(lambda: 0.0)
    attempts.succeeded("ann", "home", attempts.begin("ann", "home"))
    for number in range(30_000):
        attempts.begin(f"user {number}", f"address {number}")
    assert attempts.is_home("ann", "home")


def test_one_network_is_one_sender() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::2:1") != network_of("2001:db8:0:1::")
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("testclient") == "testclient"
