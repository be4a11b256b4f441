"""The farm looks by itself whether its ledger adds up, and says so when it does not."""

import logging
import queue

from farm.accounts.audit import Audit
from farm.db import ledger
from farm.db.tables import accounts
from messages import saying
from sqlalchemy import update

from .conftest import Farm


class Errors(logging.Handler):
    """The errors that the farm logs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self._queue.put(record.getMessage())

    def next(self) -> str:
        return self._queue.get(timeout=60)


def test_what_does_not_add_up_is_logged_again_and_again(farm: Farm) -> None:
    farm.user("ann@example.com")
    with farm.database.write() as connection:
        connection.execute(update(accounts).values(balance_micros=1))
    with farm.database.read() as connection:
        (fault,) = ledger.faults(connection)
    errors, audit = Errors(), Audit(farm.database, every_seconds=0.01)
    logging.getLogger("farm").addHandler(errors)
    try:
        audit.start()
        assert [errors.next(), errors.next()] == [saying("ledger-does-not-add-up", fault)] * 2
    finally:
        audit.stop()
        logging.getLogger("farm").removeHandler(errors)
