"""Checks whether the ledger adds up, in its own thread, since a long ledger takes long to read."""

import logging
import threading

from farm.db import ledger
from farm.db.engine.database import Database

logger = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
_JOIN_SECONDS = 10.0


class Audit:
    """Checks at the start of the farm and once a day; errors are logged.

    `farm credits check` does the same on demand.
    """

    def __init__(self, database: Database, every_seconds: float = DAY_SECONDS) -> None:
        """Use this database; nothing happens before `start`."""
        self._database = database
        self._every = every_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Start checking the ledger, in a separate thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop checking; a check in progress is not awaited."""
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
