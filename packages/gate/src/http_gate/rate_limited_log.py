"""A log that strangers cannot flood: a line a minute for each cause, with a count of the others."""

import logging
import time
from collections.abc import Callable

SECONDS = 60.0
"""Between two lines with the same text."""


class RateLimit(logging.Filter):
    """Passes one record of each text per minute; the next one says how many were left out.

    Meant for a logger with a few fixed texts that are not made from input.
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
            return True  # A bug of ours: each one is wanted.
        text, now = str(record.msg), self._clock()
        if now - self._last.get(text, now - SECONDS) < SECONDS:
            self._left_out[text] = self._left_out.get(text, 0) + 1
            return False
        self._last[text] = now
        if left_out := self._left_out.pop(text, 0):
            record.msg = f"{text} ({left_out} more of these since the last line.)"
        return True


def rate_limited_logger(name: str) -> logging.Logger:
    """Return a rate-limited logger that writes to the one of this name."""
    # Not from `getLogger`: each server counts for itself, and no other logger gets this filter.
    logger = logging.Logger(name)
    logger.parent = logging.getLogger(name)
    logger.addFilter(RateLimit())
    return logger
