"""Waiting for what no event tells."""

import time
from collections.abc import Callable, Iterable

import psutil


def until(look: Callable[[], bool]) -> None:
    """Return as soon as ``look`` is true, however long that takes.

    Where it never is, pytest's own time-out ends the test, and shows what it waits for.
    """
    while not look():
        time.sleep(0.02)


def lives(process: psutil.Process) -> bool:
    """Whether a process still does anything: one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until_dead(processes: Iterable[psutil.Process]) -> None:
    """Return as soon as none of the processes lives."""
    known = list(processes)
    until(lambda: not any(map(lives, known)))
