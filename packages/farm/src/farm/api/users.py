"""Administration of users, plans and credits: only for accounts whose role is admin."""

from typing import Annotated

from farm_protocol.account import CreditHistory
from farm_protocol.text import Line
from farm_protocol.users import (
    CreditMove,
    NewPassword,
    NewUser,
    PlanLimits,
    PlanList,
    User,
    UserChange,
    UserList,
    UserWithKey,
)
from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from farm.accounts import credentials, plans, users
from farm.accounts.credits import check_movement, grant
from farm.api.account import credit_history
from farm.api.context import Admin, Context, InContext
from farm.catalogue.machines import kinds, require_own_kind
from farm.db import accounts as account_rows
from farm.db import plans as plan_rows
from farm.errors import ConflictError, InvalidRequestError
from farm.scheduler import limits

router = APIRouter(prefix="/v1")

Name = Annotated[Line, Field(max_length=1000)]
"""An email address or a plan's name in a URL."""


@router.get("/users")
def get_users(context: InContext, _admin: Admin) -> UserList:
    """Return all users."""
    with context.database.read() as connection:
        found = account_rows.fetch_all(connection)
        return UserList(users=[users.describe(connection, each) for each in found])


@router.post("/users", status_code=201)
def post_user(context: InContext, _admin: Admin, new: NewUser) -> UserWithKey:
    """Create a user."""
    created = users.create(context.database, new)
    with context.database.read() as connection:
        user = users.describe(connection, account_rows.by_id(connection, created.id))
    return UserWithKey(user=user, access_key=created.access_key)


@router.get("/users/{email}")
def get_user(context: InContext, _admin: Admin, email: Name) -> User:
    """Return a user."""
    with context.database.read() as connection:
        return _described(connection, email)


@router.patch("/users/{email}")
def patch_user(context: InContext, admin: Admin, email: Name, change: UserChange) -> User:
    """Change a user's profile, plan or role; disable the account, or enable it again."""
    require_own_kind(kinds(context.catalogue.machines), change.machine_cpu, change.machine_gpu)
    with context.database.write() as connection:
        account = credentials.known(connection, email)
        if account.id == admin.id and (change.role is not None or change.active is not None):
            raise ConflictError(
                "You cannot change your own role or access. Ask another administrator."
            )
        limits.change_user(connection, account, change)
        described = _described(connection, email)
    context.notify()
    return described


@router.post("/users/{email}/password", status_code=204)
def post_password(context: InContext, _admin: Admin, email: Name, new: NewPassword) -> None:
    """Set a user's password; all access keys of the user stop working."""
    credentials.reset_password(context.database, email, new.password)


@router.post("/users/{email}/key")
def post_key(context: InContext, _admin: Admin, email: Name) -> UserWithKey:
    """Withdraw all access keys of a user and return a new one."""
    key = credentials.rotate_key(context.database, email)
    with context.database.read() as connection:
        return UserWithKey(user=_described(connection, email), access_key=key)


@router.post("/users/{email}/credits")
def post_credits(context: InContext, _admin: Admin, email: Name, move: CreditMove) -> User:
    """Give credits to a user, or take them."""
    check_movement(move.credits, "credits")
    if not move.reason.strip():
        raise InvalidRequestError({"reason": ["Give a reason. The user sees it in the history."]})
    with context.database.write() as connection:
        account = credentials.known(connection, email)
        grant(connection, account.id, move.credits, move.reason.strip(), move.reference)
        described = _described(connection, email)
    context.notify()
    return described


@router.get("/users/{email}/credits")
def get_credits(
    context: InContext,
    _admin: Admin,
    email: Name,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> CreditHistory:
    """Return the transactions of a user's credits, newest first, a page at a time."""
    with context.database.read() as connection:
        account = credentials.known(connection, email)
        return credit_history(connection, account.id, before, limit)


@router.get("/plans")
def get_plans(context: InContext, _admin: Admin) -> PlanList:
    """Return all plans."""
    return _plans(context)


@router.put("/plans/{name}")
def put_plan(context: InContext, _admin: Admin, name: Name, asked: PlanLimits) -> PlanList:
    """Create or change a plan."""
    with context.database.write() as connection:
        plan = plan_rows.changed(
            connection,
            name,
            job_throughput_limit=asked.job_throughput_limit,
            max_throughput=asked.max_throughput,
            max_stored=asked.max_stored,
            max_in_flight=asked.max_in_flight,
        )
        limits.set_plan(connection, plan)
    context.notify()
    return _plans(context)


@router.delete("/plans/{name}")
def delete_plan(context: InContext, _admin: Admin, name: Name) -> PlanList:
    """Remove a plan that nobody has."""
    with context.database.write() as connection:
        plans.remove_plan(connection, name)
    return _plans(context)


def _described(connection: Connection, email: str) -> User:
    return users.describe(connection, credentials.known(connection, email))


def _plans(context: Context) -> PlanList:
    with context.database.read() as connection:
        return PlanList(plans=plans.described(connection))
