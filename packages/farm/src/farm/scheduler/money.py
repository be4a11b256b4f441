"""Applies budgets, and suspends jobs of empty or disabled accounts while they are so.

It runs with every pass of the scheduler, at least every two seconds while runners live; their time
is metered by their heartbeats, every two seconds as well. Together that is a granularity of less
than five seconds.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from farm_protocol.jobs import BudgetAction, JobReason, JobState
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from farm.db import accounts as account_rows
from farm.db import job_rows, metering, notices
from farm.db.engine.database import Database
from farm.db.tables import accounts, jobs, plans
from farm.jobs.budget import (
    DISABLED,
    FOR_CREDITS,
    FOR_DISK,
    FOR_STORAGE,
    AccountState,
    Consequences,
    JobMoney,
    consequences,
)
from farm.jobs.pricing import to_credits
from farm.jobs.status_messages import NO_MESSAGE, StatusMessage
from farm.jobs.transitions import Event
from farm.scheduler import writer

_STARTABLE = (JobState.READY.value, JobState.RUNNING.value)
_WAITING = (JobState.PENDING.value, JobState.BLOCKED.value)


NO_END = 2**62
"""Bytes, of a disk that nobody fills."""


def review(database: Database, now: datetime, *, disk: bool = True, left: int = NO_END) -> None:
    """Apply what is due.

    Parameters:
        disk: whether the farm's disk has room for results.
        left: bytes that it has for them.
    """
    with database.read() as connection:
        due = _read(connection, disk=disk, left=left)

    def do(connection: Connection, job_ids: list[str]) -> None:
        # Read again, since another writer may have changed it meanwhile.
        due = _read(connection, disk=disk, left=left, only=job_ids)
        for job_id in due.budget_reached:
            _act(connection, job_id, now)
        held = dict(due.held)
        for job_id, row in job_rows.fetch_many(connection, list(held)).items():
            writer.apply(connection, row, Event.SUSPEND, now)
            job_rows.put(connection, row, suspended_for=held[job_id])
            writer.set_message(connection, row, _HELD[held[job_id]])
        writer.apply_to_many(connection, due.released, Event.RESUME, now, NO_MESSAGE)

    these = dict.fromkeys((*due.budget_reached, *dict(due.held), *due.released))
    database.write_in_portions(list(these), do)


_HELD = {
    FOR_CREDITS: StatusMessage(
        "Suspended: the account has no credits left. The job continues when credits are added.",
        JobReason.CREDITS,
    ),
    DISABLED: StatusMessage("Suspended: the account is disabled.", JobReason.DISABLED),
    FOR_STORAGE: StatusMessage(
        "Suspended: the account has used up the storage of its plan, or its share of the farm's"
        " disk. The job continues when there is space again, or with a larger plan.",
        JobReason.STORAGE,
    ),
    FOR_DISK: StatusMessage(
        "Suspended: the farm's disk is full. The job continues when there is space.",
        JobReason.DISK,
    ),
}


def _read(
    connection: Connection, *, disk: bool, left: int, only: Sequence[str] | None = None
) -> Consequences:
    """Return what is due for all jobs, or only for some."""
    metered = metering.by_job(connection)
    owners = _owners(connection, metered)
    metered_of: Counter[str] = Counter()
    for job_id, micros in metered.items():
        metered_of[owners[job_id]] += micros
    stores_too_much = _stores_too_much(connection, left)
    condition = _candidates(connection, metered_of, stores_too_much, disk=disk)
    if only is not None:
        condition = and_(condition, jobs.c.id.in_(only))
    rows = connection.execute(
        select(
            jobs.c.id,
            jobs.c.account_id,
            jobs.c.state,
            jobs.c.credits_micros,
            jobs.c.budget_micros,
            jobs.c.budget_action,
            jobs.c.budget_acted,
            jobs.c.suspended_for,
            accounts.c.balance_micros,
            accounts.c.active,
            stores_too_much.label("stores_too_much"),
        )
        .join(accounts, accounts.c.id == jobs.c.account_id)
        .join(plans, plans.c.name == accounts.c.plan)
        .where(condition)
    ).all()
    return consequences(
        (
            JobMoney(
                id=row.id,
                account_id=row.account_id,
                state=JobState(row.state),
                spent=row.credits_micros + metered.get(row.id, 0),
                budget=row.budget_micros,
                budget_action=BudgetAction(row.budget_action) if row.budget_action else None,
                budget_acted=row.budget_acted,
                suspended_for=row.suspended_for,
            )
            for row in rows
        ),
        {
            row.account_id: AccountState(
                row.balance_micros - metered_of[row.account_id],
                active=row.active,
                storage=not row.stores_too_much,
                disk=disk,
            )
            for row in rows
        },
    )


def _owners(connection: Connection, job_ids: Collection[str]) -> dict[str, str]:
    found = connection.execute(select(jobs.c.id, jobs.c.account_id).where(jobs.c.id.in_(job_ids)))
    return {row.id: row.account_id for row in found}


def _stores_too_much(connection: Connection, left: int) -> ColumnElement[bool]:
    """Return the condition for accounts that start no further frames; see `farm.stores.room`.

    Parameters:
        left: as for `review`. An account that stores this much has half of what others have left.
    """
    number, stored = plans.c.max_stored, accounts.c.stored_bytes
    beyond_its_number = and_(number > 0, stored >= number)
    if account_rows.is_alone(connection):
        return beyond_its_number
    return or_(beyond_its_number, and_(number == 0, stored >= left))


def _candidates(
    connection: Connection,
    metered_of: Mapping[str, int],
    stores_too_much: ColumnElement[bool],
    *,
    disk: bool,
) -> ColumnElement[bool]:
    """Return the condition for jobs that may have consequences: few of the many waiting ones."""
    balances = connection.execute(
        select(accounts.c.id, accounts.c.balance_micros).where(accounts.c.id.in_(metered_of))
    )
    empty = [row.id for row in balances if row.balance_micros <= metered_of[row.id]]
    obstructed = (
        select(accounts.c.id)
        .join(plans, plans.c.name == accounts.c.plan)
        .where(
            or_(
                accounts.c.active.is_(False),
                accounts.c.balance_micros <= 0,
                accounts.c.id.in_(empty),
                stores_too_much,
            )
        )
    )
    startable = jobs.c.state.in_(_STARTABLE)
    return or_(
        and_(startable, jobs.c.account_id.in_(obstructed)) if disk else startable,
        and_(jobs.c.state == JobState.SUSPENDED.value, jobs.c.suspended_for != ""),
        # A budget: of a job that may still cost something, or (a mere alert) that was over before
        # its time could be looked at.
        and_(
            jobs.c.budget_micros > 0,
            jobs.c.budget_acted.is_(False),
            or_(
                jobs.c.state.in_((*_STARTABLE, JobState.SUSPENDED.value)),
                and_(jobs.c.state.in_(_WAITING), jobs.c.frames_running > 0),
                and_(
                    jobs.c.budget_action == BudgetAction.ALERT.value,
                    jobs.c.credits_micros >= jobs.c.budget_micros,
                ),
            ),
        ),
    )


def _act(connection: Connection, job_id: str, now: datetime) -> None:
    """Apply the action of a job's budget once it is used up."""
    row = job_rows.row(connection, job_id)
    job_rows.put(connection, row, budget_acted=True)
    budget = f"{to_credits(row.budget_micros).normalize():f}"
    match BudgetAction(row.budget_action):
        case BudgetAction.STOP:
            status = StatusMessage(
                f"Stopped: its budget of {budget} credits is used up.", JobReason.BUDGET
            )
            writer.apply(connection, row, Event.STOP, now, status)
        case BudgetAction.SUSPEND:
            status = StatusMessage(
                f"Suspended: its budget of {budget} credits is used up.", JobReason.BUDGET
            )
            writer.apply(connection, row, Event.SUSPEND, now, status)
            writer.hold(connection, row, status)  # It may have been suspended for lack of credits.
        case BudgetAction.ALERT:
            status = StatusMessage(f"Its budget of {budget} credits is used up.", JobReason.BUDGET)
            if not JobState(row.state).is_final:
                writer.set_message(connection, row, status)
    subject = f"'{row.name}' has used up its budget"
    text = f"The job '{row.name}' of the project '{row.project}': {status.message}"
    notices.add(connection, row.account_id, subject, text, now)
