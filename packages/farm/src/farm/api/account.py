"""Login and the user's own data."""

from typing import Annotated

from farm_protocol.account import (
    CreditHistory,
    CreditMovement,
    LoginAnswer,
    LoginRequest,
    UserInfo,
)
from farm_protocol.users import MyChange, User, UserChange
from fastapi import APIRouter, Query, Request
from http_gate.addresses import network_of
from sqlalchemy import Connection

from farm.accounts import users
from farm.accounts.credentials import login
from farm.accounts.credits import user_info
from farm.api.context import Account, InContext
from farm.catalogue.machines import kinds, require_own_kind
from farm.db import ledger
from farm.jobs.pricing import to_credits

router = APIRouter(prefix="/v1")


@router.post("/login")
async def post_login(context: InContext, caller: Request, request: LoginRequest) -> LoginAnswer:
    """Exchange a password for an access key, or check an access key."""
    address = network_of(caller.client.host) if caller.client else ""
    answer = await login(context.database, request, context.attempts, context.passwords, address)
    context.expect_work()  # Scripts sign in right before they submit.
    return answer


@router.get("/me")
def get_me(context: InContext, account: Account) -> UserInfo:
    """Return the user's data, plan and credits."""
    with context.database.read() as connection:
        return user_info(connection, account)


@router.patch("/me")
def patch_me(context: InContext, account: Account, change: MyChange) -> User:
    """Change what users decide for themselves."""
    wanted = UserChange(**change.model_dump())
    require_own_kind(kinds(context.catalogue.machines), wanted.machine_cpu, wanted.machine_gpu)
    with context.database.write(account.id) as connection:
        return users.describe(connection, users.change(connection, account, wanted))


@router.get("/me/credits")
def get_my_credits(
    context: InContext,
    account: Account,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> CreditHistory:
    """Return the transactions of the user's credits, newest first, a page at a time."""
    with context.database.read() as connection:
        return credit_history(connection, account.id, before, limit)


def credit_history(
    connection: Connection, account_id: str, before: int | None, limit: int
) -> CreditHistory:
    """Return a page of an account's transactions."""
    # One more than requested, to know whether there are more.
    found = ledger.history(connection, account_id, before, limit + 1)
    return CreditHistory(
        movements=[
            CreditMovement(
                id=each.id,
                kind=each.kind,
                credits=to_credits(each.amount_micros),
                reference=each.reference,
                reason=each.reason,
                created_at=each.created_at,
            )
            for each in found[:limit]
        ],
        more=len(found) > limit,
    )
