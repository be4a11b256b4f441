"""The ledger: every transaction of credits, double-entry, for ever.

An entry has postings that sum to 0: one for a user's account and one for the farm's own. Nothing is
changed or removed (database triggers refuse it); mistakes are corrected by another entry. An
account's balance follows from its postings. It is also kept in ``accounts``, in the same
transaction, because every submission and every pass of the scheduler needs it; `faults` compares
the two.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    bindparam,
    case,
    func,
    insert,
    select,
    update,
)

from farm.db.engine.prepared import Prepared
from farm.db.engine.rows import columns_of, first_as, rows_as
from farm.db.tables import accounts, jobs, ledger_entries, ledger_postings

USAGE = "usage"
REFUND = "refund"
GRANT = "grant"
_CONSUMPTION = (USAGE, REFUND)
"""The kinds that add up to what an account, and its jobs, have consumed."""


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
    """Move ``amount_micros`` from the farm to an account (negative: the other way).

    Parameters:
        kind: `USAGE`, `REFUND` or `GRANT`.
        reference: unique; an existing one is an integrity error.
    """
    _ADD_ENTRY.run(connection, kind=kind, reference=reference, reason=reason, created_at=now)
    _ADD_POSTINGS.run_all(
        connection,
        [
            {"of_entry": reference, "account_id": account_id, "amount_micros": amount_micros},
            {"of_entry": reference, "account_id": None, "amount_micros": -amount_micros},
        ],
    )
    consumed = -amount_micros if kind in _CONSUMPTION else 0
    _MOVE.run(connection, of_account=account_id, amount=amount_micros, consumed=consumed)


# Built once, since every frame is charged.
_ADD_ENTRY = Prepared(insert(ledger_entries).inline())
_ADD_POSTINGS = Prepared(
    insert(ledger_postings)
    .inline()
    .values(
        entry_id=select(ledger_entries.c.id)
        .where(ledger_entries.c.reference == bindparam("of_entry"))
        .scalar_subquery()
    )
)
_MOVE = Prepared(
    update(accounts)
    .where(accounts.c.id == bindparam("of_account"))
    .values(
        balance_micros=accounts.c.balance_micros + bindparam("amount", type_=BigInteger),
        consumed_micros=accounts.c.consumed_micros + bindparam("consumed", type_=BigInteger),
    )
)


@dataclass(frozen=True, slots=True)
class Movement:
    """One entry, as an account sees it."""

    id: int
    kind: str
    amount_micros: int
    reference: str
    reason: str
    created_at: datetime


def history(
    connection: Connection, account_id: str, before: int | None, limit: int
) -> list[Movement]:
    """Return an account's transactions, newest first, those before entry ``before`` if given."""
    query = _movements(account_id).order_by(ledger_postings.c.entry_id.desc()).limit(limit)
    if before is not None:
        query = query.where(ledger_postings.c.entry_id < before)
    return rows_as(Movement, connection.execute(query))


def movement(connection: Connection, account_id: str, reference: str) -> Movement | None:
    """Return an account's transaction with this reference, None when there is none."""
    query = _movements(account_id).where(ledger_entries.c.reference == reference)
    return first_as(Movement, connection.execute(query))


def _movements(account_id: str) -> Select[Any]:
    return (
        select(*columns_of(Movement, (*ledger_entries.c, ledger_postings.c.amount_micros)))
        .select_from(ledger_postings)
        .join(ledger_entries)
        .where(ledger_postings.c.account_id == account_id)
    )


def amounts(connection: Connection, references: Collection[str]) -> Mapping[str, int]:
    """Return the amounts that entries with these references moved to an account, in micros."""
    query = (
        select(ledger_entries.c.reference, ledger_postings.c.amount_micros)
        .join(ledger_postings)
        .where(
            ledger_entries.c.reference.in_(references), ledger_postings.c.account_id.is_not(None)
        )
    )
    return {row.reference: row.amount_micros for row in connection.execute(query)}


def faults(connection: Connection) -> Sequence[str]:
    """Return a message for everything that does not add up; nothing when all is well."""
    found = []
    amount = func.coalesce(func.sum(ledger_postings.c.amount_micros), 0)
    unbalanced = connection.execute(
        select(ledger_entries.c.id, amount.label("off"))
        .outerjoin(ledger_postings, ledger_postings.c.entry_id == ledger_entries.c.id)
        .group_by(ledger_entries.c.id)
        .having((amount != 0) | (func.count(ledger_postings.c.id) < 2))
    )
    found += [f"The postings of entry {row.id} sum to {row.off} micros." for row in unbalanced]
    used = func.sum(
        case((ledger_entries.c.kind.in_(_CONSUMPTION), -ledger_postings.c.amount_micros), else_=0)
    )
    sums = connection.execute(
        select(accounts.c.email, accounts.c.balance_micros, accounts.c.consumed_micros)
        .add_columns(amount.label("balance"), used.label("consumed"))
        .outerjoin(ledger_postings, ledger_postings.c.account_id == accounts.c.id)
        .outerjoin(ledger_entries, ledger_entries.c.id == ledger_postings.c.entry_id)
        .group_by(accounts.c.id)
    ).all()
    for row in sums:
        if (row.balance_micros, row.consumed_micros) != (row.balance, row.consumed):
            found.append(
                f"{row.email}: the account says {row.balance_micros} micros and"
                f" {row.consumed_micros} consumed, the ledger {row.balance} and {row.consumed}."
            )
    by_jobs = {
        row.email: row.cost
        for row in connection.execute(
            select(
                accounts.c.email,
                func.coalesce(func.sum(jobs.c.credits_micros), 0).label("cost"),
            )
            .outerjoin(jobs, jobs.c.account_id == accounts.c.id)
            .group_by(accounts.c.id)
        )
    }
    for row in sums:
        if row.consumed != by_jobs[row.email]:
            found.append(
                f"{row.email}: the jobs say that they cost {by_jobs[row.email]} micros,"
                f" the ledger {row.consumed}."
            )
    return found
