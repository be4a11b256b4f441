"""Seccomp filters for confined programs: they refuse what namespaces do not isolate.

What is refused on every machine, and why:

- Sockets of all families but IP, Unix and netlink, the only ones that a network namespace isolates.
  ``AF_VSOCK``, for example, reaches the host of a virtual machine, and programs on the same
  machine.
- Keyrings, which belong to an account, not to a sandbox.
- io_uring, which can create sockets past any filter; and the older asynchronous I/O, which has one
  limit for the whole machine that a single program could use up.
- User namespaces. Their creator has all capabilities inside, and so can attack much more of the
  kernel. Bubblewrap can forbid them when run by an ordinary user, but not when run by root.
- File leases, which block every process that opens the file. A file of the project may also be
  opened by the farm.
- Threads whose descriptor table is not that of their process: their files are found only by
  examining every thread.
- Filters of sockets (BPF) and of system calls. They are compiled to machine code, whose total size
  is limited for the whole machine: if one program uses it up, no other sandbox gets its filter, and
  none starts.
- Watching files (inotify, fanotify, F_NOTIFY of fcntl). It works on read-only files, too, and
  reveals what others on the machine execute. Its queues can be long, and are charged to no process.
  Programs support systems without it, and poll.
- New sessions. With autogroup (see sched(7)), each session gets the same share of the processors,
  so a renderer could take several, also from the farm. setsid does nothing and reports success,
  since programs abort when it fails.
- Waiting for very many files (poll, select): each thread in such a call takes a page of kernel
  memory per few files. Allowed are as many as programs can open by default.
- Locks that belong to an open file (F_OFD_SETLK), which are counted nowhere. Kernels before 3.15 do
  not have them either.
- Extended attributes, since a filter cannot see the name of the attribute. Access control lists are
  such attributes: on an in-memory file system, each takes up to 64 KiB that no process or control
  group is charged for. Programs support file systems without attributes.
- NUMA policies of memory ranges (mbind). A shared file keeps one for each page, also for pages
  that were never written, in memory that no process or control group is charged for.
- Transmit timestamps of sockets (SO_TIMESTAMPING), for which a socket keeps copies of what it has
  sent; and IPv6 flow labels, of which there is a limited number for the whole machine.
- IP protocols other than TCP and UDP, and netlink protocols other than NETLINK_ROUTE, by which the
  C library lists network interfaces. Programs can send each other messages by some of the others,
  which wait in queues that no process or control group is charged for.
- Larger socket buffers: setsockopt does nothing and reports success, since the kernel may also set
  a smaller size than requested. A control group is not charged for the buffers of all sockets.
- Tracing (ptrace), also of a program's own children, whose execve can be kept waiting by it: the
  arguments of the new program then are in memory that belongs to no process.
- Others that a renderer does not need, and that have been used to attack kernels.

Everything else is allowed, as nobody knows which system calls renderers, plug-ins and drivers need.
The exceptions are system calls that were added since Linux 5.1 (2019), of which only those in a
list are allowed, and all options of prctl that were added since Linux 6.16: programs support older
kernels, and new calls have not been reviewed. A single option (PR_FUTEX_HASH) takes a gigabyte of
kernel memory at once, and so do rules of Landlock.

Where no control group counts memory, a second filter for each machine also refuses calls that
allocate memory which cannot be found by examining processes: memory files, which can be hidden in
the queue of a socket; message queues, large semaphore sets and shared memory of System V, which
belong to no process; pages that are passed to a pipe or socket (vmsplice, splice, tee, sendfile),
where a whole page may be kept for each byte that the kernel counts. The errors are those of older
kernels, with which programs fall back to copying.

The filters are BPF programs as `seccomp(2)` and bubblewrap's ``--seccomp`` expect them. They are
stored next to this file, from where bubblewrap reads them; ``python -m farm.confine.system_calls``
writes them.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# linux/bpf_common.h
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_JUMP = 0x05
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 24, 32
"""Offsets in ``struct seccomp_data`` (linux/seccomp.h) on a little-endian machine."""
_UPPER_HALF = 4
"""Offset of the upper half of a 64-bit argument, from the lower half."""
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # linux/seccomp.h
_X32 = 0x40000000
"""System call numbers from here on belong to the x32 ABI, which nobody uses."""
# linux/socket.h. Python defines only those of the system on which it was built.
_UNIX, _NETLINK, _IP_FAMILIES = 1, 16, (2, 10)
"""AF_UNIX; AF_NETLINK; AF_INET and AF_INET6: the families that a network namespace isolates."""
_NETLINK_ROUTE = 0  # linux/netlink.h
_PROTOCOLS = (0, 6, 17)
"""IP protocols: the default of the type, TCP and UDP. The queues of others are in no table that is
read (MPTCP), or are charged to the memory of UDP without being counted as UDP (UDP-Lite)."""
_TYPE_MASK, _FIRST_OTHER_TYPE = 0xF, 4
"""The type of a socket without its flags; below are streams, datagrams and raw sockets."""


@dataclass(frozen=True)
class _Calls:
    """System call numbers of an architecture (``linux/audit.h``, ``asm/unistd.h``).

    Attributes:
        architecture: AUDIT_ARCH constant.
        sockets: socket and socketpair; the arguments are family, type and protocol.
        clone: argument 1 has the flags.
        unshare: argument 1 has the flags.
        leases: fcntl and its variants; argument 2 is the command.
        polls: poll and its variants; argument 2 is the number of files.
        selects: select and its variants; argument 1 is the number of files.
        session: setsid.
        trace: ptrace.
        processes: prctl; argument 1 is the option.
        refused: calls that are always refused, by name.
        attributes: setxattr, lsetxattr, fsetxattr.
        uncounted: calls that allocate memory which belongs to no process, by name.
        sized: shmget and semget; argument 2 is the size.
        options: setsockopt; arguments 2 and 3 are level and option.
    """

    architecture: int
    sockets: tuple[int, ...]
    clone: int
    unshare: int
    leases: tuple[int, ...]
    polls: tuple[int, ...]
    selects: tuple[int, ...]
    session: int
    trace: int
    processes: int
    refused: Mapping[str, int]
    attributes: tuple[int, ...]
    uncounted: Mapping[str, int]
    sized: tuple[int, int]
    options: int
    others: int | None = None
    """If set, numbers from this one on are refused."""


_FIRST_NEW = 424
"""System call numbers from here on are the same on all architectures."""
# Without io_uring, and without clone3, whose flags are in memory, which a filter cannot read:
# programs fall back to clone.
_NEW = (
    *(424, 434, 437, 439),  # pidfd_send_signal, pidfd_open, openat2, faccessat2
    *(440, 441, 448, 449),  # process_madvise, epoll_pwait2, process_mrelease, futex_waitv
    *(451, 452, 453),  # cachestat, fchmodat2, map_shadow_stack
    *(462, 464, 465, 466),  # mseal, getxattrat, listxattrat, removexattrat
)
"""The new calls that are allowed."""
_AMD64 = _Calls(
    architecture=0xC000003E,
    sockets=(41, 53),
    clone=56,
    unshare=272,
    leases=(72,),
    polls=(7, 271),
    selects=(23, 270),
    session=112,
    trace=101,
    processes=157,
    refused={
        "io_setup": 206,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "mbind": 237,
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
    trace=26,
    processes=172,
    refused={
        "old_select": 82,  # Its arguments are in memory.
        "socketcall": 102,  # The family is in memory, too.
        "io_setup": 245,
        "add_key": 286,
        "request_key": 287,
        "keyctl": 288,
        "mbind": 274,
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
        "ipc": 117,  # All System V calls are subcalls of it.
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
    trace=117,
    processes=167,
    refused={
        "io_setup": 0,
        "inotify_init1": 26,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "mbind": 235,
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
"""Maximum bytes of a shared memory segment, and semaphores of a set: enough to detect another
instance of a program. There can be 4096 segments and 32,000 sets, which take 64 MB and 40 MB of
memory."""
_SOL_SOCKET, _SO_SIZES = 1, (7, 8, 18)
"""SO_SNDBUF, SO_RCVBUF, SO_RCVLOWAT: the options that enlarge a buffer (asm-generic/socket.h)."""
_SO_REFUSED = (26, 50, 51, 52, 37, 65, 60, 61, 73)
"""SO_ATTACH_FILTER, _BPF, _REUSEPORT_CBPF, _REUSEPORT_EBPF, SO_TIMESTAMPING_OLD, _NEW, SO_ZEROCOPY,
SO_TXTIME, SO_RESERVE_MEM (asm-generic/socket.h)."""
_SOL_IPV6, _IPV6_FLOWLABEL_MGR = 41, 32  # linux/in6.h
_CLONE_FILES, _CLONE_THREAD, _CLONE_NEWUSER = 0x400, 0x10000, 0x10000000  # linux/sched.h
_CLOSE_RANGE, _CLOSE_RANGE_UNSHARE = 436, 2  # linux/close_range.h
_F_REFUSED = (37, 38, 1024, 1026)
"""F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_NOTIFY (linux/fcntl.h)."""
MOST_WAITED_FOR = 1024
"""Number of files: the usual limit of open files, and FD_SETSIZE of the C library."""
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2  # linux/prctl.h, linux/seccomp.h
_PR_FIRST_NEW = 77
_PR_NAMED = (0x53564D41, 0x59616D61, 0x41555856)
"""PR_SET_VMA, PR_SET_PTRACER, PR_GET_AUXV: older options with large numbers."""
_MACHINES = {"x86_64": (_AMD64, _I386), "aarch64": (_ARM64,)}
MACHINES = tuple(_MACHINES)
"""Machines with a filter, by the names of `platform.machine`."""


def program(machine: str, watched: bool = False) -> bytes | None:
    """Return the filter for a machine, as a BPF program; None if there is none.

    Parameters:
        machine: name of `platform.machine`.
        watched: for machines where no control group counts memory.
    """
    ways = _MACHINES.get(machine)
    if ways is None:
        return None
    lines = [_line(_LOAD, _ARCHITECTURE)]
    for calls in ways:
        body = _body(calls, watched)
        # A conditional jump can skip no more than 255 instructions.
        lines += [_line(_EQUAL, calls.architecture, 1, 0), _line(_JUMP, len(body)), *body]
    return b"".join([*lines, _refuse(errno.ENOSYS)])


def filter_file(machine: str = "", watched: bool = False) -> Path | None:
    """Return the path of the filter for a machine; None if there is none.

    Parameters:
        machine: as for `program`; by default, this machine.
        watched: as for `program`.
    """
    machine = machine or platform.machine()
    name = f"{machine}-watched.seccomp" if watched else f"{machine}.seccomp"
    return Path(__file__).with_name(name) if machine in _MACHINES else None


def waiting_calls(machine: str = "") -> dict[int, int]:
    """Return the system calls that wait for several files at a time, by number.

    The values say which argument has the number of files: 0 or 1. Those of 32-bit programs are
    included.

    Parameters:
        machine: as in `filter_file`.
    """
    ways = _MACHINES.get(machine or platform.machine(), ())
    selects = {each: 0 for calls in ways for each in calls.selects}
    return {**selects, **{each: 1 for calls in ways for each in calls.polls}}


def can_filter() -> bool:
    """Return whether this kernel supports seccomp filters.

    Starts no process: if that failed for lack of processes, the answer would be wrong.
    """
    kernel = ctypes.CDLL(None, use_errno=True)
    # With a null pointer, which a kernel that supports filters refuses with EFAULT.
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
        # The error of a kernel without the call, which programs handle.
        lines += [_line(_EQUAL, number, 0, 1), _refuse(errno.ENOSYS)]
    for number in calls.attributes:
        # The error of a file system without attributes: programs that copy files ignore it.
        lines += [_line(_EQUAL, number, 0, 1), _refuse(errno.ENOTSUP)]
    lines += [_line(_EQUAL, calls.session, 0, 1), _refuse(0)]
    # The error of a security module that forbids it, which reporters of crashes handle.
    lines += [_line(_EQUAL, calls.trace, 0, 1), _refuse(errno.EPERM)]
    lines += _threads_and_namespaces(calls)
    lines += _no_filters_and_no_new_options(calls)
    lines += _options_of_sockets(calls)
    lines += _what_is_wanted_of_files(calls)
    if watched:
        lines += _no_more_memory(calls)
    made = _sockets()
    for number in calls.sockets:
        lines += [_line(_EQUAL, number, 0, len(made)), *made]
    return [*lines, _line(_RETURN, _ALLOW)]


def _sockets() -> list[bytes]:
    netlink = [
        *(_line(_LOAD, _THIRD_ARGUMENT), _line(_EQUAL, _NETLINK_ROUTE, 0, 1)),
        *(_line(_RETURN, _ALLOW), _refuse(errno.EPROTONOSUPPORT)),
    ]
    lines = [
        _line(_LOAD, _FIRST_ARGUMENT),
        *(_line(_EQUAL, _UNIX, 0, 1), _line(_RETURN, _ALLOW)),
        *(_line(_EQUAL, _NETLINK, 0, len(netlink)), *netlink),
    ]
    for at, family in enumerate(_IP_FAMILIES, start=1):
        lines.append(_line(_EQUAL, family, len(_IP_FAMILIES) - at + 1))
    lines += [
        _refuse(errno.EAFNOSUPPORT),
        # The type can imply another protocol: SOCK_SEQPACKET is SCTP.
        *(_line(_LOAD, _SECOND_ARGUMENT), _line(_AND, _TYPE_MASK)),
        *(_line(_AT_LEAST, _FIRST_OTHER_TYPE, 0, 1), _refuse(errno.ESOCKTNOSUPPORT)),
        _line(_LOAD, _THIRD_ARGUMENT),
    ]
    for protocol in _PROTOCOLS:
        lines += [_line(_EQUAL, protocol, 0, 1), _line(_RETURN, _ALLOW)]
    return [*lines, _refuse(errno.EPROTONOSUPPORT)]


def _what_is_wanted_of_files(calls: _Calls) -> list[bytes]:
    wanted = [_line(_EQUAL, each, len(_F_REFUSED) - at) for at, each in enumerate(_F_REFUSED)]
    few = [_line(_AT_LEAST, MOST_WAITED_FOR + 1, 1, 0)]
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
    """Refuse user namespaces, and threads that do not share their process's descriptor table.

    Also refuse processes that share the descriptor table of another one: their locks outlive them,
    and then belong to the id of a process that no longer exists.
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
    # The error of older kernels, where close_range does not have CLOSE_RANGE_UNSHARE.
    asked = [
        _line(_LOAD, _THIRD_ARGUMENT),
        *(_line(_ANY_BIT, _CLOSE_RANGE_UNSHARE, 0, 1), _refuse(errno.EINVAL)),
        _line(_RETURN, _ALLOW),
    ]
    lines += [_line(_EQUAL, _CLOSE_RANGE, 0, len(asked)), *asked]
    return [*lines, _refuse(errno.ENOSYS)]


def _no_filters_and_no_new_options(calls: _Calls) -> list[bytes]:
    # The errors of kernels that support none of these.
    named = [_line(_EQUAL, each, len(_PR_NAMED) - at) for at, each in enumerate(_PR_NAMED)]
    asked = [
        _line(_LOAD, _FIRST_ARGUMENT),
        *(_line(_EQUAL, _PR_SET_SECCOMP, 0, 1), _refuse(errno.EINVAL)),
        *(_line(_AT_LEAST, _PR_FIRST_NEW, 0, len(named) + 1), *named, _refuse(errno.EINVAL)),
        _line(_RETURN, _ALLOW),
    ]
    return [_line(_EQUAL, calls.processes, 0, len(asked)), *asked]


def _options_of_sockets(calls: _Calls) -> list[bytes]:
    # The error of a kernel without these options; for a size, none: nothing happens.
    refused = {each: errno.ENOPROTOOPT for each in _SO_REFUSED} | dict.fromkeys(_SO_SIZES, 0)
    labels = {_IPV6_FLOWLABEL_MGR: errno.ENOPROTOOPT}
    lines = []
    for level, options in ((_SOL_SOCKET, refused), (_SOL_IPV6, labels)):
        asked = [_line(_LOAD, _THIRD_ARGUMENT)]
        for option, number in options.items():
            asked += [_line(_EQUAL, option, 0, 1), _refuse(number)]
        lines += [_line(_LOAD, _SECOND_ARGUMENT), _line(_EQUAL, level, 0, len(asked)), *asked]
    lines.append(_line(_RETURN, _ALLOW))
    return [_line(_EQUAL, calls.options, 0, len(lines)), *lines]


def _no_more_memory(calls: _Calls) -> list[bytes]:
    lines = []
    for number, most in zip(calls.sized, (_SMALL_SEGMENT, _SMALL_SET), strict=True):
        # The error where the system's own limit is that small.
        asked = [
            *(_line(_LOAD, _SECOND_ARGUMENT + _UPPER_HALF), _line(_EQUAL, 0, 0, 2)),
            *(_line(_LOAD, _SECOND_ARGUMENT), _line(_AT_LEAST, most + 1, 0, 1)),
            *(_refuse(errno.EINVAL), _line(_RETURN, _ALLOW)),
        ]
        lines += [_line(_EQUAL, number, 0, len(asked)), *asked]
    return lines


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
