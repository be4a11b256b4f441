"""Who may connect to a service of one user: programs of that user, and of root.

Envoy is such a service: the published wire carries no token, so any user of the machine could make
it read its user's files. The farm inside Envoy is another: anyone who may connect could keep its
user's own calls waiting. The kernel knows who owns the socket at the other end: each connection is
looked up when it is accepted, before anything is allocated for it and before a byte of it is read.
Where the system cannot tell (anywhere but on Linux) everybody may connect.

A connection without an owner is refused too: its caller is gone, and the kernel has forgotten who
it was. So is one that is closed by then: its caller's port may belong to another socket already,
and the kernel finds sockets by their addresses.

All callers wait in one system queue, strangers and owners alike. So strangers are rejected as fast
as possible, most of them without an answer; and after a moment of that, the rest of the service
gets its turn.
"""

import asyncio
import errno
import json
import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from farm_protocol.errors import STATUS, ErrorBody, ErrorCode
from farm_protocol.sockets import Address, Owners

log = logging.getLogger(__name__)

BACKLOG = 4096
"""Connections that wait to be accepted, if the system allows so many. Strangers wait among the
owner's, so it must hold as many as are rejected in a moment: a caller that finds the queue full
tries again only after a second.
"""
TURN_SECONDS = 0.001
"""How long callers are processed before others get their turn."""
PATIENCE_SECONDS = 5.0
"""How long a stranger may take to send something and receive the reason for its rejection."""
MOST_STRANGERS = 50
"""Limit of such strangers at a time; more are cut off."""
TOLD_A_SECOND, MOST_TOLD = 20.0, 100
"""How many strangers get an answer per second in the long run, and at most at once."""
SHORT_SECONDS = 1.0
"""Pause in accepting after the system had no descriptor or memory for a connection."""

_ROOT = 0
_ESTABLISHED, _CLOSE_WAIT = 1, 8
"""TCP states in which no other socket can have the addresses of a connection."""
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_WITH_A_RESET = struct.pack("ii", 1, 0)
"""Makes ``close`` drop a connection at once, instead of keeping its address for a minute."""


class Acceptor:
    """Accepts connections on listening sockets from permitted callers only. Linux only.

    Parameters:
        listeners: listening sockets.
        protocol: creates the protocol for an admitted caller.
        refusal: creates a stranger's answer from its user id, or from None where that is unknown.

    Raises:
        OSError: the system has no descriptors left.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        protocol: Callable[[], asyncio.BaseProtocol],
        refusal: Callable[[int | None], str],
    ) -> None:
        self._refusal = refusal
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._owners = Owners()
        self._listeners = listeners
        self._arriving: set[asyncio.Task[object]] = set()
        self._resuming: set[asyncio.TimerHandle] = set()
        self._strangers = _Strangers()
        for each in listeners:
            each.setblocking(False)
            self._open(each)

    def close(self) -> None:
        """Stop accepting; admitted connections stay open."""
        for each in self._listeners:
            self._loop.remove_reader(each)
        for timer in self._resuming:
            timer.cancel()
        self._owners.close()

    def _open(self, listener: socket.socket) -> None:
        self._loop.add_reader(listener, self._accept, listener, listener.getsockname()[:2])

    def _accept(self, listener: socket.socket, own: Address) -> None:
        until = time.monotonic() + TURN_SECONDS
        while True:
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _SHORT:
                    raise
                log.warning("New connections are paused for a moment: %s", error)
                self._pause(listener)
                return
            self._receive(connection, peer[:2], own)
            if time.monotonic() >= until:
                return

    def _pause(self, listener: socket.socket) -> None:
        def resume() -> None:
            self._resuming.discard(timer)
            self._open(listener)

        self._loop.remove_reader(listener)
        timer = self._loop.call_later(SHORT_SECONDS, resume)
        self._resuming.add(timer)

    def _receive(self, connection: socket.socket, peer: Address, own: Address) -> None:
        if not _is_connected(connection):
            _cut_off(connection)
            return
        uid = self._owners.of_connection(peer, own)
        # In this order: the owner that was found is at the other end only if the connection is
        # still open afterwards.
        if not _is_connected(connection):
            _cut_off(connection)
        elif uid in (os.geteuid(), _ROOT):
            self._talk(self._protocol, connection)
        elif self._strangers.may_be_told():
            self._talk(partial(_Stranger, self._strangers, _answer(self._refusal(uid))), connection)
        else:
            _cut_off(connection)

    def _talk(
        self, protocol: Callable[[], asyncio.BaseProtocol], connection: socket.socket
    ) -> None:
        talk = self._loop.connect_accepted_socket(protocol, connection)
        task = self._loop.create_task(talk)
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)


def _is_connected(connection: socket.socket) -> bool:
    try:
        (state, *_) = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except OSError:
        return False
    return state in (_ESTABLISHED, _CLOSE_WAIT)


def _cut_off(connection: socket.socket) -> None:
    with connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _WITH_A_RESET)


class _Strangers:
    """The strangers being answered, and how many more may be."""

    def __init__(self) -> None:
        self.inside = 0
        self._left = float(MOST_TOLD)
        self._counted_at = time.monotonic()

    def may_be_told(self) -> bool:
        """Count one more; False if that is one too many."""
        now = time.monotonic()
        earned = (now - self._counted_at) * TOLD_A_SECOND
        self._left, self._counted_at = min(MOST_TOLD, self._left + earned), now
        if self._left < 1 or self.inside >= MOST_STRANGERS:
            return False
        self._left -= 1
        self.inside += 1
        return True


class _Stranger(asyncio.Protocol):
    """Answers one stranger."""

    def __init__(self, strangers: _Strangers, answer: bytes) -> None:
        self._strangers = strangers
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self._until = loop.call_later(PATIENCE_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        # Whatever was asked; its content is ignored.
        if not self._transport.is_closing():
            self._transport.write(self._answer)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._strangers.inside -= 1
        self._until.cancel()


def _answer(message: str) -> bytes:
    code = ErrorCode.FORBIDDEN
    body = json.dumps(ErrorBody(code=code, message=message).model_dump(mode="json")).encode()
    head = (
        f"HTTP/1.1 {STATUS[code]} Forbidden\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
