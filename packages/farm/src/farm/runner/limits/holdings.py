"""Resources of renderers that are in no folder and belong to no process: only Linux.

Files that are open have no name any more, and may lie in memory; pipes and sockets are buffers of
the kernel; shared memory stays when it is no longer mapped by those that have filled it. All of it
is counted from outside, and so as to be rather too much than too little: nothing is read or waited
for, and what a renderer has is not touched.

In a sandbox without a control group a filter of system calls (`farm.confine.system_calls`) refuses
what cannot be seen from here.
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

import psutil

from farm.runner.limits.locks import too_many_locks
from farm.runner.limits.sockets import inside_of, sockets_of
from farm.runner.limits.sysctl import numbers
from farm.runner.limits.threads import (
    TRIES,
    has_ended,
    is_ending,
    living,
    with_other_descriptors,
)

_MOST, _MOST_BYTES, _SECONDS = 100_000, 32 << 20, 1.0
"""Of all that is open or mapped no more is looked at than so many, with descriptions of so many
bytes (paths may be long), and for no longer than this, of a processor's time: meanwhile nobody
looks at the other limits. Renderers have some thousands."""
_MOST_GUESSED = 10_000
"""Descriptors that are looked at once more where no one tells whether threads share them."""
_PIECE = 1 << 20
_DELETED = " (deleted)"
_MAPPED = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) (\S+ \d+) +(/.*) \(deleted\)$", re.M
)
_SHARED = (b"/dev/zero", b"/SYSV", b"/memfd:")
"""How the kernel names what is shared and lies in memory."""
_WATCHING = ("anon_inode:[eventpoll]", "anon_inode:inotify")
"""What has a line for each of its watches. All of a user's programs share a number of them, in a
sandbox or not: without any left, the farm cannot take another connection."""
_SENT = re.compile(rb"^scm_fds:\s+(\d+)$", re.M)
_IN_PROC, _FOR_A_FILE_OF_PROC = "/proc/", 100
_DESCRIPTION, _FOR_A_DESCRIPTION = re.compile(r"/fdinfo/\d+$"), 10_000
"""What was read of such a file once is kept in the kernel, as far as one piece of it reaches: 16 KB
of most, and 8 MB of what describes 80,000 watches. Programs have few of them open at a time, and so
each counts as so many others."""
_IN_MEMORY = frozenset({0x01021994, 0x858458F6, 0x958458F6, 0x5345434D})
"""Kinds of file systems (linux/magic.h): tmpfs, ramfs, hugetlbfs, secretmem."""
_STATFS_BYTES = 512
"""More than ``struct statfs``, whose first word is the kind."""
_TEMPORARY = ("/tmp", "/dev/shm")  # noqa: S108 - a sandbox's own
_INODE_BYTES = 1024
"""What a file takes of one beside its content; and of as many, in numbers of files, its kernel says
that they are taken by attributes (mm/shmem.c)."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_LARGEST_PIPE, _PIPES_OF_A_USER = 2**20, 16_384
"""What an unchanged Linux has, in bytes and pages; see pipe(7)."""


@dataclass
class Holdings:
    """What some processes hold together.

    Attributes:
        shared_bytes: of memory that has the form of files, whether it is mapped or not.
        buffer_bytes: of pipes and sockets, at most.
        disk_bytes: of files without a name.
        unmeasured: of some of these, only what is mapped is known.
        count: what is open, mapped or waited for (epoll), as far as it was looked at.
        too_many: there are more of them.
        hidden: there is a process that does not let itself be looked at, as its neighbours do.
        sent: descriptors that are in the queues of Unix sockets, as far as it is told.
        hidden_sockets: of a sandbox, how many no process has open: they may be in such queues.
        starving: see `Sockets`.
    """

    shared_bytes: int = 0
    buffer_bytes: int = 0
    disk_bytes: int = 0
    unmeasured: bool = False
    count: int = 0
    too_many: bool = False
    hidden: bool = False
    sent: int = 0
    hidden_sockets: int = 0
    starving: bool = False


def holdings_of(processes: Sequence[int], shared_before: int, sandboxed: bool) -> Holdings:
    """Return what processes hold.

    Parameters:
        processes: the first, and those that descend from it.
        shared_before: what `shared_memory_of_machine` was before they were started.
        sandboxed: all are in a sandbox but the first ones, which have made it.
    """
    if sys.platform != "linux":
        return Holdings()
    found, inside = _Found(), inside_of(processes) if sandboxed else ()
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
        # Somebody else's may be among it; but nearly no renderer shares memory in this way.
        grown = shared_memory_of_machine() - shared_before
        total.shared_bytes = max(total.shared_bytes, grown)
    sockets = sockets_of(processes, inside, found.sockets)
    total.too_many |= sockets.too_many
    total.hidden_sockets, total.starving = sockets.hidden, sockets.starving
    total.buffer_bytes = _pipes(len(found.pipes)) + sockets.buffer_bytes
    return total


def shared_memory_of_machine() -> int:
    """Return how many bytes of memory this machine has in files and in what is shared."""
    return int(getattr(psutil.virtual_memory(), "shared", 0))


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
        if found.too_many or _look_through(living(process), found):
            return True
        if has_ended(process) or is_ending(process):
            return True
    return False


def _look_through(thread: int, found: _Found) -> bool:
    """Look at the process of a thread; return False when that is not allowed, or it has ended."""
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
    # For an ended process, the kernel reports nothing.
    return bool(maps) or found.too_many


def _look_at_descriptors(thread: int, found: _Found, guessed: bool = False) -> None:
    """Examine a thread's descriptors. Raises OSError.

    Parameters:
        guessed: it probably has the descriptors of its process, and they were looked at.
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
        # Asking a file itself may take for ever, on a network; asking for its name does not.
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
    """Return how many descriptors wait in a socket; Linux tells it of Unix sockets since 5.11."""
    try:
        found = _SENT.search(Path(path).read_bytes())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _count_watches(path: str, found: _Found) -> None:
    """Count what is waited for, by one of those of which the kernel lets a user have so many."""
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
            # Only root may ask; and who has mapped one page may hold a large file.
            if name.startswith(_SHARED):
                found.unseen = True
            else:
                found.extents[key] = max(found.extents.get(key, 0), last)


def _device(key: bytes) -> int:
    major, minor = key.split()[0].split(b":")
    return os.makedev(int(major, 16), int(minor, 16))


def _temporary_folders(found: _Found, inside: Iterable[int]) -> int:
    """Return the contents of a sandbox's in-memory folders, with a name or without."""
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
    """Return what pipes hold at most: those above a user's share are small."""
    largest = numbers("fs/pipe-max-size", [_LARGEST_PIPE])[0]
    share = numbers("fs/pipe-user-pages-soft", [_PIPES_OF_A_USER])[0] * _PAGE
    large = count * largest
    return count * 2 * _PAGE + min(large, share or large)


def _kind(path: str) -> int:
    """Return the kind of the file system of a file: Python's own `os.statvfs` does not tell it."""
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).statfs(path.encode(), answer) != 0:
        return 0
    return ctypes.c_long.from_buffer(answer).value
