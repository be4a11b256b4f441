"""bubblewrap's command line, and whether bubblewrap works on this machine.

Inside, a program finds the system's programs and libraries, and what it was given to read, all
read-only; it may write where it was told to, and nowhere else. There is no network, no other
process, no device but the GPUs of one that needs them. Everything lies at its own path, so that no
path needs to be translated.

An ordinary user's bubblewrap lives in a user namespace. Root's does not: it makes its mounts as
root, and then gives up everything for the account that it was given (see `account`), which so needs
no way through root's private folders.
"""

import functools
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm.confine.account import Account, AccountError, drop, is_root
from farm.confine.system_calls import filter_file

SYSTEM = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")))
_CONFIGURATION = (
    # No more of /etc: it tells who uses this machine, and may hold keys.
    "/etc/fonts",
    "/etc/ssl",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
)
_GPU = ("/sys", "/etc/OpenCL", "/etc/vulkan", "/opt/rocm")
"""What GPU drivers read: /sys describes the devices, the others name the drivers."""
_READ_ONLY = ("acpi", "asound", "bus", "driver", "fs", "irq", "mtrr", "sys", "sysrq-trigger")
_HIDDEN = (
    *("interrupts", "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup", "kpagecount"),
    *("kpageflags", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats", "vmcore"),
)
"""Of /proc, what is the whole machine's and no program's business; OCI runtimes have such lists."""
_SHARED = "/tmp /dev/shm"  # noqa: S108 - a sandbox's own
_NOBODY = 65534
_ASK_SECONDS = 60.0
_LONGEST_REASON = 300


@dataclass(frozen=True)
class View:
    """What of this machine a confined program sees beside the system.

    Attributes:
        readable: files and folders.
        files: further ones, as (file, path inside).
        writable: folders; as root they must be the account's.
        links: symbolic links as (path, target).
        hidden: folders of the system that it must not see.
        devices: files and folders below /dev.
        gpu: whether it sees what GPU drivers need.
        folder: where it starts.
        small_bytes: size of each folder that lies in memory, such as ``/tmp``; None: half of the
            machine's.
        watched: no control group counts its memory: it gets none that belongs to no process.
    """

    readable: tuple[Path, ...] = ()
    files: tuple[tuple[Path, Path], ...] = ()
    writable: tuple[Path, ...] = ()
    links: tuple[tuple[Path, Path], ...] = ()
    hidden: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    gpu: bool = False
    folder: Path = Path("/")
    small_bytes: int | None = None
    watched: bool = False


@functools.cache
def probe() -> str:
    """Return why bubblewrap does not work here, as a message; "" when it does. Asked once."""
    if sys.platform != "linux":
        return "bubblewrap exists only on Linux."
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed."
    try:
        line = prefix(View(), Account(_NOBODY, _NOBODY) if is_root() else None)
    except AccountError as error:
        return str(error)
    return trial([*line, "true"], "bubblewrap does not work")


def prefix(view: View, account: Account | None, before: Sequence[str] = ()) -> list[str]:
    """Return the command line that a program's own is to follow.

    Parameters:
        account: whom the program is to run as; None when we are not root ourselves.
        before: a command line of ours that bubblewrap's own is to follow.

    Raises:
        farm.confine.account.AccountError: root cannot be given up here.
    """
    line = [*_namespaces(account), *_system(view)]
    for folder in view.hidden:
        line += ["--tmpfs", str(folder)]
    # Parents first: a mount hides what was mounted below its place before.
    for path in sorted(set(view.readable)):
        line += [*_way_to(path), "--ro-bind", str(path), str(path)]
    for file, path in view.files:
        line += [*_way_to(path), "--ro-bind", str(file), str(path)]
    for path, target in view.links:
        line += [*_way_to(path), "--symlink", str(target), str(path)]
    for path in view.writable:
        line += [*_way_to(path), "--bind", str(path), str(path)]
    line += ["--remount-ro", "/", "--chdir", str(view.folder), "--"]
    if account is None:
        return _known_by_name(line, os.getuid(), os.getgid(), view.watched, before)
    # Root's own so far, and older versions of bubblewrap cannot be told otherwise.
    line += ["/bin/sh", "-c", f'/bin/chmod 1777 {_SHARED} && exec "$@"', "sh"]
    line += drop(account, groups_of(view.devices))
    return _known_by_name(line, account.uid, account.gid, view.watched, before)


def opened(view: View, account: Account) -> list[str]:
    """Return the command line that only takes root away: what follows is in no sandbox.

    It sees what everybody on this machine may see, and what it was given, which may lie in folders
    that are private to root: of these nothing else is there. Only its processes are its own, and
    what they share by System V.
    """
    given = {path.resolve(): "--ro-bind" for path in view.readable}
    given |= {path.resolve(): "--bind" for path in view.writable}
    closed = {
        next((each for each in reversed(path.parents) if not account.may_pass(each)), None)
        for path in given
    } - {None}
    line = [
        *_ends(account),
        "--unshare-pid",
        "--unshare-ipc",
        "--dev-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        *_covers(),
    ]
    for folder in closed:
        line += ["--tmpfs", str(folder)]
    for path in sorted(given):
        if closed.intersection(path.parents):
            line += [*_way_to(path), given[path], str(path), str(path)]
    for path, target in view.links:
        if closed.intersection(path.parents):
            line += [*_way_to(path), "--symlink", str(target), str(path)]
    line += ["--chdir", str(view.folder), "--", *drop(account, groups_of(view.devices))]
    return [*_filtered(view.watched), *line]


def groups_of(devices: Iterable[Path]) -> set[int]:
    """Return the groups, but root's, that may use these devices or those in these folders."""
    nodes = [each.stat() for device in devices for each in _nodes(device)]
    return {each.st_gid for each in nodes if each.st_mode & stat.S_IRGRP} - {0}


def trial(line: list[str], trouble: str) -> str:
    """Run a command; return a message that begins with ``trouble``, "" when it succeeds."""
    try:
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            cwd="/",
            encoding="utf-8",
            errors="backslashreplace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{trouble}: {error}."
    if done.returncode == 0:
        return ""
    said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
    return f"{trouble}: {said.splitlines()[-1][:_LONGEST_REASON].rstrip('.')}."


def _namespaces(account: Account | None) -> list[str]:
    line = [*_ends(account), "--hostname", "render"]
    if account is None:
        return [*line, "--unshare-all", *_only_namespaces()]
    line += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    return [*line, "--unshare-cgroup-try"]


def _ends(account: Account | None) -> list[str]:
    """Return how it ends with us, and which capabilities are left to it until it is itself."""
    line = ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if account is not None:
        # What giving up root takes; it goes with it.
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            line += ["--cap-add", capability]
    return line


def _known_by_name(
    line: list[str], uid: int, gid: int, watched: bool, before: Sequence[str]
) -> list[str]:
    """Return the whole command line, with an /etc/passwd of one line inside.

    Programs ask for the name of their account, and some do not survive that it has none: Blender
    3.4 with libnss-systemd, for example.
    """
    known = f"render:x:{uid}:{gid}:render:/tmp:/bin/sh"
    here = f" 9<<END\n{known}\nEND\n"
    own = ["--dir", "/etc", "--file", "9", "/etc/passwd"]
    return [*_filtered(watched, here, before), *own, *line]


def _filtered(watched: bool, more: str = "", before: Sequence[str] = ()) -> list[str]:
    """Return bubblewrap's own command line, with a filter of system calls.

    Parameters:
        watched: as in `View`.
        more: what a shell is to redirect besides.
        before: a command line in front.
    """
    # Read from descriptors, which live as long as the shell that becomes bubblewrap.
    calls = _filter_file(watched)
    shell = ["/bin/sh", "-c", f'exec "$@" 8<"$0"{more}', calls]
    return [*shell, *before, _bwrap(), *(["--seccomp", "8"] if calls != os.devnull else [])]


@functools.cache
def _filter_file(watched: bool) -> str:
    """Return the path of a filter of system calls, /dev/null where this kernel knows none."""
    file = filter_file(watched=watched)
    if file is None:
        return os.devnull
    line = [_bwrap(), "--seccomp", "8", "--ro-bind", "/", "/", "true"]
    refused = trial(["/bin/sh", "-c", 'exec "$@" 8<"$0"', str(file), *line], "")
    return os.devnull if refused else str(file)


def _bwrap() -> str:
    return shutil.which("bwrap") or "bwrap"


@functools.cache
def _only_namespaces() -> list[str]:
    """Return how a program is kept from making namespaces of its own, where bubblewrap knows how.

    In one of its own it would have capabilities, and with them more of the kernel to attack.
    """
    options = ["--unshare-user", "--disable-userns"]
    line = [_bwrap(), *options, "--ro-bind", "/", "/", "true"]
    return options if not trial(line, "") else []


def _way_to(path: Path) -> list[str]:
    """Return how the folders above are made so that everybody may pass, not only their maker."""
    return ["--dir", str(path.parent)]


def _system(view: View) -> list[str]:
    """Return the part that hardly differs: system, devices, /proc."""
    line: list[str] = []
    for path in [*SYSTEM, *map(Path, (*_CONFIGURATION, *(_GPU * view.gpu)))]:
        line += [*_way_to(path), "--ro-bind-try", str(path), str(path)]
    line += ["--proc", "/proc", *_covers(), "--dev", "/dev"]
    sized = ["--size", str(view.small_bytes)] if view.small_bytes and _knows("--size") else []
    for folder in _SHARED.split():
        line += [*sized, "--tmpfs", folder]
    # Blender lists its mounts, and complains in the log when it cannot.
    line += ["--symlink", "/proc/self/mounts", "/etc/mtab"]
    for device in view.devices:
        line += ["--dev-bind", str(device), str(device)]
    # It lies in memory, too, and nothing has any business in it.
    return [*line, "--remount-ro", "/dev"]


@functools.cache
def _knows(option: str) -> bool:
    """Return whether this bubblewrap has an option: ``--size`` since 0.6."""
    try:
        told = subprocess.run([_bwrap(), "--help"], capture_output=True, timeout=_ASK_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return option.encode() in told.stdout + told.stderr


def _covers() -> list[str]:
    """Return how /proc is covered: bubblewrap skips what it finds that it may not write itself."""
    line: list[str] = []
    for path in (f"/proc/{name}" for name in _READ_ONLY):
        line += ["--ro-bind-try", path, path]
    for path in (f"/proc/{name}" for name in _HIDDEN):
        if os.path.isdir(path):  # noqa: PTH112 - pathlib raises where /proc may not be looked at
            line += ["--tmpfs", path, "--remount-ro", path]
        elif os.path.exists(path):  # noqa: PTH110
            line += ["--ro-bind", "/dev/null", path]
    return line


def _nodes(device: Path) -> Iterator[Path]:
    yield from (each for each in [device, *device.rglob("*")] if each.is_char_device())
