"""Looks whether the ledger adds up: a thread of its own, for a long ledger is read for long."""

import logging
import threading

from farm.db import ledger
from farm.db.engine.database import Database

logger = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
_JOIN_SECONDS = 10.0


class Audit:
    """Looks at the start of the farm and once a day; what is wrong is logged as an error.

    `farm credits check` does the same when somebody asks.
    """

    def __init__(self, database: Database, every_seconds: float = DAY_SECONDS) -> None:
        """Use this database; nothing happens before `start`."""
        self._database = database
        self._every = every_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Begin to check the ledger, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a look that takes long is not waited for."""
        self._stopping.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._database.read() as connection:
                    faults = ledger.faults(connection)
                for message in faults:
                    logger.error("The ledger does not add up: %s", message)
            except Exception:
                logger.exception("the ledger cannot be read; trying again tomorrow")
            self._stopping.wait(self._every)
