"""Accounts, access keys and the ledger."""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, delete, func, insert, select, update

from farm.db.tables import access_keys, accounts, ledger


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account. ``password_hash`` None: cannot log in by password."""

    id: str
    email: str
    name: str
    password_hash: str | None
    plan: str
    active: bool
    created_at: datetime


_COLUMNS = (
    accounts.c.id,
    accounts.c.email,
    accounts.c.name,
    accounts.c.password_hash,
    accounts.c.plan,
    accounts.c.active,
    accounts.c.created_at,
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


def post(
    connection: Connection,
    *,
    account_id: str,
    amount_micros: int,
    kind: str,
    reference: str,
    reason: str,
    now: datetime,
) -> None:
    """Append to the ledger. A reference that is there already is an integrity error."""
    connection.execute(
        insert(ledger).values(
            account_id=account_id,
            amount_micros=amount_micros,
            kind=kind,
            reference=reference,
            reason=reason,
            created_at=now,
        )
    )


def totals(connection: Connection, account_id: str) -> tuple[int, int]:
    """Return (balance, consumed), both in micros; consumed is positive."""
    consumed = func.sum(ledger.c.amount_micros).filter(ledger.c.kind == "usage")
    balance, used = connection.execute(
        select(
            func.coalesce(func.sum(ledger.c.amount_micros), 0),
            func.coalesce(consumed, 0),
        ).where(ledger.c.account_id == account_id)
    ).one()
    return int(balance), -int(used)
