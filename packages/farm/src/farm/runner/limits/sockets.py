"""What the sockets of renderers have on the way, at most: only Linux.

Nobody tells the memory of a socket that is not one's own. A datagram's or a Unix socket's buffer
has a size that nobody in a sandbox can change. Those of TCP grow as they are used; what waits in
them is known in bytes of data, of which each can be in a packet of its own.
"""

import os
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
_STATE, _QUEUES, _NUMBER, _LISTENING = 3, 4, 9, b"0A"
"""Columns of ``/proc/net/tcp`` (proc(5)), and what a listening socket has in the first."""


@dataclass(frozen=True)
class Sockets:
    """What some processes have of them.

    Attributes:
        buffer_bytes: of all, at most.
        too_many: there are more of them than are looked at.
    """

    buffer_bytes: int = 0
    too_many: bool = False


def sockets_of(processes: Iterable[int], inside: Iterable[int], opened: Collection[str]) -> Sockets:
    """Return what the sockets of processes have on the way at most.

    Parameters:
        inside: those of them that are in a sandbox: it has a network of its own.
        opened: the sockets that are open, as their descriptors are called.
    """
    network, number = _network_inside(inside)
    # Outside, what is neither open nor taken belongs to nobody.
    ours = None if network else {each[len("socket:[") : -1].encode() for each in opened}
    network = network or next((Path(f"/proc/{each}/net") for each in processes), None)
    total = (len(opened) if number is None else number) * _usual()
    largest = _last("tcp_wmem", _TCP_SEND_BUFFER), _last("tcp_rmem", _TCP_RECEIVE_BUFFER)
    if network is None or (ours is not None and not ours):
        return Sockets(total)
    for name in ("tcp", "tcp6"):
        read = 0
        for line in _lines(network / name):
            read += len(line)
            if read > _MOST_BYTES:
                return Sockets(total, too_many=True)
            waiting = (each * _PACKET for each in _waiting(line, ours))
            total += sum(map(min, largest, waiting))
    return Sockets(total)


def inside_of(processes: Sequence[int]) -> Sequence[int]:
    """Return those processes that are in a sandbox, which has a network of its own.

    Parameters:
        processes: first those that have made it, each the parent of the next.
    """
    ours = _network(os.getpid())
    first = (at for at, each in enumerate(processes) if _network(each) not in (ours, None))
    return processes[next(first, len(processes)) :]


def _network_inside(inside: Iterable[int]) -> tuple[Path | None, int | None]:
    """Return a sandbox's network, and how many sockets it has, open or not; None: nobody says."""
    ours = _network(os.getpid())
    if ours is None:
        return None, None
    for process in inside:
        own = Path(f"/proc/{process}")
        try:
            if _network(process) not in (ours, None):
                number = int((own / "net/sockstat").read_text().split(maxsplit=3)[2])
                return own / "net", number
        except (OSError, ValueError, IndexError):
            continue
    return None, None


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
