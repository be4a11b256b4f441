"""Resources of renderers that are in no folder and belong to no single process. Only on Linux.

Examples are open files that were unlinked, possibly in memory; pipes and sockets, which have
buffers in the kernel; and shared memory, which remains after the process that filled it has
unmapped it. They are counted from outside, and overestimated rather than underestimated. Nothing is
read from these files, nothing can block, and the renderer's resources are not changed.

In a sandbox without a control group, a system call filter (`farm.confine.system_calls`) refuses
what cannot be counted here.
"""

import contextlib
import ctypes
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from farm.runner.limits.locks import too_many_locks
from farm.runner.limits.sockets import sandboxed_processes, sockets_of
from farm.runner.limits.sysctl import read_sysctl
from farm.runner.limits.threads import (
    TRIES,
    has_ended,
    is_ending,
    living_thread,
    waited_for_files,
    with_other_descriptors,
)

_MOST, _MOST_BYTES, _SECONDS = 100_000, 32 << 20, 1.0
"""Limits of one examination: the number of open files and mappings, the size of their descriptions
in bytes (paths may be long), and its processor time in seconds, since the other limits are not
checked meanwhile. Renderers have a few thousand open files and mappings."""
_MOST_GUESSED = 10_000
"""Limit of descriptors to examine per thread if it is unknown whether the threads share them."""
_PIECE = 1 << 20
_DELETED = " (deleted)"
_MAPPED = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) (\S+ \d+) +(/.*) \(deleted\)$", re.M
)
_SHARED = (b"/dev/zero", b"/SYSV", b"/memfd:")
"""Names that the kernel gives to shared memory."""
_WATCHING = ("anon_inode:[eventpoll]", "anon_inode:inotify")
"""Descriptors whose fdinfo has a line for each watch. The number of watches is limited per user, in
a sandbox or not: if none are left, the farm cannot accept connections."""
_SENT = re.compile(rb"^scm_fds:\s+(\d+)$", re.M)
_IN_PROC, _FOR_A_FILE_OF_PROC = "/proc/", 100
_DESCRIPTION, _FOR_A_DESCRIPTION = re.compile(r"/fdinfo/\d+$"), 10_000
"""The kernel keeps a buffer for each open file in /proc that was read: 16 KB for most, but 8 MB for
the fdinfo of a descriptor with 80,000 watches. Programs have few of them open at a time, so each
counts as this many other files."""
_IN_MEMORY = frozenset({0x01021994, 0x858458F6, 0x958458F6, 0x5345434D})
"""Types of file systems (linux/magic.h): tmpfs, ramfs, hugetlbfs, secretmem."""
_STATFS_BYTES = 512
"""More than the size of ``struct statfs``, whose first word is the type."""
_TEMPORARY = ("/tmp", "/dev/shm")  # noqa: S108 - a sandbox's own
_INODE_BYTES = 1024
"""Memory of an inode in tmpfs, beside the content. tmpfs charges extended attributes as additional
inodes of this size (mm/shmem.c)."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_LARGEST_PIPE, _PIPES_OF_A_USER = 2**20, 16_384
"""Linux's defaults in bytes and pages; see pipe(7)."""


@dataclass
class Holdings:
    """The resources that some processes hold together.

    Attributes:
        shared_bytes: size of files in memory, mapped or not.
        buffer_bytes: upper bound for the buffers of pipes and sockets.
        socket_bytes: the part of it that is the sockets'.
        disk_bytes: size of unlinked files on disk.
        unmeasured: for some of these files, only the mapped part could be measured.
        count: number of open files, mappings and watches (epoll, inotify) that were examined.
        too_many: there are more than can be examined.
        hidden: a process cannot be examined, although others in its sandbox can.
        sent: number of descriptors in the queues of Unix sockets, where the kernel reports it.
        hidden_sockets: how many sockets of a sandbox no process has open: they may be in such
            queues, too.
        starving: see `Sockets`.
        lost_sockets: see `Sockets`.
    """

    shared_bytes: int = 0
    buffer_bytes: int = 0
    socket_bytes: int = 0
    disk_bytes: int = 0
    unmeasured: bool = False
    count: int = 0
    too_many: bool = False
    hidden: bool = False
    sent: int = 0
    hidden_sockets: int = 0
    starving: bool = False
    lost_sockets: frozenset[bytes] = frozenset()


def holdings_of(processes: Sequence[int], shared_bytes: int, sandboxed: bool) -> Holdings:
    """Return the resources that processes hold; empty where this is not Linux.

    Parameters:
        processes: a process and its descendants.
        shared_bytes: shared memory that is attributed to them (`farm.runner.limits.backstop`).
        sandboxed: all but the first ones, which have created it, are in a sandbox.
    """
    if sys.platform != "linux":
        return Holdings()
    found, inside = _Found(), sandboxed_processes(processes) if sandboxed else ()
    temporary = _temporary_folders(found, inside)
    denied = {each for each in processes if not _look(each, found)}
    mapped = [
        last for key, last in found.extents.items() if int(key.split()[1]) not in found.numbers
    ]
    total = Holdings(
        shared_bytes=found.memory + temporary,
        disk_bytes=found.disk + sum(mapped),
        unmeasured=bool(mapped),
        count=found.count,
        too_many=found.too_many or too_many_locks(processes),
        sent=found.sent,
    )
    # The first inside is bubblewrap's own: if we may not examine it, we may examine none.
    total.hidden = bool(inside) and inside[0] not in denied and not denied.isdisjoint(inside)
    if found.unseen:
        total.shared_bytes = max(total.shared_bytes, shared_bytes)
    sockets = sockets_of(processes, inside, found.sockets)
    total.too_many |= sockets.too_many
    total.hidden_sockets, total.starving = sockets.hidden, sockets.starving
    total.lost_sockets = sockets.lost
    total.socket_bytes = sockets.buffer_bytes
    total.buffer_bytes = _pipes(len(found.pipes) + found.waited_for) + sockets.buffer_bytes
    return total


@dataclass
class _Found:
    seen: set[tuple[int, int]] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)
    counted: set[int] = field(default_factory=set)
    pipes: set[str] = field(default_factory=set)
    sockets: set[str] = field(default_factory=set)
    kinds: dict[int, int] = field(default_factory=dict)
    asked: set[bytes] = field(default_factory=set)
    extents: dict[bytes, int] = field(default_factory=dict)
    memory: int = 0
    disk: int = 0
    count: int = 0
    read: int = 0
    guessed: int = 0
    sent: int = 0
    waited_for: int = 0
    until: float = field(default_factory=lambda: time.thread_time() + _SECONDS)
    unseen: bool = False

    @property
    def too_many(self) -> bool:
        """Whether counting stops: the renderer keeps too much open, or time is up."""
        most = self.count > _MOST or self.read > _MOST_BYTES
        return most or time.thread_time() > self.until

    def add(self, path: str) -> None:
        """Count an unlinked file, once. Raises OSError."""
        status = os.stat(path)  # noqa: PTH116 - called a thousand times in a look
        key = status.st_dev, status.st_ino
        if not stat.S_ISREG(status.st_mode) or status.st_nlink or key in self.seen:
            return
        self.seen.add(key)
        self.numbers.add(status.st_ino)
        if status.st_dev in self.counted:
            return
        if status.st_dev not in self.kinds:
            self.kinds[status.st_dev] = _kind(path)
        if self.kinds[status.st_dev] in _IN_MEMORY:
            self.memory += status.st_blocks * 512
        else:
            self.disk += status.st_blocks * 512


def _look(process: int, found: _Found) -> bool:
    """Examine a process; return False when that is not allowed. A process that is gone counts as
    examined.
    """
    for _ in range(TRIES):
        if found.too_many or _look_through(living_thread(process), found):
            return True
        if has_ended(process) or is_ending(process):
            return True
    return False


def _look_through(thread: int, found: _Found) -> bool:
    """Examine the process of a thread; return False if that is not allowed, or it has ended."""
    try:
        _look_at_descriptors(thread, found)
        maps = _maps(thread, found)
    except OSError:
        return False
    apart, unknown = with_other_descriptors(thread)
    for each in (*apart, *unknown):
        with contextlib.suppress(OSError):
            _look_at_descriptors(each, found, guessed=each not in apart)
    if _DELETED.encode() in maps:
        _look_at_mapped(thread, maps, found)
    waited_for = waited_for_files(thread)
    found.waited_for += waited_for
    found.count += waited_for
    # For an ended process, the kernel reports nothing.
    return bool(maps) or found.too_many


def _look_at_descriptors(thread: int, found: _Found, guessed: bool = False) -> None:
    """Examine a thread's descriptors. Raises OSError.

    Parameters:
        guessed: it probably shares the descriptors of its process, which were examined.
    """
    if guessed and found.guessed > _MOST_GUESSED:
        return
    folder = f"/proc/{thread}/fd"
    names = os.listdir(folder)  # noqa: PTH208
    if guessed:
        found.guessed += len(names)
    else:
        found.count += len(names)
    for name in names:
        if found.too_many:
            return
        _look_at_open(f"{folder}/{name}", found)


def _maps(process: int, found: _Found) -> bytes:
    """Return a process's mappings, within the limits. Raises OSError."""
    pieces = []
    with Path(f"/proc/{process}/maps").open("rb", buffering=0) as file:
        while not found.too_many and (piece := file.read(_PIECE)):
            pieces.append(piece)
            found.read += len(piece)
            found.count += piece.count(b"\n")
    return b"".join(pieces)


def _look_at_open(path: str, found: _Found) -> None:
    try:
        # On a network file system, stat may block for ever; readlink does not.
        target = os.readlink(path)  # noqa: PTH115
    except FileNotFoundError:
        return
    except OSError:
        target = _DELETED  # Its name is too long.
    if target.startswith("pipe:"):
        found.pipes.add(target)
    elif target.startswith("socket:"):
        if target not in found.sockets:
            found.sockets.add(target)
            found.sent += _sent(path.replace("/fd/", "/fdinfo/"))
    elif target in _WATCHING:
        _count_watches(path.replace("/fd/", "/fdinfo/"), found)
    elif target.startswith(_IN_PROC):
        found.count += _FOR_A_DESCRIPTION if _DESCRIPTION.search(target) else _FOR_A_FILE_OF_PROC
    elif target.endswith(_DELETED):
        try:
            found.add(path)
        except OSError:
            return


def _sent(path: str) -> int:
    """Return the number of descriptors in a Unix socket's queue; reported since Linux 5.11."""
    try:
        found = _SENT.search(Path(path).read_bytes())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _count_watches(path: str, found: _Found) -> None:
    """Count the watches of an epoll or inotify descriptor."""
    with contextlib.suppress(OSError), Path(path).open("rb", buffering=0) as file:
        while not found.too_many and (piece := file.read(_PIECE)):
            found.read += len(piece)
            found.count += piece.count(b"\n")


def _look_at_mapped(process: int, maps: bytes, found: _Found) -> None:
    for begin, end, offset, key, name in _MAPPED.findall(maps):
        if found.too_many:
            return
        last = int(offset, 16) + int(end, 16) - int(begin, 16)
        if key in found.asked or _device(key) in found.counted:
            continue
        try:
            found.add(f"/proc/{process}/map_files/{begin.decode()}-{end.decode()}")
            found.asked.add(key)
        except FileNotFoundError:
            continue
        except OSError:
            # Only root may do that. The file may be larger than the mapped part.
            if name.startswith(_SHARED):
                found.unseen = True
            else:
                found.extents[key] = max(found.extents.get(key, 0), last)


def _device(key: bytes) -> int:
    major, minor = key.split()[0].split(b":")
    return os.makedev(int(major, 16), int(minor, 16))


def _temporary_folders(found: _Found, inside: Iterable[int]) -> int:
    """Return the bytes in a sandbox's in-memory folders, including unlinked files."""
    ours = {Path(each).stat().st_dev for each in _TEMPORARY if Path(each).exists()}
    for process in inside:
        paths = [f"/proc/{process}/root{each}" for each in _TEMPORARY]
        try:
            devices = {Path(each).stat().st_dev for each in paths}
            every = [os.statvfs(each) for each in paths]
        except OSError:
            continue
        if devices & ours:
            continue  # The sandbox is still being set up; this is the host's own /tmp.
        found.counted.update(devices)
        return sum(
            (each.f_blocks - each.f_bfree) * each.f_frsize
            + (each.f_files - each.f_ffree) * _INODE_BYTES
            for each in every
        )
    return 0


def _pipes(count: int) -> int:
    """Return the largest buffers of this many pipes: beyond a user's share, new ones are small."""
    largest = read_sysctl("fs/pipe-max-size", [_LARGEST_PIPE])[0]
    share = read_sysctl("fs/pipe-user-pages-soft", [_PIPES_OF_A_USER])[0] * _PAGE
    large = count * largest
    return count * 2 * _PAGE + min(large, share or large)


def _kind(path: str) -> int:
    """Return the type of a file's file system, which `os.statvfs` does not report; 0 if unknown."""
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).statfs(path.encode(), answer) != 0:
        return 0
    return ctypes.c_long.from_buffer(answer).value
