"""Who may connect to Envoy: programs of its own user, and root's, who may do everything anyway.

The published wire carries no token, so any user of the machine could have Envoy read its user's
files. The kernel knows whose the socket at the other end is: each connection is looked up when it
opens, before a byte of it is read. Where the system cannot tell (anywhere but on Linux) everybody
may connect.

A connection that nobody owns is refused too: its caller has gone, and the kernel forgot who it was.
So is one that has broken off by then: its caller's port may be another socket's already, and the
kernel finds sockets by their addresses.
"""

import asyncio
import json
import os
import socket
from typing import Any, cast

from farm_protocol.errors import STATUS, ErrorBody, ErrorCode
from farm_protocol.sockets import CAN_TELL, owner_of_connection

PATIENCE_SECONDS = 5.0
"""How long a stranger may take to say something and be told why that is in vain."""
MOST_STRANGERS = 50
"""Of those at a time; more are cut off."""

_ROOT = 0
_ESTABLISHED, _CLOSE_WAIT = 1, 8
"""States of TCP in which nobody else can have the addresses of a connection."""


def stranger(transport: asyncio.BaseTransport) -> str:
    """Return why the program at the other end may not talk to Envoy, or ""."""
    if not CAN_TELL:
        return ""
    peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    uid = owner_of_connection(peer[:2], own[:2]) if peer and own else None
    # In this order: what was found is at the other end only if that has not gone before the look.
    if not _is_connected(transport):
        uid = None
    if uid in (os.geteuid(), _ROOT):
        return ""
    if uid is None:
        return "Envoy could not find out who is calling, and answers only its own user. Try again."
    return (
        f"This Envoy works for another user of this machine, and answers nobody else (you are user"
        f" {uid}). Start one of your own, on another port: envoy up --port 8091"
    )


def _is_connected(transport: asyncio.BaseTransport) -> bool:
    try:
        ours = transport.get_extra_info("socket")
        (state, *_) = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except OSError:
        return False
    return state in (_ESTABLISHED, _CLOSE_WAIT)


def only_from_ourselves(base: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """Return a protocol of uvicorn's that refuses connections of other users."""

    strangers: set[asyncio.Transport] = set()

    class Refusing(base):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._turned_away_with = ""
            self._turned_away: asyncio.Transport | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._turned_away_with = stranger(transport)
            if not self._turned_away_with:
                super().connection_made(transport)
                return
            self._turned_away = cast(asyncio.Transport, transport)
            if len(strangers) >= MOST_STRANGERS:
                self._turned_away.abort()
                return
            strangers.add(self._turned_away)
            loop = asyncio.get_running_loop()
            self._turned_away_until = loop.call_later(PATIENCE_SECONDS, self._turned_away.abort)

        def data_received(self, data: bytes) -> None:
            if self._turned_away is None:
                super().data_received(data)
            elif not self._turned_away.is_closing():
                # Whatever was asked; nothing of it is looked at.
                self._turned_away.write(_answer(self._turned_away_with))
                self._turned_away.close()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._turned_away is None:
                super().connection_lost(exc)
            elif self._turned_away in strangers:
                strangers.discard(self._turned_away)
                self._turned_away_until.cancel()

        def eof_received(self) -> bool | None:
            return None if self._turned_away else super().eof_received()

    return Refusing


def _answer(message: str) -> bytes:
    code = ErrorCode.FORBIDDEN
    body = json.dumps(ErrorBody(code=code, message=message).model_dump(mode="json")).encode()
    head = (
        f"HTTP/1.1 {STATUS[code]} Forbidden\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
