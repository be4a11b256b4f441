"""Accounts and access keys."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from farm_protocol.account import canonical_email, spelled_email
from farm_protocol.users import Role
from sqlalchemy import Connection, Result, Select, bindparam, delete, insert, select, update

from farm.db.engine.rows import columns_of, reader
from farm.db.plans import Plan
from farm.db.tables import access_keys, accounts
from farm.db.tables import plans as plans_table


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account.

    Attributes:
        password_hash: None: it cannot log in by password.
        email_notices: whether its user wants notices by email.
        machine_cpu, machine_gpu: its default machine types, by id; "": the farm's own.
        stored_bytes: of its blobs, and of its file lists and submissions in the database.
        balance_micros, consumed_micros: posted in the ledger; see `farm.db.ledger`.
    """

    id: str
    email: str
    name: str
    password_hash: str | None
    plan: Plan
    active: bool
    created_at: datetime
    role: Role = Role.ARTIST
    email_notices: bool = True
    balance_micros: int = 0
    consumed_micros: int = 0
    machine_cpu: str = ""
    machine_gpu: str = ""
    stored_bytes: int = 0


_COLUMNS: Select[Any] = select(
    *columns_of(AccountRow, accounts.c), *columns_of(Plan, plans_table.c, "plan_")
).join_from(accounts, plans_table, accounts.c.plan == plans_table.c.name)


def _accounts(found: Result[Any]) -> list[AccountRow]:
    columns = tuple(found.keys())
    account, plan = reader(AccountRow, columns), reader(Plan, columns, "plan_")
    # What the columns hold of these two is text.
    read = ((account(row), plan(row)) for row in found)
    return [replace(each, plan=its, role=Role(each.role)) for each, its in read]


def by_email(connection: Connection, email: str) -> AccountRow | None:
    """Return the account with an address, in any spelling.

    Two accounts of an older farm may have addresses that now count as equal: an account with
    exactly this spelling wins.
    """
    spellings = [spelled_email(email), canonical_email(email)]
    found = _accounts(connection.execute(_COLUMNS.where(accounts.c.email.in_(spellings))))
    return min(found, key=lambda each: spellings.index(each.email), default=None)


def by_id(connection: Connection, account_id: str) -> AccountRow:
    """Return an account that exists."""
    (found,) = _accounts(connection.execute(_COLUMNS.where(accounts.c.id == account_id)))
    return found


def is_alone(connection: Connection) -> bool:
    """Return whether the farm has at most one account, including disabled ones."""
    return len(connection.execute(select(accounts.c.id).limit(2)).all()) < 2


def fetch_all(connection: Connection) -> list[AccountRow]:
    """Return all accounts, by email."""
    return _accounts(connection.execute(_COLUMNS.order_by(accounts.c.email)))


def by_key_hash(connection: Connection, key_hash: str) -> AccountRow | None:
    """Return the account that this access key (hashed) belongs to."""
    found = _accounts(connection.execute(_BY_KEY, {"key_hash": key_hash}))
    return found[0] if found else None


# Used with every call of the API, so it is built once.
_BY_KEY = _COLUMNS.join(access_keys, access_keys.c.account_id == accounts.c.id).where(
    access_keys.c.key_hash == bindparam("key_hash")
)


def add(connection: Connection, account: AccountRow) -> None:
    """Store a new account."""
    connection.execute(
        insert(accounts).values(
            id=account.id,
            email=account.email,
            name=account.name,
            password_hash=account.password_hash,
            plan=account.plan.name,
            role=account.role.value,
            active=account.active,
            email_notices=account.email_notices,
            machine_cpu=account.machine_cpu,
            machine_gpu=account.machine_gpu,
            created_at=account.created_at,
            balance_micros=0,
            consumed_micros=0,
            stored_bytes=0,
        )
    )


def set_password_hash(connection: Connection, account_id: str, password_hash: str) -> None:
    """Replace the password."""
    connection.execute(
        update(accounts).where(accounts.c.id == account_id).values(password_hash=password_hash)
    )


MOST_KEYS = 100
"""Limit for one account: each device that signs in has a key, by its label."""


def add_key(
    connection: Connection, account_id: str, key_hash: str, label: str, now: datetime
) -> None:
    """Store an access key (hashed), replacing one with the same label.

    Beyond `MOST_KEYS`, the oldest keys are removed.
    """
    connection.execute(
        delete(access_keys).where(
            access_keys.c.account_id == account_id, access_keys.c.label == label
        )
    )
    new = uuid4().hex
    connection.execute(
        insert(access_keys).values(
            id=new, account_id=account_id, key_hash=key_hash, label=label, created_at=now
        )
    )
    # Whatever the clock says, the new one stays.
    others = (access_keys.c.account_id == account_id, access_keys.c.id != new)
    newest = select(access_keys.c.id).where(*others).order_by(access_keys.c.created_at.desc())
    kept = list(connection.execute(newest.limit(MOST_KEYS)).scalars())
    if len(kept) == MOST_KEYS:
        connection.execute(
            delete(access_keys).where(*others, access_keys.c.id.not_in(kept[: MOST_KEYS - 1]))
        )


def remove_keys(connection: Connection, account_id: str) -> None:
    """Revoke all access keys of an account."""
    connection.execute(delete(access_keys).where(access_keys.c.account_id == account_id))


def key_labels(connection: Connection, account_id: str) -> list[str]:
    """Return the labels of an account's access keys, oldest first."""
    rows = connection.execute(
        select(access_keys.c.label)
        .where(access_keys.c.account_id == account_id)
        .order_by(access_keys.c.created_at)
    )
    return list(rows.scalars())


def change(connection: Connection, account_id: str, **values: str | bool) -> None:
    """Set columns of an account, by the names in `farm_protocol.users.UserChange`."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))
