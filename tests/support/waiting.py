"""Waiting for what no event tells."""

import time
from collections.abc import Callable, Iterable

import psutil


def until(look: Callable[[], bool], seconds: float = 20) -> None:
    """Return as soon as ``look`` is true."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def lives(process: psutil.Process) -> bool:
    """Whether a process still does anything: one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until_dead(processes: Iterable[psutil.Process], seconds: float = 10) -> None:
    """Return as soon as none of the processes lives."""
    known = list(processes)
    until(lambda: not any(map(lives, known)), seconds)
