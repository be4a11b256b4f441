"""Lets budgets act, and jobs of empty or disabled accounts stand still while they are that.

Looked at with every pass of the scheduler, which comes at least every two seconds while runners
live; their time is metered by their heartbeats, every two seconds as well.
"""

from datetime import datetime

from farm_protocol.jobs import BudgetAction, JobState
from sqlalchemy import Connection, and_, or_, select, update

from farm.db import jobs as job_rows
from farm.db import metering, notices
from farm.db.database import Database
from farm.db.tables import accounts, jobs
from farm.jobs.budget import (
    DISABLED,
    FOR_CREDITS,
    Consequences,
    JobMoney,
    Standing,
    consequences,
)
from farm.jobs.pricing import to_credits
from farm.jobs.transitions import Event
from farm.scheduler import writer

_STARTABLE = (JobState.READY.value, JobState.RUNNING.value)


def review(database: Database, now: datetime) -> None:
    """Do what is due."""
    with database.read() as connection:
        nothing = _read(connection) == Consequences()
    if nothing:
        return
    with database.write() as connection:
        # Read again: what another writer has done meanwhile counts.
        due = _read(connection)
        for job_id in due.budget_reached:
            _act(connection, job_id, now)
        for job_id, obstacle in due.held:
            writer.happen(connection, job_id, Event.SUSPEND, now, _SENTENCES[obstacle])
            connection.execute(
                update(jobs).where(jobs.c.id == job_id).values(suspended_for=obstacle)
            )
        for job_id in due.released:
            writer.happen(connection, job_id, Event.RESUME, now, "")


_SENTENCES = {
    FOR_CREDITS: "Suspended: the account has no credits left. It goes on after a top-up.",
    DISABLED: "Suspended: the account is disabled.",
}


def _read(connection: Connection) -> Consequences:
    metered = metering.by_job(connection)
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
        )
        .join(accounts, accounts.c.id == jobs.c.account_id)
        .where(
            or_(
                jobs.c.state.in_((*_STARTABLE, JobState.SUSPENDED.value)),
                # One that was over before its time could be looked at.
                and_(
                    jobs.c.budget_action == BudgetAction.ALERT.value,
                    jobs.c.budget_acted.is_(False),
                    jobs.c.credits_micros >= jobs.c.budget_micros,
                ),
            )
        )
    ).all()
    balances = {row.account_id: row.balance_micros for row in rows}
    for row in rows:
        balances[row.account_id] -= metered.get(row.id, 0)
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
        {row.account_id: Standing(balances[row.account_id], active=row.active) for row in rows},
    )


def _act(connection: Connection, job_id: str, now: datetime) -> None:
    """The job has cost its budget."""
    row = job_rows.row(connection, job_id)
    job_rows.put(connection, row, budget_acted=True)
    used_up = f"its budget of {to_credits(row['budget_micros']).normalize():f} credits is used up."
    match BudgetAction(row["budget_action"]):
        case BudgetAction.STOP:
            told = f"Stopped: {used_up}"
            writer.happen_to(connection, row, Event.STOP, now, told)
        case BudgetAction.SUSPEND:
            told = f"Suspended: {used_up}"
            writer.happen_to(connection, row, Event.SUSPEND, now, told)
        case BudgetAction.ALERT:
            told = used_up.capitalize()
            if not JobState(row["state"]).is_final:
                writer.say(connection, row, told)
    subject = f"'{row['name']}' has used up its budget"
    text = f"The job '{row['name']}' of the project '{row['project']}': {told}"
    notices.add(connection, row["account_id"], subject, text, now)
