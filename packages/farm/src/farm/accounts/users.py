"""Accounts, as administrators see and change them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from farm_protocol.users import NewUser, User, UserChange
from sqlalchemy import Connection

from farm.accounts import credentials
from farm.accounts.credits import available, check_amount, grant
from farm.accounts.plans import STANDARD, existing
from farm.db import accounts as account_rows
from farm.db.accounts import AccountRow
from farm.db.engine.database import Database
from farm.errors import ConflictError, InvalidRequestError
from farm.jobs.pricing import to_credits


@dataclass(frozen=True, slots=True)
class Created:
    """A new account. ``access_key`` is not stored: it is shown now, or never."""

    id: str
    access_key: str = field(repr=False)


def create(database: Database, new: NewUser) -> Created:
    """Create an account with its first credits and its first access key.

    Raises:
        InvalidRequestError: the address, the password or the credits are not usable.
        NotFoundError: there is no such plan.
        ConflictError: the address is taken.
    """
    address = credentials.check_new(new.email, new.password)
    check_amount(new.credits, "credits")
    if new.credits < 0:
        raise InvalidRequestError({"credits": [f"{new.credits} is less than 0."]})
    password_hash = None if new.password is None else credentials.hash_password(new.password)
    key, now = credentials.new_secret(credentials.KEY_PREFIX), datetime.now(UTC)
    with database.write() as connection:
        if account_rows.by_email(connection, address) is not None:
            raise ConflictError(f"There is already an account for {address}.")
        account = AccountRow(
            id=uuid4().hex,
            email=address,
            name=address.split("@")[0][:200],
            password_hash=password_hash,
            plan=existing(connection, new.plan or STANDARD),
            active=True,
            created_at=now,
            role=new.role,
        )
        account_rows.add(connection, account)
        if new.credits:
            grant(connection, account.id, new.credits, "opening balance")
        account_rows.add_key(connection, account.id, credentials.hash_secret(key), "first key", now)
    return Created(account.id, key)


def describe(connection: Connection, account: AccountRow) -> User:
    """Return what administrators see of an account."""
    balance, consumed = available(connection, account.id)
    return User(
        email=account.email,
        name=account.name,
        plan=account.plan.name,
        role=account.role,
        active=account.active,
        email_notices=account.email_notices,
        machine_cpu=account.machine_cpu,
        machine_gpu=account.machine_gpu,
        has_password=account.password_hash is not None,
        keys=account_rows.key_labels(connection, account.id),
        available=to_credits(balance),
        consumed=to_credits(consumed),
        stored_bytes=account.stored_bytes,
        created_at=account.created_at,
    )


def change(connection: Connection, account: AccountRow, wanted: UserChange) -> AccountRow:
    """Change the given fields, and return the account. Raises NotFoundError (plan)."""
    if wanted.plan is not None:
        existing(connection, wanted.plan)
    values: Mapping[str, str | bool] = wanted.model_dump(mode="json", exclude_none=True)
    if values:
        account_rows.change(connection, account.id, **values)
    return account_rows.by_id(connection, account.id)
