"""Finds the owner of a TCP socket on this machine, from the kernel. Linux only.

A program that connects over loopback, or listens there, has a socket on this machine, and the
kernel knows which user made it. ``sock_diag`` answers for a single socket at once; where it is
missing, ``/proc/net/tcp`` and ``tcp6`` are read, which takes a moment per thousand sockets.

A socket that its process has closed has no owner any more: old kernels report root.
"""

import errno
import ipaddress
import itertools
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

CAN_TELL = sys.platform == "linux"
"""Whether this system can answer."""

Address = tuple[str, int]
"""An IP address, as text and without a scope, and a port."""

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1
_ESTABLISHED, _CLOSE_WAIT, _LISTEN = 1, 8, 10
_HALF_OPEN = {4, 5}
"""States of a caller that has sent everything and waits for the answer: FIN_WAIT1 and FIN_WAIT2."""
_OPEN = {_ESTABLISHED, _CLOSE_WAIT, *_HALF_OPEN}


class Owners:
    """Looks up the owners of many connections; a context manager, for one thread.

    It keeps its socket to the kernel open: opening one takes longer than a query.
    """

    def __init__(self) -> None:
        self._kernel = _Kernel() if CAN_TELL and _kernel_answers() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; nothing can be asked afterwards."""
        if self._kernel:
            self._kernel.close()

    def of_connection(self, local: Address, remote: Address) -> int | None:
        """Return the user id of the socket that is connected from ``local`` to ``remote``.

        None: there is no such socket, its process has closed it, or its owner is unknown.
        """
        return self._owner(local, remote, _OPEN)

    def of_listener(self, address: Address) -> int | None:
        """Return the user id of the socket that a connection to ``address`` would reach.

        None: nobody listens there, or the owner is unknown.
        """
        anywhere = "::" if ":" in address[0] else "0.0.0.0"  # noqa: S104 - compared, not listened on
        return self._owner(address, (anywhere, 0), {_LISTEN})

    def _owner(self, local: Address, remote: Address, states: set[int]) -> int | None:
        if not CAN_TELL:
            return None
        try:
            rows = [self._kernel.ask(local, remote)] if self._kernel else _read(local, remote)
            for state, uid, inode in rows:
                if state in states and inode:
                    return uid
        except (OSError, ValueError, struct.error):
            return None
        return None


def owner_of_connection(local: Address, remote: Address) -> int | None:
    """Return the result of `Owners.of_connection`, for a single query."""
    return _ask_once(lambda owners: owners.of_connection(local, remote))


def owner_of_listener(address: Address) -> int | None:
    """Return the result of `Owners.of_listener`, for a single query."""
    return _ask_once(lambda owners: owners.of_listener(address))


def is_another_users(url: str) -> bool:
    """Return whether another user listens at an address of this machine.

    Ask before sending a secret to a program of one's own user: it may have ended, and then any user
    can take its port. False when the owner is unknown, nobody listens, or the address is another
    machine's. Root does not count as another user.
    """
    owners = {owner_of_listener(address) for address in addresses_here(url)}
    return not owners <= {None, os.geteuid(), 0}


def addresses_here(url: str) -> list[Address]:
    """Return the addresses of a connection to this machine; none for other machines and their
    names.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
        # The name is tried as both addresses, and the owner of either may receive the data.
        hosts = ("127.0.0.1", "::1") if host == "localhost" else (host,)
        return [(address, port) for each in hosts if (address := _on_this_machine(each))]
    except ValueError:
        return []


def has_reached_another_user(there: Address, here: Address) -> bool:
    """Return whether a connection within this machine may have reached another user's program.

    Ask after `is_another_users` and connecting: in between, the program may have ended and another
    may have taken its port. False when the owner is unknown.

    Parameters:
        there: the remote address of the connection.
        here: its local address.
    """
    if not _tells():
        return False
    # In this order: a connection that nobody has accepted yet belongs to the listener, and ends
    # with its socket. So it belongs to the listener found above, if nobody has accepted it by now.
    with Owners() as owners:
        listener = owners.of_listener(there)
        accepted = owners.of_connection(there, here)
    return (listener if accepted is None else accepted) not in (os.geteuid(), 0)


@cache
def _tells() -> bool:
    """Return whether this system reports listeners: then a socket without an owner is not one of
    ours.
    """
    try:
        with socket.create_server(("127.0.0.1", 0)) as known:
            return owner_of_listener(known.getsockname()) == os.geteuid()
    except OSError:
        return False


def _on_this_machine(host: str) -> str:
    """Return the remote address of a connection within this machine; "" for other machines'.

    Raises:
        ValueError: it is not an address.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    if not CAN_TELL:
        return ""
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    if address.is_loopback:
        return str(address)
    try:
        # Only the machine that has an address can listen there.
        with socket.socket(_family((str(address), 0)), socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return ""
    return str(address)


def _ask_once(ask: Callable[[Owners], int | None]) -> int | None:
    try:
        with Owners() as owners:
            return ask(owners)
    except OSError:
        return None


class _Kernel:
    """``sock_diag``, over a socket of its own. Raises OSError when it cannot open one."""

    def __init__(self) -> None:
        self._numbers = itertools.cycle(range(1, 1 << 32))
        self._socket = self._open()

    def close(self) -> None:
        self._socket.close()

    def ask(self, local: Address, remote: Address) -> tuple[int, int, int]:
        """Return (state, user id, inode) of one socket. Raises OSError."""
        ports = struct.pack(">HH", local[1], remote[1])
        wanted = ports + _packed(local).ljust(16, b"\0") + _packed(remote).ljust(16, b"\0")
        body = struct.pack("=BBBxI", _family(local), socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
        # Everything that this machine sends to itself uses this interface: without one, the kernel
        # would not find sockets that are bound to it.
        body += wanted + struct.pack("=I", _loopback()) + b"\xff" * 8  # Any cookie.
        try:
            answer = self._exchange(body)
        except OSError:
            # Discard leftovers, such as an answer for which memory did not suffice.
            self._socket.close()
            self._socket = self._open()
            answer = self._exchange(body)
        _, kind = struct.unpack_from("=IH", answer)
        if kind != _SOCK_DIAG_BY_FAMILY:
            (number,) = struct.unpack_from("=i", answer, 16)
            raise OSError(-number, os.strerror(-number))
        state = answer[17]
        # Without a connection, the kernel finds a listener; it has no remote port.
        if answer[20:24] != ports:
            raise OSError(errno.ENOENT, "it is another socket")
        uid, inode = struct.unpack_from("=II", answer, 80)
        return state, uid, inode

    def _exchange(self, body: bytes) -> bytes:
        number = next(self._numbers)
        head = struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST, number, 0)
        self._socket.send(head + body)
        while True:
            # The kernel has answered when `send` returns: no need to wait.
            answer = self._socket.recv(4096)
            if answer[8:12] == struct.pack("=I", number):
                return answer

    @staticmethod
    def _open() -> socket.socket:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        opened.setblocking(False)
        return opened


@cache
def _loopback() -> int:
    """Return the index of the loopback interface; 0, which means any, when it has an unusual name.

    Looked up once: it is the first interface of any network, and stays.
    """
    try:
        return socket.if_nametoindex("lo")
    except OSError:
        return 0


@cache
def _kernel_answers() -> bool:
    """Return whether ``sock_diag`` finds a socket of ours."""
    try:
        kernel = _Kernel()
    except OSError:
        return False
    try:
        with socket.create_server(("127.0.0.1", 0)) as known:
            host, port = known.getsockname()
            return kernel.ask((host, port), ("0.0.0.0", 0))[2] == os.fstat(known.fileno()).st_ino  # noqa: S104
    except (OSError, struct.error):
        return False
    finally:
        kernel.close()


def _read(local: Address, remote: Address) -> Iterator[tuple[int, int, int]]:
    """Yield (state, user id, inode) of a socket from the kernel's tables. Raises OSError."""
    listens = remote[1] == 0
    for table, mapped in (("tcp", False), ("tcp6", True)):
        if _family(local) == socket.AF_INET6 and not mapped:
            continue
        here, there = _in_table(local, mapped), _in_table(remote, mapped)
        anywhere = _in_table(("::" if mapped else "0.0.0.0", local[1]), mapped)  # noqa: S104
        rows = Path("/proc/net", table).read_text().splitlines()[1:]
        for fields in map(str.split, rows):
            bound = fields[1] == here or (listens and fields[1] == anywhere)
            if bound and (listens or fields[2] == there):
                yield int(fields[3], 16), int(fields[7]), int(fields[9])


def _in_table(address: Address, mapped: bool) -> str:
    packed = _packed(address)
    if mapped and len(packed) == 4:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _packed(address: Address) -> bytes:
    return socket.inet_pton(_family(address), address[0])
