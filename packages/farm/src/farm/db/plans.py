"""Service plans: how much of the farm one user may take at a time."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from farm.db.engine.rows import columns_of, first_as, rows_as
from farm.db.tables import accounts, plans


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits of a user.

    Attributes:
        job_throughput_limit: most instances of one job.
        max_throughput: most instances of all of the user's jobs together.
        max_stored: most bytes that the user may store; 0: not set, see `farm.stores.room`.
        max_in_flight: most bytes of the user in transit at a time; 0: not set.
    """

    name: str
    job_throughput_limit: int
    max_throughput: int
    max_stored: int = 0
    max_in_flight: int = 0


_COLUMNS = columns_of(Plan, plans.c)


def fetch_all(connection: Connection) -> list[Plan]:
    """Return all plans, by name."""
    return rows_as(Plan, connection.execute(select(*_COLUMNS).order_by(plans.c.name)))


def named(connection: Connection, name: str) -> Plan | None:
    """Return a plan, or None."""
    return first_as(Plan, connection.execute(select(*_COLUMNS).where(plans.c.name == name)))


def changed(connection: Connection, name: str, **limits: int | None) -> Plan:
    """Return a plan with changed limits, a new one if there is none; None: unchanged."""
    known = asdict(named(connection, name) or Plan(name, 0, 0))
    return Plan(**known | {field: limit for field, limit in limits.items() if limit is not None})


def put(connection: Connection, plan: Plan) -> None:
    """Store a plan, replacing the one of the same name."""
    limits = {
        "job_throughput_limit": plan.job_throughput_limit,
        "max_throughput": plan.max_throughput,
        "max_stored": plan.max_stored,
        "max_in_flight": plan.max_in_flight,
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
    """Return how many accounts have each plan; unused plans are left out."""
    rows = connection.execute(select(accounts.c.plan, func.count()).group_by(accounts.c.plan))
    return {name: count for name, count in rows}
