"""The account of a confined program when we run as root: one that owns nothing.

Root without any capability still owns most of the system: it may write to ``/proc/sys``, to device
nodes, to files of other programs. So no program that reads users' data runs as root. Unless the
operator names an account, each gets an unused user id, as with systemd's ``DynamicUser``: it can
then access neither the system's users nor others of its kind.
"""

import contextlib
import logging
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("farm.runner")

_NUMBERS = range(61184, 65520)
"""The ids that systemd also hands out: no distribution assigns them permanently."""
_TAKEN_BY_SYSTEMD = Path("/run/systemd/dynamic-uid")
_LOCKS = Path("/run/render-farm-accounts.lock")
"""Byte N is locked while the id N is in use."""
_FLOCK = "hhqqi0q"
"""``struct flock`` of 64-bit Linux (fcntl.h): type, whence, start, length, process."""
_KILL = """
import contextlib, os, signal, sys
uid, gid, spare = map(int, sys.argv[1:])
os.setgroups([])
os.setresgid(gid, gid, gid)
os.setresuid(spare, uid, 0)
with contextlib.suppress(ProcessLookupError):
    os.kill(-1, signal.SIGKILL)
"""
"""kill(-1) signals every process that this one may signal: those of the account, and of the spare
uid, which has none. Since its real and saved uid are not those of the account, the account's
processes cannot stop this one."""
_KILL_SECONDS = 60.0
_UTIL_LINUX = "/usr/bin:/bin:/usr/sbin:/sbin"
"""Folders that are searched for its programs, rather than PATH: sandboxes show them."""


class AccountError(Exception):
    """There is no usable account. ``str()`` is a message for people."""


@dataclass(frozen=True)
class Account:
    """The account of a confined program.

    Attributes:
        uid, gid: never 0.
        groups: further groups.
        own: it is exclusive: all of its processes are ours.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    own: bool = False

    def may_pass(self, folder: Path) -> bool:
        """Return whether it may access the contents of a folder. Raises OSError."""
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid in (self.gid, *self.groups):
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def is_root() -> bool:
    """Return whether this process is root, and so must not process users' data as itself."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


@contextlib.contextmanager
def borrowed(name: str = "") -> Iterator[Account | None]:
    """Give an account for as long as the block runs; None when we are not root.

    Parameters:
        name: name of an account of this machine; "" for an unused id.

    Raises:
        AccountError: there is no such account, it is root's, or no id is available.
    """
    if not is_root():
        yield None
        return
    _setpriv()
    if name:
        yield named(name)
        return
    with contextlib.ExitStack() as stack:
        yield _free(stack)


def named(name: str) -> Account:
    """Return an account of this machine. Raises AccountError."""
    import pwd

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise AccountError(f"This machine has no account '{name}'.") from None
    groups = tuple(sorted({*os.getgrouplist(name, entry.pw_gid)} - {entry.pw_gid}))
    if 0 in (entry.pw_uid, entry.pw_gid, *groups):
        raise AccountError(f"The account '{name}' is root, or in root's group. Name another one.")
    return Account(entry.pw_uid, entry.pw_gid, groups)


def drop(account: Account, groups: Iterable[int] = ()) -> list[str]:
    """Return the command line that drops root irrevocably, and then execs what follows it.

    Parameters:
        groups: ids of further groups that it needs, such as those of GPU devices.

    Raises:
        AccountError: this machine lacks the program for it.
    """
    numbers = sorted({*account.groups, *groups} - {account.gid})
    return [
        *(_setpriv(), f"--reuid={account.uid}", f"--regid={account.gid}"),
        f"--groups={','.join(map(str, numbers))}" if numbers else "--clear-groups",
        *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--pdeathsig=keep", "--"),
    ]


def stop_all(account: Account) -> None:
    """Kill processes that a program has left behind, where no sandbox does so."""
    if not account.own:
        return
    try:
        with borrowed() as spare:
            if spare is not None:
                numbers = map(str, (account.uid, account.gid, spare.uid))
                line = [sys.executable, "-I", "-S", "-c", _KILL, *numbers]
                subprocess.run(line, stdin=subprocess.DEVNULL, check=True, timeout=_KILL_SECONDS)
        return
    except subprocess.TimeoutExpired:
        reason = f"it took longer than {_KILL_SECONDS:.0f} seconds"
    except subprocess.CalledProcessError as error:
        reason = f"exit code {error.returncode}"
    except (AccountError, OSError) as error:
        reason = str(error)
    log.warning(
        "Processes that a scene left running could not be ended (%s). End them with: pkill"
        " -KILL -U %d",
        reason.rstrip("."),
        account.uid,
    )


def util_linux(program: str) -> str | None:
    """Return the path of a program of util-linux; None where it is missing."""
    return shutil.which(program, path=_UTIL_LINUX)


def _setpriv() -> str:
    found = util_linux("setpriv")
    if found is None:
        raise AccountError(
            "As root, the farm needs the program setpriv (package util-linux). Install it,"
            " or start the farm as an ordinary user."
        )
    return found


def _free(stack: contextlib.ExitStack) -> Account:
    """Return an unused id, reserved until the stack is closed."""
    try:
        locks = os.open(_LOCKS, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AccountError(f"Cannot open {_LOCKS}: {error.strerror}.") from error
    stack.callback(os.close, locks)
    maps = [_mapped(Path(f"/proc/self/{kind}_map")) for kind in ("uid", "gid")]
    numbers = [each for each in _NUMBERS if all(_within(each, ranges) for ranges in maps)]
    random.shuffle(numbers)
    for number in numbers:
        if not _is_known(number) and _lock(locks, number):
            return Account(number, number, own=True)
    raise AccountError(
        f"All accounts between {_NUMBERS[0]} and {_NUMBERS[-1]} are taken on this machine."
        " Name one with FARM_RENDER_USER."
    )


def _is_known(number: int) -> bool:
    import grp
    import pwd

    with contextlib.suppress(KeyError):
        pwd.getpwuid(number)
        return True
    with contextlib.suppress(KeyError):
        grp.getgrgid(number)
        return True
    return (_TAKEN_BY_SYSTEMD / str(number)).exists()


def _lock(descriptor: int, number: int) -> bool:
    """Lock a byte for as long as the descriptor is open: the lock belongs to the open file, not the
    process.
    """
    import fcntl

    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        return False
    return True


def _mapped(file: Path) -> list[range]:
    """Return the ids that exist here: a container may have fewer than a machine."""
    rows = [list(map(int, line.split())) for line in file.read_text().splitlines()]
    return [range(first, first + count) for first, _, count in rows]


def _within(number: int, ranges: Sequence[range]) -> bool:
    return any(number in each for each in ranges)
