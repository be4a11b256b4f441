"""A filter of system calls for confined programs: what no namespace divides is refused.

A network namespace holds back IP, Unix sockets and netlink, but not all that a socket can be: one
of ``AF_VSOCK`` reaches the host of a virtual machine, and programs on the machine itself. Keyrings
belong to an account and not to a sandbox. And io_uring makes sockets, too, past any filter. The
older asynchronous I/O has one share for the whole machine, which one program could take. Who makes
a user namespace has all capabilities in it, and with them much more of the kernel to attack: an
ordinary user's bubblewrap can forbid that, root's cannot. Who has a lease on a file keeps others
waiting who open it: on one of the project, which may be the farm's own. A thread with descriptors
of its own, apart from its process, holds what is only found by asking every thread. Filters of
sockets and of system calls become machine code, of which the kernel has a bounded share for the
whole machine: one program can take it, and then no sandbox starts, since none gets its own filter.
Who watches files of the system (inotify, fanotify, F_NOTIFY of fcntl) learns what everybody on the
machine executes, also where they are read-only, and may have long queues of news that count as
nobody's memory; programs know systems without, and look by themselves. Each session has the same
share of the processors as any other, of the farm's too (autogroup, sched(7)): a renderer has one,
and nothing happens when it asks for more, which is no error, since programs end at one. Who
waits for many files at a time (poll, select) holds a page of the kernel's own memory for each few
of them, with every thread, and locks of open files are counted nowhere: of the former there are no
more than programs open by default, and those locks are refused as by kernels before 3.15. Access
lists, which are attributes of files, take memory that counts as nobody's where the files lie in
memory, not even in a control group: up to 64 KiB for each list. A filter cannot see which attribute
is meant, and programs know file systems without any. The others here are of no use to a renderer,
and have been ways into the kernel.

The rest is allowed: which system calls a renderer, its plug-ins and the drivers need, nobody knows.
But of those since Linux 5.1 (2019) only what is known to be of use and harmless is, and of prctl's
options since Linux 6.16 none: programs know kernels without, and what a new one may hold nobody has
looked at. One option (PR_FUTEX_HASH) takes a gigabyte of the kernel's own memory at once, and rules
of Landlock as much.

A second filter for each machine refuses more, where no control group counts memory: what would hold
memory that no look at a process finds. These are memory files, which can lie in the queue of a
socket; message queues, larger semaphores and shared memory of System V, which belong to no process;
pages lent to a pipe or a socket (vmsplice, splice, tee, sendfile), of which these hold a whole one
for each byte that the kernel counts; and larger buffers of sockets. Programs know older kernels,
which answer in the same way, and do without: they copy.

The filters are programs as `seccomp(2)` and bubblewrap's ``--seccomp`` take them. They lie beside
this file, since bubblewrap reads them; ``python -m farm.confine.system_calls`` writes them.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 24, 32
"""Where they stand in ``struct seccomp_data`` (linux/seccomp.h) of a little-endian machine."""
_UPPER_HALF = 4
"""Further on stands the other half of an argument of 64 bits."""
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # linux/seccomp.h
_X32 = 0x40000000
"""Numbers from here on are x86-64's second way to call the kernel, which nobody uses."""
# linux/socket.h: Python names only those of the system that it was built on.
_FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: those that are the namespace's own."""


@dataclass(frozen=True)
class _Calls:
    """Numbers of one way to call the kernel (``linux/audit.h``, ``asm/unistd.h``).

    Attributes:
        sockets: socket and socketpair, with a family in the first argument and a protocol in the
            third.
        clone: the call, with flags in the first argument.
        unshare: likewise.
        leases: fcntl and the like, with what is wanted in the second argument.
        polls: poll and the like, with the number of files in the second argument.
        selects: select and the like, with that number in the first argument.
        session: setsid.
        processes: prctl, with what is wanted in the first argument.
        refused: those that always are, by name, in any order.
        attributes: setxattr, lsetxattr, fsetxattr.
        uncounted: those that hold memory which belongs to no process, by name, in any order.
        sized: shmget and semget, each with the size in the second argument.
        options: setsockopt, with level and option in the second and third argument.
    """

    architecture: int
    sockets: tuple[int, ...]
    clone: int
    unshare: int
    leases: tuple[int, ...]
    polls: tuple[int, ...]
    selects: tuple[int, ...]
    session: int
    processes: int
    refused: Mapping[str, int]
    attributes: tuple[int, ...]
    uncounted: Mapping[str, int]
    sized: tuple[int, int]
    options: int
    others: int | None = None
    """Numbers from this one on are refused."""


_FIRST_NEW = 424
"""Numbers of calls from here on are the same everywhere."""
# Without io_uring, and clone3, whose flags stand in memory, where a filter cannot look: programs
# then take clone.
_NEW = (
    *(424, 434, 437, 439),  # pidfd_send_signal, pidfd_open, openat2, faccessat2
    *(440, 441, 448, 449),  # process_madvise, epoll_pwait2, process_mrelease, futex_waitv
    *(450, 451, 452, 453),  # set_mempolicy_home_node, cachestat, fchmodat2, map_shadow_stack
    *(462, 464, 465, 466),  # mseal, getxattrat, listxattrat, removexattrat
)
"""Those that are allowed."""
_AMD64 = _Calls(
    architecture=0xC000003E,
    sockets=(41, 53),
    clone=56,
    unshare=272,
    leases=(72,),
    polls=(7, 271),
    selects=(23, 270),
    session=112,
    processes=157,
    refused={
        "io_setup": 206,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "inotify_init": 253,
        "inotify_init1": 294,
        "perf_event_open": 298,
        "fanotify_init": 300,
        "seccomp": 317,
        "bpf": 321,
        "userfaultfd": 323,
    },
    attributes=(188, 189, 190),
    uncounted={
        "memfd_create": 319,
        "msgget": 68,
        "vmsplice": 278,
        "splice": 275,
        "tee": 276,
        "sendfile": 40,
    },
    sized=(29, 64),
    options=54,
    others=_X32,
)
_I386 = _Calls(
    architecture=0x40000003,
    sockets=(359, 360),
    clone=120,
    unshare=310,
    leases=(55, 221),
    polls=(168, 309, 414),
    selects=(142, 308, 413),
    session=66,
    processes=172,
    refused={
        "old_select": 82,  # What it waits for stands in memory.
        "socketcall": 102,  # Its family stands in memory, too.
        "io_setup": 245,
        "add_key": 286,
        "request_key": 287,
        "keyctl": 288,
        "inotify_init": 291,
        "inotify_init1": 332,
        "perf_event_open": 336,
        "fanotify_init": 338,
        "seccomp": 354,
        "bpf": 357,
        "userfaultfd": 374,
    },
    attributes=(226, 227, 228),
    uncounted={
        "ipc": 117,  # All calls of System V are parts of it.
        "memfd_create": 356,
        "msgget": 399,
        "vmsplice": 316,
        "splice": 313,
        "tee": 315,
        "sendfile": 187,
        "sendfile64": 239,
    },
    sized=(395, 393),
    options=366,
)
_ARM64 = _Calls(
    architecture=0xC00000B7,
    sockets=(198, 199),
    clone=220,
    unshare=97,
    leases=(25,),
    polls=(73,),
    selects=(72,),
    session=157,
    processes=167,
    refused={
        "io_setup": 0,
        "inotify_init1": 26,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "perf_event_open": 241,
        "fanotify_init": 262,
        "seccomp": 277,
        "bpf": 280,
        "userfaultfd": 282,
    },
    attributes=(5, 6, 7),
    uncounted={
        "memfd_create": 279,
        "msgget": 186,
        "vmsplice": 75,
        "splice": 76,
        "tee": 77,
        "sendfile": 71,
    },
    sized=(194, 190),
    options=208,
)
_SMALL_SEGMENT, _SMALL_SET = 16 * 1024, 16
"""Bytes of shared memory, and semaphores, that a program may have at a time: enough to find another
one of its kind. There can be 4096 and 32,000 of them, 64 MB and 40 MB of memory."""
_SOL_SOCKET, _SO_SNDBUF, _SO_RCVBUF = 1, 7, 8  # asm-generic/socket.h
_SO_ATTACH = (26, 50, 51, 52)
"""SO_ATTACH_FILTER, _BPF, _REUSEPORT_CBPF, _REUSEPORT_EBPF, from there."""
_IPPROTO_MPTCP = 262  # linux/in.h
_CLONE_FILES, _CLONE_THREAD, _CLONE_NEWUSER = 0x400, 0x10000, 0x10000000  # linux/sched.h
_CLOSE_RANGE, _CLOSE_RANGE_UNSHARE = 436, 2  # linux/close_range.h
_F_REFUSED = (37, 38, 1024, 1026)
"""F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_NOTIFY (linux/fcntl.h)."""
_MOST_WAITED_FOR = 1024
"""Files: as many as a program usually may have open, and as `select` of the C library knows."""
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2  # linux/prctl.h, linux/seccomp.h
_PR_FIRST_NEW = 77
_PR_NAMED = (0x53564D41, 0x59616D61, 0x41555856)
"""PR_SET_VMA, PR_SET_PTRACER, PR_GET_AUXV: options that are no newer, whose numbers are words."""
_MACHINES = {"x86_64": (_AMD64, _I386), "aarch64": (_ARM64,)}
MACHINES = tuple(_MACHINES)
"""Those that have a filter, as `platform.machine` calls them."""


def program(machine: str, watched: bool = False) -> bytes | None:
    """Return the filter for a machine, as `platform.machine` calls it; None: there is none.

    Parameters:
        watched: memory is only looked at, and no control group counts it.
    """
    ways = _MACHINES.get(machine)
    if ways is None:
        return None
    lines = [_line(_LOAD, _ARCHITECTURE)]
    for calls in ways:
        body = _body(calls, watched)
        lines += [_line(_EQUAL, calls.architecture, 0, len(body)), *body]
    return b"".join([*lines, _refuse(errno.ENOSYS)])


def filter_file(machine: str = "", watched: bool = False) -> Path | None:
    """Return where the filter for a machine lies, this one by default; None: there is none.

    Parameters:
        watched: as for `program`.
    """
    machine = machine or platform.machine()
    name = f"{machine}-watched.seccomp" if watched else f"{machine}.seccomp"
    return Path(__file__).with_name(name) if machine in _MACHINES else None


def can_filter() -> bool:
    """Return whether this kernel knows such filters.

    Asked without starting anything, so that no want of processes can be taken for a "no".
    """
    kernel = ctypes.CDLL(None, use_errno=True)
    # Of no program, which a kernel that knows filters refuses for that (EFAULT).
    if kernel.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, None, 0, 0) == 0:
        return True
    return ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS)


def _body(calls: _Calls, watched: bool) -> list[bytes]:
    lines = [_line(_LOAD, _NUMBER)]
    if calls.others is not None:
        lines += [_line(_AT_LEAST, calls.others, 0, 1), _refuse(errno.ENOSYS)]
    new = _new_calls()
    lines += [_line(_AT_LEAST, _FIRST_NEW, 0, len(new)), *new]
    uncounted = calls.uncounted.values() if watched else ()
    for number in (*calls.refused.values(), *uncounted):
        # As a kernel without it answers: programs then do without.
        lines += [_line(_EQUAL, number, 0, 1), _refuse(errno.ENOSYS)]
    for number in calls.attributes:
        # As a file system without them answers: who copies files then goes on without a word.
        lines += [_line(_EQUAL, number, 0, 1), _refuse(errno.ENOTSUP)]
    lines += [_line(_EQUAL, calls.session, 0, 1), _refuse(0)]
    lines += _threads_and_namespaces(calls)
    lines += _no_filters_and_no_new_options(calls)
    lines += _what_is_wanted_of_files(calls)
    if watched:
        lines += _no_more_memory(calls)
    families = [
        # What it queues stands in no list of connections, so that nobody could count it.
        _line(_LOAD, _THIRD_ARGUMENT),
        *(_line(_EQUAL, _IPPROTO_MPTCP, 0, 1), _refuse(errno.EPROTONOSUPPORT)),
        _line(_LOAD, _FIRST_ARGUMENT),
    ]
    for family in _FAMILIES:
        families += [_line(_EQUAL, family, 0, 1), _line(_RETURN, _ALLOW)]
    families.append(_refuse(errno.EAFNOSUPPORT))
    for number in calls.sockets:
        lines += [_line(_EQUAL, number, 0, len(families)), *families]
    return [*lines, _line(_RETURN, _ALLOW)]


def _what_is_wanted_of_files(calls: _Calls) -> list[bytes]:
    wanted = [_line(_EQUAL, each, len(_F_REFUSED) - at) for at, each in enumerate(_F_REFUSED)]
    few = [_line(_AT_LEAST, _MOST_WAITED_FOR + 1, 1, 0)]
    lines = []
    for numbers, argument, asked in (
        (calls.leases, _SECOND_ARGUMENT, wanted),
        (calls.polls, _SECOND_ARGUMENT, few),
        (calls.selects, _FIRST_ARGUMENT, few),
    ):
        asked = [_line(_LOAD, argument), *asked, _line(_RETURN, _ALLOW), _refuse(errno.EINVAL)]
        for number in numbers:
            lines += [_line(_EQUAL, number, 0, len(asked)), *asked]
    return lines


def _threads_and_namespaces(calls: _Calls) -> list[bytes]:
    """Refuse user namespaces, and threads that do not share the descriptors of their process.

    And processes that share them with another, whose locks outlive them under a number that is
    nobody's.
    """
    alone = [
        *(_line(_ANY_BIT, _CLONE_THREAD, 0, 2), _line(_ANY_BIT, _CLONE_FILES, 2, 0)),
        *(_refuse(errno.EINVAL), _line(_ANY_BIT, _CLONE_FILES, 1, 0)),
        *(_line(_RETURN, _ALLOW), _refuse(errno.EINVAL)),
    ]
    unshared = [_line(_ANY_BIT, _CLONE_FILES, 0, 1), _refuse(errno.EINVAL), _line(_RETURN, _ALLOW)]
    lines = []
    for number, rest in ((calls.clone, alone), (calls.unshare, unshared)):
        asked = [
            _line(_LOAD, _FIRST_ARGUMENT),
            *(_line(_ANY_BIT, _CLONE_NEWUSER, 0, 1), _refuse(errno.EPERM)),
            *rest,
        ]
        lines += [_line(_EQUAL, number, 0, len(asked)), *asked]
    return lines


def _new_calls() -> list[bytes]:
    lines = []
    for number in _NEW:
        lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _ALLOW)]
    # As older kernels answer, which have close_range without threads of descriptors of their own.
    asked = [
        _line(_LOAD, _THIRD_ARGUMENT),
        *(_line(_ANY_BIT, _CLOSE_RANGE_UNSHARE, 0, 1), _refuse(errno.EINVAL)),
        _line(_RETURN, _ALLOW),
    ]
    lines += [_line(_EQUAL, _CLOSE_RANGE, 0, len(asked)), *asked]
    return [*lines, _refuse(errno.ENOSYS)]


def _no_filters_and_no_new_options(calls: _Calls) -> list[bytes]:
    # As kernels answer that know none of these.
    named = [_line(_EQUAL, each, len(_PR_NAMED) - at) for at, each in enumerate(_PR_NAMED)]
    asked = [
        _line(_LOAD, _FIRST_ARGUMENT),
        *(_line(_EQUAL, _PR_SET_SECCOMP, 0, 1), _refuse(errno.EINVAL)),
        *(_line(_AT_LEAST, _PR_FIRST_NEW, 0, len(named) + 1), *named, _refuse(errno.EINVAL)),
        _line(_RETURN, _ALLOW),
    ]
    lines = [_line(_EQUAL, calls.processes, 0, len(asked)), *asked]
    attached = [_line(_LOAD, _THIRD_ARGUMENT)]
    for option in _SO_ATTACH:
        attached += [_line(_EQUAL, option, 0, 1), _refuse(errno.ENOPROTOOPT)]
    attached.append(_line(_LOAD, _NUMBER))
    asked = [
        *(_line(_LOAD, _SECOND_ARGUMENT), _line(_EQUAL, _SOL_SOCKET, 1, 0)),
        *(_line(_RETURN, _ALLOW), *attached),
    ]
    return [*lines, _line(_EQUAL, calls.options, 0, len(asked)), *asked]


def _no_more_memory(calls: _Calls) -> list[bytes]:
    lines = []
    for number, most in zip(calls.sized, (_SMALL_SEGMENT, _SMALL_SET), strict=True):
        # As where the system's own limit is so small.
        asked = [
            *(_line(_LOAD, _SECOND_ARGUMENT + _UPPER_HALF), _line(_EQUAL, 0, 0, 2)),
            *(_line(_LOAD, _SECOND_ARGUMENT), _line(_AT_LEAST, most + 1, 0, 1)),
            *(_refuse(errno.EINVAL), _line(_RETURN, _ALLOW)),
        ]
        lines += [_line(_EQUAL, number, 0, len(asked)), *asked]
    # Nothing happens, and that is no error: the kernel, too, gives no more than it has.
    asked = [
        *(_line(_LOAD, _SECOND_ARGUMENT), _line(_EQUAL, _SOL_SOCKET, 0, 4)),
        *(_line(_LOAD, _THIRD_ARGUMENT), _line(_EQUAL, _SO_SNDBUF, 1, 0)),
        *(_line(_EQUAL, _SO_RCVBUF, 0, 1), _refuse(0)),
        _line(_RETURN, _ALLOW),
    ]
    return [*lines, _line(_EQUAL, calls.options, 0, len(asked)), *asked]


def _refuse(number: int) -> bytes:
    return _line(_RETURN, _ERROR | number)


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


if __name__ == "__main__":
    for name, each in ((name, each) for name in MACHINES for each in (False, True)):
        file, content = filter_file(name, each), program(name, each)
        assert file is not None
        assert content is not None
        file.write_bytes(content)
