"""Accounts and access keys."""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, select, update

from farm.db.tables import access_keys, accounts


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account.

    Attributes:
        password_hash: None: cannot log in by password.
        balance_micros, consumed_micros: posted in the ledger; see `farm.db.ledger`.
    """

    id: str
    email: str
    name: str
    password_hash: str | None
    plan: str
    active: bool
    created_at: datetime
    balance_micros: int = 0
    consumed_micros: int = 0


_COLUMNS = (
    accounts.c.id,
    accounts.c.email,
    accounts.c.name,
    accounts.c.password_hash,
    accounts.c.plan,
    accounts.c.active,
    accounts.c.created_at,
    accounts.c.balance_micros,
    accounts.c.consumed_micros,
)


def by_email(connection: Connection, email: str) -> AccountRow | None:
    """Return the account with this (case-folded) email."""
    row = connection.execute(select(*_COLUMNS).where(accounts.c.email == email)).one_or_none()
    return None if row is None else AccountRow(*row)


def by_id(connection: Connection, account_id: str) -> AccountRow:
    """Return an account that exists."""
    return AccountRow(
        *connection.execute(select(*_COLUMNS).where(accounts.c.id == account_id)).one()
    )


def everybody(connection: Connection) -> list[AccountRow]:
    """Return all accounts, by email."""
    rows = connection.execute(select(*_COLUMNS).order_by(accounts.c.email))
    return [AccountRow(*row) for row in rows]


def by_key_hash(connection: Connection, key_hash: str) -> AccountRow | None:
    """Return the account that this access key (hashed) belongs to."""
    row = connection.execute(
        select(*_COLUMNS).join(access_keys).where(access_keys.c.key_hash == key_hash)
    ).one_or_none()
    return None if row is None else AccountRow(*row)


def add(connection: Connection, account: AccountRow) -> None:
    """Store a new account."""
    connection.execute(
        insert(accounts).values(
            id=account.id,
            email=account.email,
            name=account.name,
            password_hash=account.password_hash,
            plan=account.plan,
            active=account.active,
            created_at=account.created_at,
            balance_micros=0,
            consumed_micros=0,
        )
    )


def set_password_hash(connection: Connection, account_id: str, password_hash: str) -> None:
    """Replace the password."""
    connection.execute(
        update(accounts).where(accounts.c.id == account_id).values(password_hash=password_hash)
    )


def add_key(
    connection: Connection, account_id: str, key_hash: str, label: str, now: datetime
) -> None:
    """Store an access key (hashed), replacing one with the same label."""
    connection.execute(
        delete(access_keys).where(
            access_keys.c.account_id == account_id, access_keys.c.label == label
        )
    )
    connection.execute(
        insert(access_keys).values(
            id=uuid4().hex, account_id=account_id, key_hash=key_hash, label=label, created_at=now
        )
    )


def remove_keys(connection: Connection, account_id: str) -> None:
    """Withdraw all access keys of an account."""
    connection.execute(delete(access_keys).where(access_keys.c.account_id == account_id))


def key_labels(connection: Connection, account_id: str) -> list[str]:
    """Return the labels of an account's access keys, oldest first."""
    rows = connection.execute(
        select(access_keys.c.label)
        .where(access_keys.c.account_id == account_id)
        .order_by(access_keys.c.created_at)
    )
    return list(rows.scalars())


def set_active(connection: Connection, account_id: str, *, active: bool) -> None:
    """Let an account in, or lock it out."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(active=active))
