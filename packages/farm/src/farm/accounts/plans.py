"""Service plans: the rules about changing them. Changes apply at once, also to running jobs."""

from farm_protocol.users import Plan as PlanInUse
from sqlalchemy import Connection

from farm.db import plans as plan_rows
from farm.db.plans import Plan
from farm.errors import ConflictError, InvalidRequestError, NotFoundError

STANDARD = "Standard"
"""The plan of new accounts. It always exists."""

MOST = 1_000_000
"""Maximum of a limit: more than any farm has."""

MOST_BYTES = 10**18
"""Maximum of a limit in bytes, likewise."""

_LONGEST_NAME = 50


def set_plan(connection: Connection, plan: Plan) -> None:
    """Create or change a plan. Raises InvalidRequestError."""
    errors: dict[str, list[str]] = {}
    name = plan.name
    if not name.strip() or name != name.strip() or len(name) > _LONGEST_NAME:
        errors["name"] = [f"A plan needs a name of at most {_LONGEST_NAME} characters."]
    elif not name.isprintable() or "/" in name:
        errors["name"] = ["A plan's name must not contain control characters or '/'."]
    limits = {
        "job_throughput_limit": plan.job_throughput_limit,
        "max_throughput": plan.max_throughput,
    }
    for field, limit in limits.items():
        if not 1 <= limit <= MOST:
            errors[field] = [f"{limit} is not a valid limit. Give 1 to {MOST} instances."]
    sizes = {"max_stored": plan.max_stored, "max_in_flight": plan.max_in_flight}
    for field, size in sizes.items():
        if not 0 <= size <= MOST_BYTES:
            errors[field] = [
                f"{size} is not a valid size. Give at most {MOST_BYTES} bytes, or 0 for no limit."
            ]
    if errors:
        raise InvalidRequestError(errors)
    plan_rows.put(connection, plan)


def existing(connection: Connection, name: str) -> Plan:
    """Return a plan. Raises NotFoundError, which lists the existing plans."""
    plan = plan_rows.named(connection, name)
    if plan is None:
        known = ", ".join(f"'{each.name}'" for each in plan_rows.fetch_all(connection))
        raise NotFoundError(f"There is no plan '{name}'. The plans are: {known}.")
    return plan


def remove_plan(connection: Connection, name: str) -> None:
    """Remove a plan.

    Raises:
        NotFoundError: there is no such plan.
        ConflictError: users have it, or it is the one that new users get.
    """
    existing(connection, name)
    if name == STANDARD:
        raise ConflictError(f"The plan '{STANDARD}' cannot be removed: new users get it.")
    count = plan_rows.users(connection).get(name, 0)
    if count:
        raise ConflictError(
            f"'{name}' is still the plan of {count} user{'s' * (count > 1)}. Give them"
            " another plan first."
        )
    plan_rows.remove(connection, name)


def described(connection: Connection) -> list[PlanInUse]:
    """Return all plans, and the number of users of each."""
    users = plan_rows.users(connection)
    return [
        PlanInUse(
            name=plan.name,
            job_throughput_limit=plan.job_throughput_limit,
            max_throughput=plan.max_throughput,
            max_stored=plan.max_stored,
            max_in_flight=plan.max_in_flight,
            users=users.get(plan.name, 0),
        )
        for plan in plan_rows.fetch_all(connection)
    ]
