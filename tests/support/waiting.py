"""Waiting for what no event tells."""

import time
from collections.abc import Callable


def until(look: Callable[[], bool], seconds: float = 20) -> None:
    """Return as soon as ``look`` is true."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
