"""bubblewrap's command line, and whether bubblewrap works on this machine.

Inside, a program finds the system's programs and libraries, and its input, all read-only; it may
write only to given folders. There is no network, no other process, and no device but the GPUs if it
needs them. Everything has its real path, so that no path needs to be translated.

An ordinary user's bubblewrap uses a user namespace. Its first process inside belongs to that user,
so a program may trace it and keep it from ending with us. So all of bubblewrap runs in a further
PID namespace, whose first process has no number inside.

Root's uses no user namespace: it makes its mounts as root, and then drops all rights for the given
account (see `account`), which so needs no access to root's private folders, and cannot trace root's
processes.
"""

import functools
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm.confine.account import Account, AccountError, drop, is_root, util_linux
from farm.confine.layers import Layer, mounted
from farm.confine.system_calls import can_filter, filter_file
from farm.confine.trials import output_of, trial

SYSTEM = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")))
_CONFIGURATION = (
    # No more of /etc: it reveals who uses this machine, and may contain keys.
    "/etc/fonts",
    "/etc/ssl",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
)
_GPU = ("/sys", "/etc/OpenCL", "/etc/vulkan", "/opt/rocm")
"""Paths that GPU drivers read: /sys describes the devices, the others name the drivers."""
_READ_ONLY = ("acpi", "asound", "bus", "driver", "fs", "irq", "mtrr", "sys", "sysrq-trigger")
_HIDDEN = (
    *("interrupts", "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup", "kpagecount"),
    *("kpageflags", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats", "vmcore"),
)
"""Parts of /proc that concern the whole machine and no program; OCI runtimes have such lists."""
_SHARED = "/tmp /dev/shm"  # noqa: S108 - a sandbox's own
_USER_LIMITS = "/proc/sys/user"
"""Where ``--disable-userns`` writes."""
_NOBODY = 65534
_ASKED = "bubblewrap does not work"


@dataclass(frozen=True)
class View:
    """What a confined program sees of this machine in addition to the system.

    Attributes:
        readable: files and folders.
        files: further ones, as (file, path inside).
        writable: folders; as root they must be the account's.
        layer: a further folder that it may write to, without changing it; None for none.
        links: symbolic links as (path, target).
        hidden: folders of the system that it must not see.
        devices: files and folders below /dev.
        gpu: whether it sees what GPU drivers need.
        folder: where it starts.
        small_bytes: size of each in-memory folder, such as ``/tmp``; None: half of the machine's
            memory.
        watched: no control group counts its memory: it must not get any that belongs to no process.
    """

    readable: tuple[Path, ...] = ()
    files: tuple[tuple[Path, Path], ...] = ()
    writable: tuple[Path, ...] = ()
    layer: Layer | None = None
    links: tuple[tuple[Path, Path], ...] = ()
    hidden: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    gpu: bool = False
    folder: Path = Path("/")
    small_bytes: int | None = None
    watched: bool = False


@functools.cache
def probe() -> str:
    """Return why bubblewrap does not work here, as a message; "" when it does. Checked once.

    Raises:
        UndecidedError: it is currently unknown; the next call checks again.
    """
    if sys.platform != "linux":
        return "bubblewrap exists only on Linux."
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed."
    try:
        line = prefix(View(), Account(_NOBODY, _NOBODY) if is_root() else None)
    except AccountError as error:
        return str(error)
    return trial([*line, "true"], _ASKED)


def ends_all() -> bool:
    """Return whether everything in a sandbox ends with it, whatever a program inside does.

    Where root makes it, nothing inside may trace its first process. Raises UndecidedError.
    """
    return is_root() or bool(_ended_by_the_kernel())


def prefix(view: View, account: Account | None, before: Sequence[str] = ()) -> list[str]:
    """Return the command line to put before a program's own.

    Parameters:
        account: the program's account; None when we are not root.
        before: a command line of ours to put before bubblewrap's own.

    Raises:
        farm.confine.account.AccountError: root privileges cannot be dropped here.
        farm.confine.trials.UndecidedError: the abilities of this machine's bubblewrap are currently
            unknown.
    """
    line = [*_namespaces(account), *_system(view)]
    for folder in view.hidden:
        line += ["--tmpfs", str(folder)]
    # Parents first: a mount hides what was mounted below its place before.
    for path in sorted(set(view.readable)):
        line += [*_parent_folders(path), "--ro-bind", str(path), str(path)]
    for file, path in view.files:
        line += [*_parent_folders(path), "--ro-bind", str(file), str(path)]
    for path, target in view.links:
        line += [*_parent_folders(path), "--symlink", str(target), str(path)]
    layered = () if view.layer is None else (view.layer.path,)
    for path in (*view.writable, *layered):
        line += [*_parent_folders(path), "--bind", str(path), str(path)]
    # Mounts that hide a folder are uncounted memory, once everything else is in its place.
    for folder in (*view.hidden, Path("/")):
        line += ["--remount-ro", str(folder)]
    line += ["--chdir", str(view.folder), "--"]
    if account is None:
        known = _known_by_name(line, os.getuid(), os.getgid(), view.watched, before)
        return _in_namespaces(view.layer, known)
    # Root's own so far, and older versions of bubblewrap cannot change that.
    line += ["/bin/sh", "-c", f'/bin/chmod 1777 {_SHARED} && exec "$@"', "sh"]
    line += drop(account, groups_of(view.devices))
    known = _known_by_name(line, account.uid, account.gid, view.watched, before)
    return known if view.layer is None else [*mounted(view.layer, account), *known]


def opened(view: View, account: Account) -> list[str]:
    """Return the command line that only drops root: what follows is not in a sandbox.

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
            line += [*_parent_folders(path), given[path], str(path), str(path)]
    for path, target in view.links:
        if closed.intersection(path.parents):
            line += [*_parent_folders(path), "--symlink", str(target), str(path)]
    line += ["--chdir", str(view.folder), "--", *drop(account, groups_of(view.devices))]
    return [*_filtered(view.watched), *line]


def groups_of(devices: Iterable[Path]) -> set[int]:
    """Return the groups, except root's, that may use these devices or those in these folders."""
    nodes = [each.stat() for device in devices for each in _nodes(device)]
    return {each.st_gid for each in nodes if each.st_mode & stat.S_IRGRP} - {0}


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
        # The capabilities for dropping root, which are dropped with it.
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
    """Return bubblewrap's own command line, with a system call filter.

    Parameters:
        watched: as in `View`.
        more: further redirections for the shell.
        before: a command line in front.
    """
    # Read from descriptors, which live as long as the shell that execs bubblewrap.
    calls = _filter_file(watched)
    shell = ["/bin/sh", "-c", f'exec "$@" 8<"$0"{more}', calls]
    return [*shell, *before, _bwrap(), *(["--seccomp", "8"] if calls != os.devnull else [])]


@functools.cache
def _filter_file(watched: bool) -> str:
    """Return the path of a system call filter, /dev/null where there is none for this kernel."""
    file = filter_file(watched=watched)
    return str(file) if file is not None and can_filter() else os.devnull


def _bwrap() -> str:
    return shutil.which("bwrap") or "bwrap"


def _only_namespaces() -> list[str]:
    """Return the options that keep a program from creating namespaces, where bubblewrap has them.

    In its own namespace it would have capabilities, and with them a larger attack surface of the
    kernel. In a container that may not change its /proc/sys, only the system call filter forbids
    it.
    """
    options = ["--unshare-user", "--disable-userns"]
    return options if _knows(options[-1]) and _may_change(_USER_LIMITS) else []


def _may_change(folder: str) -> bool:
    try:
        return not os.statvfs(folder).f_flag & os.ST_RDONLY
    except OSError:
        return False  # Kernels before 4.9.


def _in_namespaces(layer: Layer | None, line: list[str]) -> list[str]:
    """Return an ordinary user's command line in the namespaces that it needs outside."""
    outer = _ended_by_the_kernel()
    if layer is None:
        return [*outer, *line]
    outer = outer[:-1] or [util_linux("unshare") or "", "--user", "--map-current-user", "--mount"]
    return [*outer, "--keep-caps", "--", *mounted(layer, None), *line]


@functools.cache
def _ended_by_the_kernel() -> list[str]:
    """Return how all inside ends with us, whatever it does to bubblewrap's first process there.

    bubblewrap's outer process is the first of a namespace of its own: when it ends, the kernel
    ends all the others. [] where that does not work: util-linux before 2.34, or bubblewrap needs
    the rights of root.
    """
    # Not bubblewrap itself: it would access each mount of this machine, even of dead servers.
    line = ["unshare", "--user", "--map-current-user", "--pid", "--fork", "--kill-child"]
    line += ["--mount-proc", "--"]
    sandbox = [_bwrap(), *_namespaces(None), "--ro-bind", "/", "/", "--proc", "/proc"]
    found = shutil.which(line[0])
    if found is None or trial([*line, *sandbox, "--dev", "/dev", "true"], _ASKED):
        return []
    return [found, *line[1:]]


def _parent_folders(path: Path) -> list[str]:
    """Return how the folders above are made so that everybody may pass, not only their maker."""
    return ["--dir", str(path.parent)]


def _system(view: View) -> list[str]:
    """Return the part that hardly differs: system, devices, /proc."""
    line: list[str] = []
    for path in [*SYSTEM, *map(Path, (*_CONFIGURATION, *(_GPU * view.gpu)))]:
        line += [*_parent_folders(path), "--ro-bind-try", str(path), str(path)]
    line += ["--proc", "/proc", *_covers(), "--dev", "/dev"]
    sized = ["--size", str(view.small_bytes)] if view.small_bytes and _knows("--size") else []
    for folder in _SHARED.split():
        line += [*sized, "--tmpfs", folder]
    # Blender lists its mounts, and complains in the log when it cannot.
    line += ["--symlink", "/proc/self/mounts", "/etc/mtab"]
    for device in view.devices:
        line += ["--dev-bind", str(device), str(device)]
    # The machine has a limited number of terminals, and nothing in here needs one.
    line += ["--ro-bind", "/dev/null", "/dev/pts/ptmx"]
    # It is in memory, too, and nothing inside needs it.
    return [*line, "--remount-ro", "/dev"]


def _knows(option: str) -> bool:
    """Return whether this bubblewrap has an option: ``--size`` since 0.6."""
    return option in _help()


@functools.cache
def _help() -> str:
    return output_of([_bwrap(), "--help"], _ASKED)


def _covers() -> list[str]:
    """Return the options that cover /proc: bubblewrap skips what it may not write itself."""
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
