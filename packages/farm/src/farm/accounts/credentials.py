"""Passwords, access keys and runner tokens.

Passwords are chosen by people, so they are stored as argon2id. Keys and tokens are 256 random
bits, which nobody guesses: a plain SHA-256 hides them as well and costs nothing on every request.
"""

import hashlib
import re
import secrets
from datetime import UTC, datetime
from functools import cache

import argon2
from farm_protocol.account import LoginAnswer, LoginRequest
from sqlalchemy import Connection

from farm.accounts.attempts import Attempts
from farm.db import accounts as rows
from farm.db.accounts import AccountRow
from farm.db.database import Database
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
    address = email.strip().casefold()
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
    """Set a password and withdraw all access keys: whoever has one signs in again.

    Raises:
        NotFoundError: no such account.
        InvalidRequestError: a password that is too short or too long.
    """
    _check_password(password)
    password_hash = _hasher.hash(password)
    with database.write() as connection:
        account = known(connection, email)
        rows.set_password_hash(connection, account.id, password_hash)
        rows.remove_keys(connection, account.id)


def rotate_key(database: Database, email: str) -> str:
    """Withdraw all access keys and return a new one: only now. Raises NotFoundError."""
    key = new_secret(KEY_PREFIX)
    with database.write() as connection:
        account = known(connection, email)
        rows.remove_keys(connection, account.id)
        rows.add_key(connection, account.id, hash_secret(key), "rotated", datetime.now(UTC))
    return key


def known(connection: Connection, email: str) -> AccountRow:
    """Return the account of an address. Raises NotFoundError."""
    account = rows.by_email(connection, email.strip().casefold())
    if account is None:
        raise NotFoundError(f"There is no user '{email}'.")
    return account


def _check_password(password: str) -> None:
    if wrong := _wrong_password(password):
        raise InvalidRequestError({"password": [wrong]})


def _wrong_password(password: str) -> str:
    if MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return ""
    return f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters."


def login(
    database: Database, request: LoginRequest, attempts: Attempts, address: str
) -> LoginAnswer:
    """Check a password or an access key; a password is answered with a new access key.

    Parameters:
        address: where the request comes from.

    Raises:
        NotAuthenticatedError: wrong, unknown or disabled; always the same sentence.
        TooManyAttemptsError: passwords are not looked at for a while.
    """
    email = request.email.strip().casefold()
    with database.read() as connection:
        account = rows.by_email(connection, email)
        owner = rows.by_key_hash(connection, hash_secret(request.secret))
    if owner is not None and owner.email == email and owner.active:
        return LoginAnswer(email=email, access_key=request.secret)
    attempts.begin(email, address)
    # An unknown user costs as much time as a wrong password, and so cannot be told from one.
    stored = account.password_hash if account and account.password_hash else unknown_hash()
    try:
        _hasher.verify(stored, request.secret)
    except argon2.exceptions.VerifyMismatchError:
        raise NotAuthenticatedError(_WRONG) from None
    rehashed = _hasher.hash(request.secret) if _hasher.check_needs_rehash(stored) else None
    key = new_secret(KEY_PREFIX)
    with database.write() as connection:
        # Looked at again: a reset or a lock-out meanwhile must not be slipped past.
        now = rows.by_email(connection, email)
        if now is None or not now.active or now.password_hash != stored:
            raise NotAuthenticatedError(_WRONG)
        if rehashed is not None:
            rows.set_password_hash(connection, now.id, rehashed)
        label = request.label or "Envoy"
        rows.add_key(connection, now.id, hash_secret(key), label, datetime.now(UTC))
    attempts.succeeded(email, address)
    return LoginAnswer(email=email, access_key=key)


@cache
def unknown_hash() -> str:
    """Return a hash that no password has. The first call takes its time: before any login."""
    return _hasher.hash(secrets.token_urlsafe())


def authenticate(connection: Connection, access_key: str) -> AccountRow:
    """Return the account of an access key. Raises NotAuthenticatedError."""
    account = rows.by_key_hash(connection, hash_secret(access_key))
    if account is None or not account.active:
        raise NotAuthenticatedError("The access key is not valid. Sign in again.")
    return account
