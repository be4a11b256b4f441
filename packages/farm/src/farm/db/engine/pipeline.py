"""PostgreSQL's pipeline mode: statements are sent without waiting for the previous answer.

`farm.db.engine.prepared` works in it. What returns nothing then costs no round trip: it is on its
way together with the next statement whose answer somebody reads, or with the commit. An error is
raised there instead, and undoes the transaction as it would have done before. SQLAlchemy's own
statements expect their answer at once, so they first leave the pipeline; that waits for all before.
"""

from contextlib import ExitStack, suppress
from typing import Any

from sqlalchemy import Connection, Engine, event

OPTION = "farm_pipeline"
"""The execution option of a connection that holds the `Pipeline` of its transaction."""


class Pipeline:
    """The pipeline of one transaction, entered when it is first needed."""

    def __init__(self) -> None:
        """Prepare a pipeline that is not entered yet."""
        self._entered: ExitStack | None = None

    def enter(self, connection: Connection) -> None:
        """From now on statements do not wait for each other."""
        if self._entered is None:
            driver: Any = connection.connection.driver_connection
            self._entered = ExitStack()
            self._entered.enter_context(driver.pipeline())

    def leave(self) -> None:
        """Wait until everything is executed. Raises the driver's errors."""
        entered, self._entered = self._entered, None
        if entered is not None:
            entered.close()


def of(connection: Connection) -> Pipeline | None:
    """Return the pipeline of a connection's transaction; None without one."""
    found: Pipeline | None = connection.get_execution_options().get(OPTION)
    return found


def prepare(engine: Engine) -> None:
    """Make everything but prepared statements leave the pipeline first."""
    from psycopg import Error

    @event.listens_for(engine, "before_cursor_execute")
    def before_cursor_execute(connection: Connection, *_: Any) -> None:
        _leave(connection)

    @event.listens_for(engine, "commit")
    def commit(connection: Connection) -> None:
        _leave(connection)

    @event.listens_for(engine, "rollback")
    def rollback(connection: Connection) -> None:
        with suppress(Error):  # Raises the cause of the rollback again.
            _leave(connection)


def _leave(connection: Connection) -> None:
    if (pipeline := of(connection)) is not None:
        pipeline.leave()
