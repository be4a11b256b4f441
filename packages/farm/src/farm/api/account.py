"""Login and the user's own data."""

from farm_protocol.account import LoginAnswer, LoginRequest, UserInfo
from fastapi import APIRouter, Request

from farm.accounts.credentials import login
from farm.accounts.credits import user_info
from farm.api.context import Account, InContext

router = APIRouter()


@router.post("/login")
def post_login(context: InContext, caller: Request, request: LoginRequest) -> LoginAnswer:
    """Exchange a password for an access key, or check an access key."""
    address = caller.client.host if caller.client else ""
    answer = login(context.database, request, context.attempts, address)
    context.expect_work()  # Scripts sign in right before they submit.
    return answer


@router.get("/me")
def get_me(context: InContext, account: Account) -> UserInfo:
    """Return the user's data, plan and credits."""
    with context.database.read() as connection:
        return user_info(connection, account)
