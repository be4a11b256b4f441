"""Service plans: how much of the farm one user may take at a time."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from farm.db.tables import accounts, plans


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits of a user.

    Attributes:
        job_throughput_limit: most instances of one job.
        max_throughput: most instances over all of the user's jobs.
    """

    name: str
    job_throughput_limit: int
    max_throughput: int


COLUMNS = (plans.c.name, plans.c.job_throughput_limit, plans.c.max_throughput)


def everything(connection: Connection) -> list[Plan]:
    """Return all plans, by name."""
    return [Plan(*row) for row in connection.execute(select(*COLUMNS).order_by(plans.c.name))]


def named(connection: Connection, name: str) -> Plan | None:
    """Return a plan, None when there is none of this name."""
    row = connection.execute(select(*COLUMNS).where(plans.c.name == name)).one_or_none()
    return None if row is None else Plan(*row)


def put(connection: Connection, plan: Plan) -> None:
    """Store a plan, replacing the one of this name."""
    limits = {
        "job_throughput_limit": plan.job_throughput_limit,
        "max_throughput": plan.max_throughput,
    }
    changed = connection.execute(
        update(plans).where(plans.c.name == plan.name).values(**limits)
    ).rowcount
    if not changed:
        connection.execute(insert(plans).values(name=plan.name, **limits))


def remove(connection: Connection, name: str) -> None:
    """Remove a plan that no account has."""
    connection.execute(delete(plans).where(plans.c.name == name))


def users(connection: Connection) -> dict[str, int]:
    """Return how many accounts have each plan; those without any are left out."""
    rows = connection.execute(select(accounts.c.plan, func.count()).group_by(accounts.c.plan))
    return {name: count for name, count in rows}
