"""Limits that change while jobs run: the planner reads them again, and claims are redistributed."""

from collections.abc import Mapping

from farm_protocol.users import UserChange
from sqlalchemy import Connection

from farm.accounts import plans, users
from farm.db import accounts as account_rows
from farm.db import capacity, claims
from farm.db import plans as plan_rows
from farm.db.accounts import AccountRow
from farm.db.plans import Plan
from farm.errors import InvalidRequestError


def set_plan(connection: Connection, plan: Plan) -> None:
    """Create or change a plan. Raises InvalidRequestError."""
    before = plan_rows.named(connection, plan.name)
    plans.set_plan(connection, plan)
    if before is not None and _raises_limits(before, plan):
        for account in account_rows.fetch_all(connection):
            if account.plan.name == plan.name:
                claims.recall_all(connection, account.id)


def change_user(connection: Connection, account: AccountRow, wanted: UserChange) -> AccountRow:
    """Change an account, and return it. Raises NotFoundError (the plan)."""
    changed = users.change(connection, account, wanted)
    if _raises_limits(account.plan, changed.plan):
        claims.recall_all(connection, account.id)
    return changed


def set_slots(
    connection: Connection, configured: Mapping[str, int], machine_type: str, count: int | None
) -> dict[str, int]:
    """Change how many runners a machine type has room for; return the slots of all.

    Parameters:
        configured: slots by machine type, for unchanged ones.
        count: None: as configured.

    Raises:
        InvalidRequestError: there is no such machine type.
    """
    if machine_type not in configured:
        known = ", ".join(configured)
        raise InvalidRequestError(
            {"machine_type": [f"This farm has no machine type '{machine_type}'. It has {known}."]}
        )
    before = capacity.slots(connection, configured)
    capacity.set_slots(connection, machine_type, count)
    after = capacity.slots(connection, configured)
    if after[machine_type] > before[machine_type]:
        claims.recall_machine(connection, machine_type)
    return after


def _raises_limits(before: Plan, after: Plan) -> bool:
    # All frames may have been handed out to the few runners that were possible.
    return (
        after.job_throughput_limit > before.job_throughput_limit
        or after.max_throughput > before.max_throughput
    )
