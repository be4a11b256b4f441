"""Threads of a process, where `/proc` tells of a process only what its first thread has (Linux).

When the first thread has ended and others go on, the process seems to have neither memory nor
descriptors. And a thread may have descriptors that its process has not.
"""

import ctypes
import functools
import os
import platform
import random
import sys
from pathlib import Path

_KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())
_KCMP_FILES = 2  # linux/kcmp.h
_ENDED = frozenset("ZXx")
TRIES = 5
"""So often a process is looked at whose threads end meanwhile, one after the other."""


def living(process: int) -> int:
    """Return the id below which `/proc` tells what a process has.

    That is its own unless its first thread has ended: then the one of a thread that goes on. An
    ended process has its own.
    """
    if sys.platform != "linux" or _state(process) not in _ENDED:
        return process
    for thread in _ids(process):
        if thread != process and _state(thread) not in _ENDED:
            return thread
    return process


def has_ended(process: int) -> bool:
    """Return whether nothing of a process goes on."""
    return all(_state(each) in _ENDED for each in _ids(process))


def is_ending(process: int) -> bool:
    """Return whether a process has given back all that it had mapped: it runs no more.

    One with much memory then takes a while to end, and no program has brought that about but by its
    end: there is nothing behind which it could hide.
    """
    try:
        status = Path(f"/proc/{living(process)}/status").read_bytes()
    except OSError:
        return True
    return b"\nVmSize:" not in status


def running(process: int) -> int:
    """Return how many threads of a process have a processor, or wait for one."""
    return sum(_state(each) == "R" for each in _ids(process))


def number(process: int) -> int:
    """Return how many threads a process has; 0 where nobody tells."""
    return len(_ids(process)) if sys.platform == "linux" else 0


def with_other_descriptors(thread: int) -> tuple[list[int], list[int]]:
    """Return the threads of a process that have other descriptors than one of them.

    And those of which nobody tells whether they have, in any order: not all may be looked at.

    Parameters:
        thread: as `living` returns it.
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
    """Return 0 when two threads share their descriptors, and less when nobody tells."""
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
    """Return the state of a thread (proc(5)); "X" when it is gone."""
    try:
        with open(f"/proc/{thread}/stat", "rb") as file:  # noqa: PTH123 - often called
            # The name in front may hold any character.
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError):
        return "X"
