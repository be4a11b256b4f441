"""Listens on both of this machine's loopback addresses, or not at all.

``localhost`` means 127.0.0.1 to some programs and ::1 to others. Any user of the machine can take
an address that Envoy leaves free, and would then receive passwords.
"""

import errno
import socket
import sys
from typing import Self

from farm_protocol.callers import BACKLOG

from envoy.errors import StartError

V4, V6 = "127.0.0.1", "::1"
_MOST_TRIES = 20
"""Attempts with port 0, until one is free on both addresses."""
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


class PortInUseError(StartError):
    """Another program listens on the port; `envoy.cli.commands` finds out which.

    Attributes:
        host: the address in use; Envoy's other addresses may be free.
    """

    def __init__(self, port: int, host: str = V4) -> None:
        self.port = port
        self.host = host
        super().__init__(f"Port {port} of {host} is used by another program.")


class Listener:
    """The listening sockets; a context manager that closes them.

    Attributes:
        port: the port of all of them.
        sockets: one, or two where the machine has IPv6.
    """

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        self.port: int = sockets[0].getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.sockets:
            each.close()


def listen(port: int) -> Listener:
    """Listen on this machine's loopback addresses only; port 0 takes one that is free on both.

    Raises:
        StartError: the port is in use, or not permitted.
    """
    tries = 1 if port else _MOST_TRIES
    for number in range(tries):
        first = _bound(V4, port)
        assert first is not None
        try:
            second = _bound(V6, first.getsockname()[1])
        except PortInUseError:
            first.close()
            if number == tries - 1:
                raise
        except BaseException:
            first.close()
            raise
        else:
            return Listener([each for each in (first, second) if each])
    raise AssertionError("the last try returns or raises")


def _bound(host: str, port: int) -> socket.socket | None:
    """Return a listening socket; None when the machine has no such address, so nobody else can use
    it.
    """
    family = socket.AF_INET6 if host == V6 else socket.AF_INET
    listener: socket.socket | None = None
    try:
        # Explicit, since asyncio disables Nagle's algorithm only where it knows that this is TCP.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # On Windows SO_REUSEADDR would let two programs share a port.
        option = "SO_EXCLUSIVEADDRUSE" if sys.platform == "win32" else "SO_REUSEADDR"
        listener.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        listener.bind((host, port))
        # Now, not when the server starts: a second Envoy must fail here, and early callers must
        # wait.
        listener.listen(BACKLOG)
    except OSError as error:
        if listener:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(port, host) from error
        if host == V6 and error.errno in _NO_IPV6:
            return None
        raise StartError(f"Envoy cannot use port {port} ({error.strerror}).") from error
    return listener
