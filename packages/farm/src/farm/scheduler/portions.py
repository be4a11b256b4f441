"""Operations on many jobs, in portions: others can write in between.

There is one write turn, and all others wait until it is over. So no transaction acts on more than
`PORTION` jobs, or resets more than `actions.PORTION` frames. Each portion is complete in itself: if
the farm dies between two of them, some jobs are changed and the others are not, and repeating the
request changes the rest. Jobs come after their dependencies: a job that is retried finds its
dependencies retried, too.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from farm_protocol.jobs import JobChange, JobState

from farm.db import jobs as job_table
from farm.db.engine.database import PORTION, Database
from farm.scheduler import actions
from farm.scheduler.actions import Action


def act(
    database: Database,
    job_ids: Sequence[str],
    action: Action,
    *,
    states: Collection[JobState] | None = None,
    who: str = "its user",
    account_id: str = "",
) -> None:
    """Act on those of the jobs that allow it.

    Parameters:
        account_id: as for `Database.write`.
        states: only jobs that are still in one of these when it is their turn.
        who: as for `actions.act`.
    """
    with database.read() as connection:
        ordered = job_table.needed_first(connection, job_ids)
    if action is Action.STOP:
        ordered.reverse()  # Otherwise jobs that are still to be stopped would be blocked first.
    for begin in range(0, len(ordered), PORTION):
        portion = ordered[begin : begin + PORTION]
        make_way(database, portion, action, account_id)
        with database.write(account_id) as connection:
            # Not jobs that have changed meanwhile.
            able = portion if states is None else job_table.still(connection, portion, states)
            actions.act_on_many(connection, able, action, datetime.now(UTC), who=who)


def change(
    database: Database, job_ids: Sequence[str], asked: JobChange, account_id: str = ""
) -> None:
    """Change priority and instances of jobs. ``account_id``: as for `Database.write`."""
    database.write_in_portions(
        job_ids, lambda connection, its: actions.change(connection, its, asked), account_id
    )


def make_way(
    database: Database, job_ids: Sequence[str], action: Action, account_id: str = ""
) -> None:
    """Put frames back in portions where they are many. ``account_id``: as for `act`."""
    with database.read() as connection:
        found, few = actions.with_many(connection, job_ids, action)
    for job_id in found:
        more = True
        while more:
            with database.write(account_id) as connection:
                more = actions.requeue_some(connection, job_id, action, few)
