"""Passwords, access keys and runner tokens.

Passwords are chosen by people, so they are stored as argon2id. Keys and tokens are 256 random
bits, which nobody guesses: a plain SHA-256 hides them as well and costs nothing on every request.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import cache

import argon2
from farm_protocol.account import LoginAnswer, LoginRequest, canonical_email
from sqlalchemy import Connection

from farm.accounts.attempts import Attempts
from farm.accounts.password_queue import PasswordQueue
from farm.db import accounts as account_rows
from farm.db.accounts import AccountRow
from farm.db.engine.database import Database
from farm.errors import InvalidRequestError, NotAuthenticatedError, NotFoundError

# OWASP's choice for argon2id with little memory: a login costs 19 MiB for some 20 ms.
_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

KEY_PREFIX = "ek_"
"""Lets secret scanners recognise an access key that was committed by mistake."""

MIN_PASSWORD, MAX_PASSWORD = 8, 1024

# Narrower than what mail allows: nothing that could name a second recipient, break a header or end
# a part of the API's addresses.
_ADDRESS = re.compile(r"[^@\s,;:<>()\[\]\"\\/\x00-\x1f\x7f]+@[^@\s,;:<>()\[\]\"\\/\x00-\x1f\x7f]+")

_LONGEST_ADDRESS = 320

_HALF = 16
"""Bytes of a device's id, and of its signature."""

_DEVICE = re.compile(r"[0-9a-f]{64}")

_WRONG = "The email or the password (or access key) is wrong."


def new_secret(prefix: str = "") -> str:
    """Return a new random key or token."""
    return prefix + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """Return the form in which a key or token is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def check_new(email: str, password: str | None) -> str:
    """Return the address in the form in which it is stored.

    Raises:
        InvalidRequestError: not an email address, or a password that is too short or too long.
    """
    address = canonical_email(email)
    errors: dict[str, list[str]] = {}
    if len(address) > _LONGEST_ADDRESS or not _ADDRESS.fullmatch(address):
        errors["email"] = [f"'{email}' is not an email address."]
    if password is not None and (wrong := _wrong_password(password)):
        errors["password"] = [wrong]
    if errors:
        raise InvalidRequestError(errors)
    return address


def hash_password(password: str) -> str:
    """Return the form in which a password is stored. Takes some 20 ms, on purpose."""
    return _hasher.hash(password)


def reset_password(database: Database, email: str, password: str) -> None:
    """Set a password and revoke all access keys: their users must sign in again.

    Raises:
        NotFoundError: no such account.
        InvalidRequestError: a password that is too short or too long.
    """
    _check_password(password)
    password_hash = _hasher.hash(password)
    with database.write() as connection:
        account = known(connection, email)
        account_rows.set_password_hash(connection, account.id, password_hash)
        account_rows.remove_keys(connection, account.id)


def rotate_key(database: Database, email: str) -> str:
    """Withdraw all access keys and return a new one: only now. Raises NotFoundError."""
    key = new_secret(KEY_PREFIX)
    with database.write() as connection:
        account = known(connection, email)
        account_rows.remove_keys(connection, account.id)
        account_rows.add_key(connection, account.id, hash_secret(key), "rotated", datetime.now(UTC))
    return key


def known(connection: Connection, email: str) -> AccountRow:
    """Return the account of an address. Raises NotFoundError."""
    account = account_rows.by_email(connection, email)
    if account is None:
        raise NotFoundError(f"There is no user '{email}'.")
    return account


def _check_password(password: str) -> None:
    if wrong := _wrong_password(password):
        raise InvalidRequestError({"password": [wrong]})


def _wrong_password(password: str) -> str:
    if MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return ""
    return f"A password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters."


async def login(
    database: Database,
    request: LoginRequest,
    attempts: Attempts,
    queue: PasswordQueue,
    address: str,
) -> LoginAnswer:
    """Check a password or an access key; a password is answered with a new access key.

    Parameters:
        address: where the request comes from.

    Raises:
        NotAuthenticatedError: wrong, unknown or disabled; always the same message.
        TooManyAttemptsError: passwords are not checked for a while.
    """

    def look() -> tuple[AccountRow | None, AccountRow | None]:
        with database.read() as connection:
            account = account_rows.by_email(connection, request.email)
            return account, account_rows.by_key_hash(connection, hash_secret(request.secret))

    account, owner = await asyncio.to_thread(look)
    email = account.email if account else canonical_email(request.email)
    if owner is not None and owner.email == email and owner.active:
        return LoginAnswer(email=email, access_key=request.secret)
    device = device_of(account, request.device)
    stranger = not device and not attempts.is_home(email, address)
    # An unknown user takes as much time as a wrong password, so the two are indistinguishable.
    stored = account.password_hash if account and account.password_hash else unknown_hash()
    whose = (email, device or address)
    async with nullcontext() if stranger else queue.one_by_one(whose):
        counted = attempts.begin(email, address, device)
        async with queue.turn(address, stranger=stranger):
            answer = await asyncio.to_thread(
                _with_password, database, request, email, stored, device
            )
        attempts.succeeded(email, address, counted)
    return answer


def _with_password(
    database: Database, request: LoginRequest, email: str, stored: str, device: str
) -> LoginAnswer:
    try:
        _hasher.verify(stored, request.secret)
    except argon2.exceptions.VerifyMismatchError:
        raise NotAuthenticatedError(_WRONG) from None
    rehashed = _hasher.hash(request.secret) if _hasher.check_needs_rehash(stored) else None
    key = new_secret(KEY_PREFIX)
    with database.write() as connection:
        # Checked again: a reset or a lock-out meanwhile must not be bypassed.
        now = account_rows.by_email(connection, email)
        if now is None or not now.active or now.password_hash != stored:
            raise NotAuthenticatedError(_WRONG)
        if rehashed is not None:
            account_rows.set_password_hash(connection, now.id, rehashed)
        label = request.label or "Envoy"
        account_rows.add_key(connection, now.id, hash_secret(key), label, datetime.now(UTC))
    kept = device and rehashed is None
    return LoginAnswer(
        email=email,
        access_key=key,
        device="" if kept else _new_device(now.id, rehashed or stored),
    )


def _new_device(account_id: str, password_hash: str) -> str:
    """Return a token by which a device can prove that it has known the password.

    Nothing is stored for it: it is signed with the password's hash, whose salt nobody else knows.
    So it ends with the password. To whoever does not know the hash all of it looks random, which
    Envoy makes use of (`envoy.farm.devices`).
    """
    number = secrets.token_bytes(_HALF)
    return (number + _signature(account_id, password_hash, number)).hex()


def device_of(account: AccountRow | None, token: str) -> str:
    """Return the device's number if its token is good for the account, else ""."""
    if account is None or account.password_hash is None or not _DEVICE.fullmatch(token):
        return ""
    decoded = bytes.fromhex(token)
    number, signature = decoded[:_HALF], decoded[_HALF:]
    good = hmac.compare_digest(signature, _signature(account.id, account.password_hash, number))
    return number.hex() if good else ""


def _signature(account_id: str, password_hash: str, number: bytes) -> bytes:
    signed = b"device " + account_id.encode() + b" " + number
    return hmac.digest(password_hash.encode(), signed, "sha256")[:_HALF]


@cache
def unknown_hash() -> str:
    """Return a hash that no password has. The first call takes its time: before any login."""
    return _hasher.hash(secrets.token_urlsafe())


def authenticate(connection: Connection, access_key: str) -> AccountRow:
    """Return the account of an access key. Raises NotAuthenticatedError."""
    account = account_rows.by_key_hash(connection, hash_secret(access_key))
    if account is None or not account.active:
        raise NotAuthenticatedError("The access key is not valid. Sign in again.")
    return account
