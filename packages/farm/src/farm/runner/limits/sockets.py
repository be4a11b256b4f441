"""What the sockets of renderers have on the way, at most: only Linux.

Nobody tells the memory of a socket that is not one's own. A datagram's or a Unix socket's buffer
has a size that nobody in a sandbox can change. Those of TCP grow as they are used; what waits in
them is known in bytes of data, of which each can be in a packet of its own.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm.runner.limits.sysctl import numbers

_SEND_BUFFER, _TCP_SEND_BUFFER, _TCP_RECEIVE_BUFFER = 212_992, 4 << 20, 6 << 20
"""Bytes; what an unchanged Linux has; see socket(7) and tcp(7)."""
_MOST_BYTES, _PIECE = 16 << 20, 1 << 20
"""Of a table of the kernel no more is read than this: some hundred thousand sockets."""
_PACKET = 1024
"""Memory of the smallest, in bytes."""
_EASY_TCP_PAGES, _EASY_UDP_PAGES = 65_536, 131_072
"""What the sockets of a machine with some 5 GB of memory have before the kernel looks at it at all;
see ``tcp_mem`` and ``udp_mem`` in tcp(7) and udp(7). It breaks connections at the double."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_USED, _UDP = re.compile(r"^sockets: used (\d+)", re.M), re.compile(r"^UDP6?: inuse (\d+)", re.M)
_STATE, _QUEUES, _NUMBER, _LISTENING = 3, 4, 9, b"0A"
"""Columns of ``/proc/net/tcp`` (proc(5)), and what a listening socket has in the first."""


@dataclass(frozen=True)
class Sockets:
    """What some processes have of them.

    Attributes:
        buffer_bytes: of all, at most.
        too_many: there are more of them than are looked at.
        starving: those of a sandbox may have so much of what all of the machine share that others
            get none.
        hidden: of those of a sandbox, how many no process has open.
    """

    buffer_bytes: int = 0
    too_many: bool = False
    starving: bool = False
    hidden: int = 0


def sockets_of(processes: Iterable[int], inside: Iterable[int], opened: Collection[str]) -> Sockets:
    """Return what the sockets of processes have on the way at most.

    Parameters:
        inside: those of them that are in a sandbox: it has a network of its own.
        opened: the sockets that are open, as their descriptors are called.
    """
    network, table = _network_inside(inside)
    # Outside, what is neither open nor taken belongs to nobody.
    ours = None if network else {each[len("socket:[") : -1].encode() for each in opened}
    network = network or next((Path(f"/proc/{each}/net") for each in processes), None)
    number = len(opened) if table is None else _number(_USED, table)
    hidden, total = max(0, number - len(opened)), number * _usual()
    if network is None or (ours is not None and not ours):
        return Sockets(total, hidden=hidden)
    waiting = _waiting_in_all(network, ours)
    if waiting is None:
        return Sockets(total, too_many=True, hidden=hidden)
    datagrams = _number(_UDP, table or "") * _usual()
    starving = table is not None and (
        waiting > _easy("tcp_mem", _EASY_TCP_PAGES) or datagrams > _easy("udp_mem", _EASY_UDP_PAGES)
    )
    return Sockets(total + waiting, starving=starving, hidden=hidden)


def _waiting_in_all(network: Path, ours: Collection[bytes] | None) -> int | None:
    """Return what TCP sockets have on the way at most; None: there are too many of them."""
    total = 0
    largest = _last("tcp_wmem", _TCP_SEND_BUFFER), _last("tcp_rmem", _TCP_RECEIVE_BUFFER)
    for name in ("tcp", "tcp6"):
        read = 0
        for line in _lines(network / name):
            read += len(line)
            if read > _MOST_BYTES:
                return None
            waiting = (each * _PACKET for each in _waiting(line, ours))
            total += sum(map(min, largest, waiting))
    return total


def inside_of(processes: Sequence[int]) -> Sequence[int]:
    """Return those processes that are in a sandbox, which has a network of its own.

    Parameters:
        processes: first those that have made it, each the parent of the next.
    """
    ours = _network(os.getpid())
    first = (at for at, each in enumerate(processes) if _network(each) not in (ours, None))
    return processes[next(first, len(processes)) :]


def _network_inside(inside: Iterable[int]) -> tuple[Path | None, str | None]:
    """Return a sandbox's network, and what the kernel tells of all its sockets; None: nothing."""
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


def _easy(name: str, usual: int) -> int:
    return _PAGE * numbers(f"net/ipv4/{name}", [usual])[0]


def _network(process: int) -> int | None:
    """Return the number of a process's network; None when nobody says."""
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
    """Return how many bytes a TCP socket has to send, and how many to be received.

    Parameters:
        line: of the kernel's table.
        ours: the numbers of the sockets that matter; None for all.
    """
    columns = line.split()
    if len(columns) <= _NUMBER or columns[_STATE] in (_LISTENING, b"st"):
        return 0, 0
    if ours is not None and columns[_NUMBER] not in ours:
        return 0, 0
    sent, _, received = columns[_QUEUES].partition(b":")
    return int(sent, 16), int(received, 16)


def _usual() -> int:
    """Return what one has on the way at most: a message goes when it is not quite full."""
    return 2 * numbers("net/core/wmem_default", [_SEND_BUFFER])[0]


def _last(name: str, usual: int) -> int:
    return numbers(f"net/ipv4/{name}", [usual])[-1]
