"""Upper bounds for the memory of renderers' socket buffers. Only on Linux.

The kernel does not report the buffer memory of another process's sockets. Buffers of datagram and
Unix sockets have a size that cannot be changed from inside a sandbox. Those of TCP grow with use;
the kernel reports how many bytes of data they hold, and each byte may occupy a packet of its own.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm.runner.limits.sysctl import read_sysctl

_SEND_BUFFER, _TCP_SEND_BUFFER, _TCP_RECEIVE_BUFFER = 212_992, 4 << 20, 6 << 20
"""Linux's defaults in bytes; see socket(7) and tcp(7)."""
_MOST_BYTES, _PIECE = 16 << 20, 1 << 20
"""How much of a kernel table is read: enough for more than a hundred thousand sockets."""
_PACKET = 1024
"""Memory of the smallest packet in bytes."""
_LOW_TCP_PAGES, _LOW_UDP_PAGES = 65_536, 131_072
"""Defaults of the lowest values in ``tcp_mem`` and ``udp_mem`` on a machine with some 5 GB of
memory, below which the kernel does not regulate; see tcp(7) and udp(7). At twice that it drops
connections.
"""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_USED, _UDP = re.compile(r"^sockets: used (\d+)", re.M), re.compile(r"^UDP6?: inuse (\d+)", re.M)
_STATE, _QUEUES, _NUMBER, _LISTENING = 3, 4, 9, b"0A"
"""Columns of ``/proc/net/tcp``, see proc(5), and the state of a listening socket."""
_INODE = 6
"""Column of ``/proc/net/unix``."""


@dataclass(frozen=True)
class Sockets:
    """The sockets of some processes.

    Attributes:
        buffer_bytes: upper bound for the memory of their buffers.
        too_many: there are more than can be examined.
        starving: those of a sandbox may take so much of the machine's shared buffer memory that
            other programs' sockets get none.
        hidden: how many sockets of a sandbox no process has open.
        lost: those Unix sockets among them that are not just waiting to be accepted, by inode
            number: they are in a queue, or kept by a blocked call.
    """

    buffer_bytes: int = 0
    too_many: bool = False
    starving: bool = False
    hidden: int = 0
    lost: frozenset[bytes] = frozenset()


def sockets_of(processes: Iterable[int], inside: Iterable[int], opened: Collection[str]) -> Sockets:
    """Examine the sockets of processes.

    Parameters:
        inside: those processes that are in a sandbox, which has its own network namespace.
        opened: the open sockets, as the links in ``/proc/<pid>/fd`` name them.
    """
    network, table = _network_inside(inside)
    # Outside a sandbox, sockets that these processes do not have open belong to others.
    ours = None if network else {each[len("socket:[") : -1].encode() for each in opened}
    network = network or next((Path(f"/proc/{each}/net") for each in processes), None)
    number = len(opened) if table is None else _number(_USED, table)
    hidden, total = max(0, number - len(opened)), number * _buffer_bytes()
    if network is None or (ours is not None and not ours):
        return Sockets(total, hidden=hidden)
    lost = _unix_sockets(network) if hidden else frozenset[bytes]()
    waiting = _tcp_bytes(network, ours)
    if waiting is None or lost is None:
        return Sockets(total, too_many=True, hidden=hidden)
    lost -= {each[len("socket:[") : -1].encode() for each in opened}
    datagrams = _number(_UDP, table or "") * _buffer_bytes()
    starving = table is not None and (
        waiting > _low_bytes("tcp_mem", _LOW_TCP_PAGES)
        or datagrams > _low_bytes("udp_mem", _LOW_UDP_PAGES)
    )
    return Sockets(total + waiting, starving=starving, hidden=hidden, lost=lost)


def _unix_sockets(network: Path) -> frozenset[bytes] | None:
    """Return the inode numbers of Unix sockets; None: there are too many of them.

    Without those that wait to be accepted, which have none.
    """
    found, read = set(), 0
    for line in _lines(network / "unix"):
        read += len(line)
        if read > _MOST_BYTES:
            return None
        columns = line.split(maxsplit=_INODE + 1)
        if len(columns) > _INODE and columns[_INODE].isdigit():
            found.add(columns[_INODE])
    return frozenset(found - {b"0"})


def _tcp_bytes(network: Path, ours: Collection[bytes] | None) -> int | None:
    """Return an upper bound for the buffers of TCP sockets; None: there are too many sockets."""
    total = 0
    largest = _maximum("tcp_wmem", _TCP_SEND_BUFFER), _maximum("tcp_rmem", _TCP_RECEIVE_BUFFER)
    for name in ("tcp", "tcp6"):
        read = 0
        for line in _lines(network / name):
            read += len(line)
            if read > _MOST_BYTES:
                return None
            waiting = (each * _PACKET for each in _waiting(line, ours))
            total += sum(map(min, largest, waiting))
    return total


def sandboxed_processes(processes: Sequence[int]) -> Sequence[int]:
    """Return those processes that are in a sandbox, which has its own network namespace.

    Parameters:
        processes: first those that created the sandbox, each the parent of the next.
    """
    ours = _network(os.getpid())
    first = (at for at, each in enumerate(processes) if _network(each) not in (ours, None))
    return processes[next(first, len(processes)) :]


def _network_inside(inside: Iterable[int]) -> tuple[Path | None, str | None]:
    """Return a sandbox's ``/proc/<pid>/net``, and its socket statistics; None if unknown."""
    ours = _network(os.getpid())
    if ours is None:
        return None, None
    for process in inside:
        own = Path(f"/proc/{process}")
        try:
            if _network(process) not in (ours, None):
                tables = (own / "net" / each for each in ("sockstat", "sockstat6"))
                return own / "net", "".join(each.read_text() for each in tables if each.exists())
        except OSError:
            continue
    return None, None


def _number(which: re.Pattern[str], table: str) -> int:
    return sum(int(each) for each in which.findall(table))


def _low_bytes(name: str, default: int) -> int:
    return _PAGE * read_sysctl(f"net/ipv4/{name}", [default])[0]


def _network(process: int) -> int | None:
    """Return the inode number of a process's network namespace; None if unknown."""
    try:
        return Path(f"/proc/{process}/ns/net").stat().st_ino
    except OSError:
        return None


def _lines(table: Path) -> Iterator[bytes]:
    try:
        with table.open("rb", buffering=_PIECE) as file:
            yield from file
    except OSError:
        return


def _waiting(line: bytes, ours: Collection[bytes] | None) -> tuple[int, int]:
    """Return how many bytes are in a TCP socket's send queue, and in its receive queue.

    Parameters:
        line: of the kernel's table.
        ours: inode numbers of the sockets to count; None for all.
    """
    columns = line.split()
    if len(columns) <= _NUMBER or columns[_STATE] in (_LISTENING, b"st"):
        return 0, 0
    if ours is not None and columns[_NUMBER] not in ours:
        return 0, 0
    sent, _, received = columns[_QUEUES].partition(b":")
    return int(sent, 16), int(received, 16)


def _buffer_bytes() -> int:
    """Return the largest use of a send buffer: it accepts a message whenever it is not full."""
    return 2 * read_sysctl("net/core/wmem_default", [_SEND_BUFFER])[0]


def _maximum(name: str, default: int) -> int:
    return read_sysctl(f"net/ipv4/{name}", [default])[-1]
