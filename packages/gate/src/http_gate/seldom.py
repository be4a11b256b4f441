"""A log that strangers cannot fill: a line a minute of what they cause, and how many there were."""

import logging
import time
from collections.abc import Callable

SECONDS = 60.0
"""Between two lines of the same kind."""


class Seldom(logging.Filter):
    """Lets one record of each text through a minute; the next one says how many were left out.

    Meant for a logger whose texts are few, and not made of what somebody sends.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start as if nothing had been logged yet."""
        super().__init__()
        self._clock = clock
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be logged."""
        if record.levelno > logging.WARNING:
            return True  # A mistake of ours: each one is wanted.
        text, now = str(record.msg), self._clock()
        if now - self._last.get(text, now - SECONDS) < SECONDS:
            self._left_out[text] = self._left_out.get(text, 0) + 1
            return False
        self._last[text] = now
        if left_out := self._left_out.pop(text, 0):
            record.msg = f"{text} ({left_out} more of these since the last line.)"
        return True


def seldom(name: str) -> logging.Logger:
    """Return a logger of one's own that writes to the one of this name, but seldom."""
    # Not one of `getLogger`'s: each server counts for itself, and nobody else gets this filter.
    logger = logging.Logger(name)
    logger.parent = logging.getLogger(name)
    logger.addFilter(Seldom())
    return logger
