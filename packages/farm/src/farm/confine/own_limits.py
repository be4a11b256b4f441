"""Limits that a program of ours sets itself, before it reads untrusted data.

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
"""Account of a program started by root: root may do too much even where it sees little."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_KEYCTL = {"x86_64": 250, "aarch64": 219}  # asm/unistd.h
_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h
_PR_SET_NO_NEW_PRIVS = 38


def lower(name: str, most: int, *, for_good: bool = False) -> None:
    """Set a limit of this process, but never above its initial one.

    Parameters:
        name: in `resource`.
        for_good: it cannot be raised again.
    """
    if sys.platform == "win32":
        return  # There are no such limits here; the parent's time-out remains.
    import resource

    kind = getattr(resource, name)
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least if for_good else hard))


def forget_keys() -> None:
    """Start a session keyring without keys, for this thread and its child processes.

    A process that drops root keeps root's session keyring, and with it the rights of a possessor of
    its keys. Raises OSError, but not where the kernel has no keyrings or does not allow their use
    here.
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
    """Limit this process, irrevocably, and drop root's rights.

    Parameters:
        memory: bytes of address space.
        files: most open files.
        written: most bytes of any file that it writes.
        user, group: its account from then on, if it was started by root.
    """
    if sys.platform == "win32":
        return
    for name, most in (
        ("RLIMIT_AS", memory),
        ("RLIMIT_NOFILE", files),
        ("RLIMIT_FSIZE", written),
        ("RLIMIT_CORE", 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on address space
            lower(name, most, for_good=True)
    if sys.platform == "linux":
        # The first to be killed when the machine runs out of memory, before the renderer.
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
    # Last: the kernel resets it when the user changes.
    end_with_starter()


def end_with_starter() -> None:
    """Let the kernel end this process with its parent, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
