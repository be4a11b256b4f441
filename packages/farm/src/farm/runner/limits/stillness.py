"""Processes that are held still while somebody counts what they have.

What runs can move its files and descriptors out of sight of whoever counts them. So all of a
renderer's processes are stopped for as long as that takes, which is milliseconds for nearly every
renderer, and then go on.

A stopped process can have the kernel continue it, by a timer for example. It cannot hide that it
was: each thread counts how often it was given a processor.
"""

import contextlib
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_PATIENCE_SECONDS = 2.0
"""Who is in a system call stops at its end; one that waits for a disk may take long."""
_LOOK_SECONDS = 0.005
_SETTLED_SECONDS = 0.03
"""After which even a coarse clock of a file system is past all that was done before."""
_STOPPED, _WAITING = frozenset("TtZXx"), "D"
"""States of threads (proc(5)): stopped or ended; within a system call, at the end of which it will
stop."""
_STATE = re.compile(rb"^State:\t(\w)", re.MULTILINE)
_SWITCHES = re.compile(
    rb"^voluntary_ctxt_switches:\t(\d+)\nnonvoluntary_ctxt_switches:\t(\d+)", re.MULTILINE
)

Threads = dict[tuple[int, int], tuple[str, int]]
"""State and number of switches, by process and thread."""


@dataclass
class Stillness:
    """How still some processes were held.

    Attributes:
        kept: none of them ran but to the end of one system call. Known at the end.
        woken: one of them was stopped and ran again.
    """

    kept: bool = False
    woken: bool = False


@contextlib.contextmanager
def held_still(pid: int) -> Iterator[Stillness]:
    """Stop a process and all its descendants for as long as the block runs."""
    stillness = Stillness()
    stopped: dict[int, psutil.Process] = {}
    try:
        still = _stop_all(pid, stopped)
        time.sleep(_SETTLED_SECONDS)
        before = _threads(stopped)
        yield stillness
        for thread, (_, switches) in _threads(stopped).items():
            state, ran = before.get(thread, ("", -1))
            stillness.woken |= ran != switches and state != _WAITING
        stillness.kept = still and not stillness.woken
    finally:
        for each in stopped.values():
            with contextlib.suppress(psutil.Error):
                each.resume()


def _stop_all(pid: int, stopped: dict[int, psutil.Process]) -> bool:
    """Stop a process and its descendants, also those that are just started; whether all rest."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        found = _family(pid)
        new = [each for each in found if each.pid not in stopped]
        stopped |= {each.pid: each for each in new}
        awake = [each for each in found if not _is_stopped(each)]
        if not new and not awake:
            return True
        if time.monotonic() > until:
            return not new and all(_is_stopped(each, waiting=True) for each in awake)
        for each in {*new, *awake}:
            # Again, too: who still ran may have continued others.
            with contextlib.suppress(psutil.Error):
                each.suspend()
        time.sleep(_LOOK_SECONDS)


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


def _is_stopped(process: psutil.Process, waiting: bool = False) -> bool:
    """Return whether a process is stopped; with ``waiting``, or about to be."""
    if sys.platform != "linux":
        with contextlib.suppress(psutil.Error):
            return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        return True
    states = {state for state, _ in _threads([process.pid]).values()}
    return states <= (_STOPPED | {_WAITING} if waiting else _STOPPED)


def _threads(processes: Iterable[int]) -> Threads:
    """Return the threads of processes; {} where the system tells nothing of them."""
    found: Threads = {}
    for pid in processes:
        with contextlib.suppress(OSError):
            for folder in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    status = (folder / "status").read_bytes()
                    state, switches = _STATE.search(status), _SWITCHES.search(status)
                    if state and switches:
                        count = int(switches[1]) + int(switches[2])
                        found[pid, int(folder.name)] = state[1].decode(), count
    return found
