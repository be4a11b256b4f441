"""Limits that a program of ours sets itself, before it reads what strangers have made.

See `farm.confine.readers`, which starts such programs. Imports nothing of ours: they start fast.
"""

import contextlib
import ctypes
import errno
import os
import platform
import signal
import sys
from pathlib import Path

NOBODY = 65534
"""Who a program is that was started by root: root may do too much even where it sees little."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_KEYCTL = {"x86_64": 250, "aarch64": 219}  # asm/unistd.h
_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h
_PR_SET_NO_NEW_PRIVS = 38


def lower(name: str, most: int, *, for_good: bool = False) -> None:
    """Set a limit of this process, but never above what it was started with.

    Parameters:
        name: in `resource`.
        for_good: it cannot be raised again.
    """
    if sys.platform == "win32":
        return  # It has no such limits; the starter's patience remains.
    import resource

    kind = getattr(resource, name)
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least if for_good else hard))


def forget_keys() -> None:
    """Begin a session keyring without keys, for this thread and all that it starts.

    Who gives up root keeps root's session keyring, and may use what its keys let every possessor
    do. Raises OSError, but not where the kernel knows no keyrings or lets nobody here use them.
    """
    number = _KEYCTL.get(platform.machine()) if sys.platform == "linux" else None
    if number is None:
        return
    kernel = ctypes.CDLL(None, use_errno=True)
    if kernel.syscall(number, _JOIN_SESSION_KEYRING, None) < 0:
        error = ctypes.get_errno()
        if error not in (errno.ENOSYS, errno.EPERM):
            raise OSError(error, os.strerror(error))


def limit(memory: int, files: int, written: int, user: int = NOBODY, group: int = NOBODY) -> None:
    """Limit this process, for good, and give up what root may do.

    Parameters:
        memory: bytes of address space.
        files: that it may have open.
        written: bytes of any file that it writes.
        user, group: who it is from then on, if it was started by root.
    """
    if sys.platform == "win32":
        return
    for name, most in (
        ("RLIMIT_AS", memory),
        ("RLIMIT_NOFILE", files),
        ("RLIMIT_FSIZE", written),
        ("RLIMIT_CORE", 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of address space
            lower(name, most, for_good=True)
    if sys.platform == "linux":
        # The first to go when the machine has no memory left, before the renderer.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            forget_keys()
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
    # Last: the kernel forgets it when the user changes.
    end_with_starter()


def end_with_starter() -> None:
    """Let the kernel end this process with the one that started it, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
