"""Credits: balances, charges, and the documented user information."""

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from farm_protocol.account import UserInfo
from sqlalchemy import Connection

from farm.db import accounts as account_rows
from farm.db import ledger, metering
from farm.db.accounts import AccountRow
from farm.errors import ConflictError, InsufficientCreditsError, InvalidRequestError
from farm.jobs.pricing import to_credits, to_micros

MOST_CREDITS = 10**9
"""Limit of one movement."""


def check_amount(amount: Decimal, field: str) -> None:
    """Refuse an invalid amount of credits. Raises InvalidRequestError, which names ``field``."""
    wrong = ""
    if not amount.is_finite():
        wrong = f"'{amount}' is not an amount of credits."
    elif not -MOST_CREDITS <= amount <= MOST_CREDITS:
        wrong = f"Move at most {MOST_CREDITS} credits at a time."
    elif to_credits(to_micros(amount)) != amount:
        wrong = "Credits may have at most six decimals."
    if wrong:
        raise InvalidRequestError({field: [wrong]})


def check_movement(amount: Decimal, field: str) -> None:
    """Refuse an amount that cannot be moved, and 0. Raises InvalidRequestError."""
    check_amount(amount, field)
    if amount == 0:
        raise InvalidRequestError(
            {field: ["Give a positive number to add credits, or a negative one to take them."]}
        )


def grant(
    connection: Connection, account_id: str, credits: Decimal, reason: str, reference: str = ""
) -> None:
    """Move credits to (or, negative, from) an account.

    Parameters:
        reference: one that the account already has moves nothing; "" always moves.

    Raises:
        ConflictError: the reference is that of another transaction.
    """
    name = f"grant:{account_id}:{reference}" if reference else f"grant:{uuid4().hex}"
    if reference and (known := ledger.movement(connection, account_id, name)) is not None:
        if (known.amount_micros, known.reason) != (to_micros(credits), reason):
            raise ConflictError(
                f"The reference '{reference}' is already used for another transaction of"
                " credits. Choose another one."
            )
        return
    ledger.post(
        connection,
        account_id=account_id,
        amount_micros=to_micros(credits),
        kind=ledger.GRANT,
        reference=name,
        reason=reason,
        now=datetime.now(UTC),
    )


def charge(
    connection: Connection, account_id: str, reference: str, micros: int, now: datetime
) -> None:
    """Charge machine time. The ledger's unique reference makes double charging impossible.

    Parameters:
        reference: ``frame:<claim>:<number>``, so that a frame that its user has rendered again
            costs again; or ``rest:<claim>`` for the time of a claim after its last frame.
    """
    ledger.post(
        connection,
        account_id=account_id,
        amount_micros=-micros,
        kind=ledger.USAGE,
        reference=reference,
        reason="machine time",
        now=now,
    )


def refund(
    connection: Connection, account_id: str, claim_ids: Collection[str], now: datetime
) -> int:
    """Refund the rests of these claims, once; return the amount, in micros."""
    paid = ledger.amounts(connection, [f"rest:{each}" for each in claim_ids])
    back = ledger.amounts(connection, [f"refund:{each}" for each in claim_ids])
    total = 0
    for claim_id in claim_ids:
        micros = -paid.get(f"rest:{claim_id}", 0)
        if micros == 0 or f"refund:{claim_id}" in back:
            continue
        ledger.post(
            connection,
            account_id=account_id,
            amount_micros=micros,
            kind=ledger.REFUND,
            reference=f"refund:{claim_id}",
            reason="a machine that fails",
            now=now,
        )
        total += micros
    return total


def available(connection: Connection, account_id: str) -> tuple[int, int]:
    """Return (balance, consumed) in micros, including time that is metered but not posted yet.

    Both are read here: time posted between two transactions would be in neither.
    """
    account = account_rows.by_id(connection, account_id)
    metered = sum(metering.by_job(connection, account_id=account_id).values())
    return account.balance_micros - metered, account.consumed_micros + metered


def require_positive(connection: Connection, account_id: str) -> None:
    """Raise InsufficientCreditsError unless the balance is above 0."""
    balance, _ = available(connection, account_id)
    if balance <= 0:
        raise InsufficientCreditsError(
            f"The account has {to_credits(balance):.2f} credits; a submission needs more than 0. "
            "Ask the farm's administrator to add credits."
        )


def user_info(connection: Connection, account: AccountRow) -> UserInfo:
    """Return the documented fields of `get_user_info`."""
    balance, consumed = available(connection, account.id)
    return UserInfo(
        created=account.created_at.replace(tzinfo=None, microsecond=0),
        credits_available=float(to_credits(balance)),
        credits_consumed=float(to_credits(consumed)),
        email_address=account.email,
        job_throughput_limit=account.plan.job_throughput_limit,
        max_throughput=account.plan.max_throughput,
        name=account.name,
        service_plan=account.plan.name,
    )
