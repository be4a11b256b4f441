"""Notices to users by email: stored together with their cause, sent later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from farm.db.engine.rows import columns_of, rows_as
from farm.db.tables import accounts, notices


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice that is due for sending."""

    id: int
    email: str
    subject: str
    text: str
    attempts: int
    created_at: datetime


def add(connection: Connection, account_id: str, subject: str, text: str, now: datetime) -> None:
    """Notify a user; sent after the transaction is committed, and never otherwise.

    Nothing is stored for a user who wants no emails.
    """
    wanted = select(accounts.c.email_notices).where(accounts.c.id == account_id)
    if not connection.execute(wanted).scalar_one():
        return
    connection.execute(
        insert(notices).values(
            account_id=account_id,
            subject=subject[:200],
            text=text,
            created_at=now,
            attempts=0,
            not_before=now,
            error="",
        )
    )


def due(connection: Connection, now: datetime, limit: int) -> Sequence[Notice]:
    """Return the notices to send now, oldest first."""
    rows = connection.execute(
        select(*columns_of(Notice, (*notices.c, accounts.c.email)))
        .join_from(notices, accounts)
        .where(notices.c.sent_at.is_(None), notices.c.not_before <= now)
        .order_by(notices.c.id)
        .limit(limit)
    )
    return rows_as(Notice, rows)


def settled(connection: Connection, notice_id: int, now: datetime, error: str = "") -> None:
    """Record that a notice was sent or, with an error, given up."""
    connection.execute(
        update(notices).where(notices.c.id == notice_id).values(sent_at=now, error=error)
    )


def postponed(connection: Connection, notice_id: int, not_before: datetime, error: str) -> None:
    """Record that a notice could not be sent, and when to retry."""
    connection.execute(
        update(notices)
        .where(notices.c.id == notice_id)
        .values(not_before=not_before, error=error, attempts=notices.c.attempts + 1)
    )
