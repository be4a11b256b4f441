"""What is done to many jobs, a portion at a time: others write in between.

There is one write turn, and whoever waits for it waits for all that is done in it. So no
transaction acts on more than `PORTION` jobs, or puts back more than `actions.PORTION` frames. Each
portion is complete in itself: a farm that dies between two of them leaves jobs to which it was
done and others as they were, and whoever asks again gets the rest. Jobs come after those that they
need: one that is done anew finds that what it needs is done anew, too.
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
) -> None:
    """Do something to those of the jobs to which it can be done.

    Parameters:
        states: only to jobs that are still in one of these when it is their turn.
        who: as for `actions.act`.
    """
    with database.read() as connection:
        ordered = job_table.needed_first(connection, job_ids)
    if action is Action.STOP:
        ordered.reverse()  # Else those that are still to be stopped were blocked first.
    for begin in range(0, len(ordered), PORTION):
        portion = ordered[begin : begin + PORTION]
        make_way(database, portion, action)
        with database.write() as connection:
            # Not to those to which something else has happened meanwhile.
            able = portion if states is None else job_table.still(connection, portion, states)
            actions.act_on_many(connection, able, action, datetime.now(UTC), who=who)


def change(database: Database, job_ids: Sequence[str], asked: JobChange) -> None:
    """Change priority and instances of jobs."""
    database.write_in_portions(
        job_ids, lambda connection, its: actions.change(connection, its, asked)
    )


def make_way(database: Database, job_ids: Sequence[str], action: Action) -> None:
    """Put frames back a portion at a time where they are many."""
    with database.read() as connection:
        found, few = actions.with_many(connection, job_ids, action)
    for job_id in found:
        more = True
        while more:
            with database.write() as connection:
                more = actions.requeue_some(connection, job_id, action, few)
