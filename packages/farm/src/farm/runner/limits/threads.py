"""Threads of a process. Needed on Linux, where ``/proc/<pid>`` shows only the main thread's view.

If the main thread has ended and others continue, the process seems to have neither memory nor
descriptors. Also, a thread may have a descriptor table of its own.
"""

import ctypes
import functools
import os
import platform
import random
import sys
from pathlib import Path

from farm.confine.system_calls import MOST_WAITED_FOR, waiting_calls

_KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())
_KCMP_FILES = 2  # linux/kcmp.h
_WAITING = waiting_calls()
_ENDED = frozenset("ZXx")
TRIES = 5
"""How often to examine a process whose threads keep ending during the examination."""


def living_thread(process: int) -> int:
    """Return the id below which ``/proc`` shows the resources of a process.

    This is the process id, unless the main thread has ended: then it is the id of a thread that
    continues. For a process that has ended, it is the process id.
    """
    if sys.platform != "linux" or _state(process) not in _ENDED:
        return process
    for thread in _ids(process):
        if thread != process and _state(thread) not in _ENDED:
            return thread
    return process


def has_ended(process: int) -> bool:
    """Return whether all threads of a process have ended."""
    return all(_state(each) in _ENDED for each in _ids(process))


def is_ending(process: int) -> bool:
    """Return whether a process has released its address space, and so no longer runs any code.

    A process with much memory takes a while to end after that. A program reaches this state only by
    ending, so it cannot use it to hide.
    """
    try:
        status = Path(f"/proc/{living_thread(process)}/status").read_bytes()
    except OSError:
        return True
    return b"\nVmSize:" not in status


def runnable_threads(process: int) -> int:
    """Return how many threads of a process are running, or waiting for a processor."""
    return sum(_state(each) == "R" for each in _ids(process))


def thread_count(process: int) -> int:
    """Return how many threads a process has; 0 when it is gone, or this is not Linux."""
    return len(_ids(process)) if sys.platform == "linux" else 0


def waited_for_files(process: int) -> int:
    """Return an upper bound for the files that a process waits for in poll and select.

    Such a call keeps its files open, even if another thread closes their descriptors meanwhile. Any
    other call that blocks keeps one or two, so that they are limited by the number of threads.
    """
    return sum(_waited_for(each) for each in _ids(process))


def _waited_for(thread: int) -> int:
    try:
        with open(f"/proc/{thread}/syscall", "rb") as file:  # noqa: PTH123 - called often
            call, *arguments = file.read().split()
    except (OSError, ValueError):
        return 0
    # "running", or -1 without arguments, unless it is blocked in a system call.
    at = _WAITING.get(int(call)) if call.isdigit() else None
    if at is None or at >= len(arguments):
        return 0
    # A 32-bit program may mean another call by this number.
    return min(int(arguments[at], 16), MOST_WAITED_FOR)


def with_other_descriptors(thread: int) -> tuple[list[int], list[int]]:
    """Find threads of the same process that do not share a thread's descriptor table.

    Parameters:
        thread: as returned by `living_thread`.

    Returns:
        The ids of such threads, and of those for which it is unknown, the latter in random order:
        the caller may not be able to examine all of them.
    """
    apart, unknown = [], []
    for each in _ids(thread):
        answer = _compared(thread, each) if each != thread else 0
        if answer < 0:
            unknown.append(each)
        elif answer:
            apart.append(each)
    random.shuffle(unknown)
    return apart, unknown


def _compared(one: int, other: int) -> int:
    """Return 0 if two threads share their descriptors, a negative number if that is unknown."""
    if _KCMP is None:
        return -1
    return int(_system().syscall(_KCMP, one, other, _KCMP_FILES, 0, 0))


@functools.cache
def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _ids(process: int) -> list[int]:
    try:
        return [int(each) for each in os.listdir(f"/proc/{process}/task")]  # noqa: PTH208
    except OSError:
        return []


def _state(thread: int) -> str:
    """Return the state of a thread, see proc(5); "X" when it is gone."""
    try:
        with open(f"/proc/{thread}/stat", "rb") as file:  # noqa: PTH123 - often called
            # The program's name in front of it may contain any character.
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError):
        return "X"
