"""Stops processes while their resources are counted.

A running process can move its files and descriptors out of sight while they are being counted.
Therefore all processes of a renderer are stopped meanwhile, which takes milliseconds for nearly
every renderer, and are then continued.

A stopped process can arrange for the kernel to continue it, for example by a timer. It cannot hide
this: the kernel counts the context switches of each thread.
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
"""A process in a system call stops when that returns, which may take long if it waits for a disk.
"""
_LOOK_SECONDS = 0.005
_SETTLED_SECONDS = 0.03
"""After this pause, even a coarse file system clock is later than all previous changes."""
_STOPPED, _WAITING = frozenset("TtZXx"), "D"
"""States of threads, see proc(5): stopped or ended; and in an uninterruptible system call, after
which the thread stops."""
_STATE = re.compile(rb"^State:\t(\w)", re.MULTILINE)
_SWITCHES = re.compile(
    rb"^voluntary_ctxt_switches:\t(\d+)\nnonvoluntary_ctxt_switches:\t(\d+)", re.MULTILINE
)

Threads = dict[tuple[int, int], tuple[str, int]]
"""(Process id, thread id) -> (state, number of context switches)."""


@dataclass
class Stillness:
    """Whether processes stayed stopped.

    Attributes:
        kept: none of them ran, except to complete a system call. Set when the block ends.
        woken: one of them ran again after it was stopped.
    """

    kept: bool = False
    woken: bool = False


@contextlib.contextmanager
def held_still(pid: int) -> Iterator[Stillness]:
    """Stop a process and all its descendants while the block runs."""
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
    """Stop a process and its descendants, including new ones; return whether all are stopped."""
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
            # Repeated, since a process that was still running may have continued others.
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
    """Return whether a process is stopped, or, with ``waiting``, about to be."""
    if sys.platform != "linux":
        with contextlib.suppress(psutil.Error):
            return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        return True
    states = {state for state, _ in _threads([process.pid]).values()}
    return states <= (_STOPPED | {_WAITING} if waiting else _STOPPED)


def _threads(processes: Iterable[int]) -> Threads:
    """Return the threads of processes; {} on systems without ``/proc/<pid>/task``."""
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
