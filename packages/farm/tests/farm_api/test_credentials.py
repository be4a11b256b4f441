"""Passwords and keys: what is accepted, what is stored, and who is let in by what."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import argon2
import httpx
import pytest
from farm.accounts import credentials
from farm.accounts.attempts import FREE
from farm.accounts.credentials import MAX_PASSWORD, MIN_PASSWORD
from farm.accounts.users import create
from farm.db import accounts
from farm.db.tables import access_keys
from farm.db.tables import accounts as account_table
from farm.errors import ConflictError, InvalidRequestError, NotAuthenticatedError, NotFoundError
from farm_protocol.users import NewUser, Role
from sqlalchemy import select, update

from .conftest import Farm

EMAIL, PASSWORD = "ann@example.com", "correct horse"


def login(farm: Farm, secret: str, email: str = EMAIL, **more: str) -> httpx.Response:
    body = {"email": email, "secret": secret, **more}
    return httpx.post(f"{farm.url}/v1/login", json=body, timeout=60)


def me(farm: Farm, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{farm.url}/v1/me", headers=headers, timeout=60).status_code


def set_account(farm: Farm, **values: Any) -> None:
    with farm.database.write() as connection:
        connection.execute(update(account_table).values(**values))


def stored(farm: Farm) -> tuple[Any, list[Any]]:
    """Return the hash of the only user's password, and the rows of the keys."""
    with farm.database.read() as connection:
        hashed = connection.execute(select(account_table.c.password_hash)).scalar_one()
        return hashed, list(connection.execute(select(access_keys)).all())


def test_a_secret_is_long_random_and_stored_as_a_hash() -> None:
    made = {credentials.new_secret("ek_") for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"ek_[\w-]{43}", each) for each in made)
    assert credentials.hash_secret("x") == (
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    )


def test_neither_password_nor_key_is_stored(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    key = login(farm, PASSWORD).json()["access_key"]
    assert key.startswith(credentials.KEY_PREFIX)
    hashed, keys = stored(farm)
    assert hashed.startswith("$argon2id$")
    parameters = argon2.extract_parameters(hashed)
    assert (parameters.time_cost, parameters.memory_cost) == (2, 19_456)
    assert not any(secret in f"{hashed}{keys}" for secret in (PASSWORD, key))


@pytest.mark.parametrize(
    ("length", "fits"),
    [
        (0, False),
        (MIN_PASSWORD - 1, False),
        (MIN_PASSWORD, True),
        (MAX_PASSWORD, True),
        (MAX_PASSWORD + 1, False),
    ],
)
def test_how_long_a_password_is(farm: Farm, length: int, fits: bool) -> None:
    def sets() -> None:
        credentials.reset_password(farm.database, EMAIL, "y" * length)

    farm.user(EMAIL, password=PASSWORD)
    if fits:
        assert credentials.check_new("bob@example.com", "x" * length) == "bob@example.com"
        sets()
        assert login(farm, "y" * length).status_code == 200
        return
    with pytest.raises(InvalidRequestError) as caught:
        credentials.check_new("bob@example.com", "x" * length)
    assert list(caught.value.errors) == ["password"]
    with pytest.raises(InvalidRequestError) as caught:
        sets()
    assert list(caught.value.errors) == ["password"]
    assert login(farm, PASSWORD).status_code == 200  # As before.


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (" Ann@Example.COM ", EMAIL),
        ("a@b", "a@b"),
        # Other people than "strasse" and "ärzte": only A-Z have another case.
        ("straße@Example.com", "straße@example.com"),
        ("Ärzte@example.com", "Ärzte@example.com"),
        ("x" * 308 + "@example.com", "x" * 308 + "@example.com"),
        ("x" * 309 + "@example.com", ""),
        ("ann", ""),
        ("ann@example.com\n", EMAIL),
        ("ann@exa\nmple.com", ""),
        # What looks like an "@" or a space is one.
        ("ann\uff20example.com", EMAIL),
        ("ann@bob\uff20example.com", ""),
        ("a\N{NO-BREAK SPACE}nn@example.com", ""),
        ("\N{CARE OF}@example.com", ""),  # c/o
        ("\ufdfa" * 20 + "@example.com", ""),  # 18 letters each
    ],
)
def test_what_an_address_is(given: str, address: str) -> None:
    if address:
        assert credentials.check_new(given, None) == address
        return
    with pytest.raises(InvalidRequestError) as caught:
        credentials.check_new(given, "short")
    # Both faults are told at once.
    assert list(caught.value.errors) == ["email", "password"]


def test_addresses_that_unicode_folds_into_one_are_two_accounts(farm: Farm) -> None:
    first = farm.user("straße@example.com", password=PASSWORD)
    second = farm.user("strasse@example.com", password="another horse")
    for client, email, password in (
        (first, "straße@example.com", PASSWORD),
        (second, "strasse@example.com", "another horse"),
    ):
        assert client.get("/v1/me").json()["email_address"] == email
        body = {"email": email.replace("s", "S", 1), "secret": password}
        answer = httpx.post(f"{farm.url}/v1/login", json=body, timeout=60)
        assert answer.json()["email"] == email


SPELLINGS = [
    ("zo\u00eb@example.com", "Zoe\u0308@example.com"),
    ("ann@example.com", "\uff21\uff4e\uff4e\uff20example\uff0ecom"),
    ("fiona@example.com", "\ufb01ona@example.com"),
    ("kim@example.com", "\N{KELVIN SIGN}im@example.com"),
    # There is no such capital: it has a mark behind it until it is a small letter.
    ("\u1e96ans@example.com", "H\u0331ans@example.com"),
]
"""Of one address: as it is kept, and another one that looks the same."""


@pytest.mark.parametrize(("kept", "other"), [*SPELLINGS, *(pair[::-1] for pair in SPELLINGS)])
def test_addresses_that_look_the_same_are_one_account(farm: Farm, kept: str, other: str) -> None:
    admin = farm.user("admin@example.com", role=Role.ADMIN)
    made = farm.user(kept, password=PASSWORD)
    address = made.get("/v1/me").json()["email_address"]
    assert address in dict(SPELLINGS)
    for email in (kept, other):
        answer = httpx.post(
            f"{farm.url}/v1/login", json={"email": email, "secret": PASSWORD}, timeout=60
        )
        assert answer.json()["email"] == address
        # An access key signs in as well, with the address that it belongs to.
        secret = answer.json()["access_key"]
        answer = httpx.post(
            f"{farm.url}/v1/login", json={"email": email, "secret": secret}, timeout=60
        )
        assert answer.json()["access_key"] == secret
        assert admin.get(f"/v1/users/{quote(email)}").json()["email"] == address
        again = admin.post("/v1/users", json={"email": email})
        assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_two_accounts_of_an_older_farm_each_keep_their_spelling(farm: Farm) -> None:
    """Which the migration left as they were."""
    composed, decomposed = "zo\u00eb@example.com", "zoe\u0308@example.com"
    keys: dict[str, httpx.Client] = {}
    for email in (composed, decomposed):
        keys[email] = farm.user(f"{len(keys)}@example.com", password=PASSWORD)
        with farm.database.write() as connection:
            old = accounts.by_email(connection, f"{len(keys) - 1}@example.com")
            assert old is not None
            connection.execute(
                update(account_table).where(account_table.c.id == old.id).values(email=email)
            )
    for email, client in keys.items():
        assert client.get("/v1/me").json()["email_address"] == email
        for secret in (PASSWORD, client.headers["authorization"].partition(" ")[2]):
            answer = httpx.post(
                f"{farm.url}/v1/login", json={"email": email, "secret": secret}, timeout=60
            )
            assert answer.json()["email"] == email
    with pytest.raises(ConflictError):
        create(farm.database, NewUser(email="\uff5ao\u00eb@example.com"))


def test_a_new_password_withdraws_all_keys_and_a_new_key_the_others(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    first, second = (login(farm, PASSWORD, label=name).json()["access_key"] for name in "ab")
    assert (me(farm, first), me(farm, second)) == (200, 200)
    credentials.reset_password(farm.database, f" {EMAIL.upper()}", "another horse")
    assert (me(farm, first), me(farm, second)) == (401, 401)
    assert stored(farm)[1] == []
    assert login(farm, PASSWORD).status_code == 401
    third = login(farm, "another horse").json()["access_key"]
    new = credentials.rotate_key(farm.database, f"{EMAIL.upper()} ")
    assert new.startswith(credentials.KEY_PREFIX)
    assert (me(farm, third), me(farm, new)) == (401, 200)
    assert [key.label for key in stored(farm)[1]] == ["rotated"]
    # The password is still good.
    assert login(farm, "another horse").status_code == 200


def test_nobody_is_changed_by_a_name_that_there_is_not(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    with pytest.raises(NotFoundError):
        credentials.reset_password(farm.database, "eve@example.com", "another horse")
    with pytest.raises(NotFoundError):
        credentials.rotate_key(farm.database, "eve@example.com")
    assert login(farm, PASSWORD).status_code == 200


def test_a_key_signs_in_its_owner_and_nobody_else(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    farm.user("eve@example.com", password="eve's own password")
    key = login(farm, PASSWORD, label="My workstation").json()["access_key"]
    told = login(farm, key, f" {EMAIL.upper()} ").json()
    assert told == {"email": EMAIL, "access_key": key, "device": ""}
    # Nor is one made: no password was given.
    with farm.database.read() as connection:
        labels = [row.label for row in connection.execute(select(access_keys)).all()]
    assert labels.count("My workstation") == 1
    assert login(farm, key, "eve@example.com").status_code == 401
    assert login(farm, key, "nobody@example.com").status_code == 401
    assert login(farm, PASSWORD, "eve@example.com").status_code == 401


def test_a_key_that_somebody_knows_is_not_slowed_down_by_guesses(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    key = login(farm, PASSWORD).json()["access_key"]
    for _ in range(FREE["account"] + 1):
        login(farm, "guess")
    assert login(farm, key).status_code == 200


def test_a_label_says_whose_key_it_is(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    login(farm, PASSWORD, label="My workstation").raise_for_status()
    login(farm, PASSWORD).raise_for_status()
    labels = [row.label for row in stored(farm)[1]]
    assert labels[-2:] == ["My workstation", "Envoy"]


def test_a_disabled_user_is_let_in_by_nothing(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    key = login(farm, PASSWORD).json()["access_key"]
    before = len(stored(farm)[1])
    set_account(farm, active=False)
    assert me(farm, key) == 401
    for secret in (PASSWORD, key):
        answer = login(farm, secret)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert len(stored(farm)[1]) == before
    with farm.database.read() as connection, pytest.raises(NotAuthenticatedError):
        credentials.authenticate(connection, key)
    set_account(farm, active=True)
    assert me(farm, key) == 200


def test_an_account_without_a_password_is_not_let_in_by_one(farm: Farm) -> None:
    farm.user(EMAIL)
    for secret in ("", "None", PASSWORD, "null"):
        assert login(farm, secret).status_code in (400, 401)
    assert login(farm, PASSWORD, device="0" * 64).status_code == 401


def test_an_old_hash_is_replaced_at_the_next_sign_in(farm: Farm) -> None:
    farm.user(EMAIL, password=PASSWORD)
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    set_account(farm, password_hash=weak)
    assert login(farm, "wrong horse").status_code == 401
    assert stored(farm)[0] == weak
    assert login(farm, PASSWORD).status_code == 200
    hashed = stored(farm)[0]
    assert argon2.extract_parameters(hashed).memory_cost == 19_456
    assert login(farm, PASSWORD).status_code == 200
    assert stored(farm)[0] == hashed


def test_a_device_is_known_again_after_the_hash_was_replaced(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
        before.setattr(credentials, "_hasher", weak)
        farm.user(EMAIL, password=PASSWORD)
        old = login(farm, PASSWORD).json()["device"]
        assert login(farm, PASSWORD, device=old).json()["device"] == ""
    # It is signed with the hash, and so it ends with it.
    new = login(farm, PASSWORD, device=old).json()["device"]
    assert new not in ("", old)
    assert login(farm, PASSWORD, device=new).json()["device"] == ""


def test_who_is_locked_out_while_the_password_is_looked_at_gets_no_key(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.user(EMAIL, password=PASSWORD)
    hasher = credentials._hasher
    before = len(stored(farm)[1])

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

        def verify(self, known: str, secret: str) -> bool:
            right = hasher.verify(known, secret)
            set_account(farm, active=False)
            return right

    monkeypatch.setattr(credentials, "_hasher", Slow())
    assert login(farm, PASSWORD).status_code == 401
    assert len(stored(farm)[1]) == before


def test_keys_carry_when_they_were_made(farm: Farm) -> None:
    start = datetime.now(UTC)
    farm.user(EMAIL, password=PASSWORD)
    login(farm, PASSWORD).raise_for_status()
    with farm.database.read() as connection:
        account = accounts.by_email(connection, EMAIL)
    assert account is not None
    assert all(start <= row.created_at <= datetime.now(UTC) for row in stored(farm)[1])


def test_the_oldest_of_too_many_keys_ends(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MOST_KEYS", 3)
    bystander = farm.user("bob@example.com")
    farm.user(EMAIL, password=PASSWORD)
    labels = ("one", "two", "three", "three", "four")
    keys = [login(farm, PASSWORD, label=label).json()["access_key"] for label in labels]
    assert [me(farm, key) for key in keys] == [401, 200, 401, 200, 200]
    bystander.get("/v1/me").raise_for_status()
