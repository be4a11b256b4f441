"""Limits connections: their number, and how slowly and how much they may send.

uvicorn itself waits for ever for a request's head, accepts a head of any size, and counts requests,
not connections. `protocol` returns its protocol with these rules added:

    how many      In total and for each address. When there are too many, the one that has kept us
                  waiting longest is closed in favour of the new one: opening connections and
                  sending nothing blocks nobody. The new one is refused (503) only when all others
                  are being answered.
    whose         Connections of known senders are nine tenths at most. Beyond that, the sender with
                  the most connections loses its oldest one (503). So there is always room for a
                  request whose sender is not known yet.
    heads         A request's head is limited in size, in lines and in time. Trailers count as lines
                  of it, and are dropped: only what a reverse proxy has seen, and could set or
                  remove, may be a header.
    bodies        A body must make progress, at a minimum rate, while it is read.
    answers       A client that does not take its answer is disconnected.

Until the application names the sender of a request (see `known`), it is a stranger: the connection
may be closed in favour of another one while it waits for more of the request, or while the answer
is not taken. The sender is forgotten once the request is answered.

A body that the application does not want is not read to its end: the answer is sent, incoming data
is discarded for a moment so that the answer arrives, then the connection is closed.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from http_gate.addresses import counted_as
from http_gate.rate_limited_log import rate_limited_logger

_KNOWN = "http_gate.known"
_LOOK_SECONDS = 0.5
"""How often deadlines are checked."""

BACKLOG = 256
"""Connections that the system accepts ahead of this process."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers. Times in seconds, sizes in bytes.

    Attributes:
        connections: of all addresses together.
        per_address: of one address; of IPv6, of one network of 64 bits.
        trusted: addresses without a limit of their own beside loopback: reverse proxies.
        head_bytes, head_lines: of one request's address and headers.
        head_seconds: from the connection, or a request's first byte, to the end of its head.
        body_bytes, body_seconds: minimum bytes of a body per period.
        body_chunks, chunk_bytes: beyond this many chunks, minimum bytes per chunk on average.
        idle_seconds: between two requests.
        answer_seconds: for taking the next piece of an answer.
        linger_seconds, linger_bytes: how much of an unwanted body is discarded.
        pipelined: requests that may be sent before the first is answered.
    """

    connections: int = 1000
    per_address: int = 100
    trusted: frozenset[str] = frozenset()
    head_bytes: int = 32 * 1024
    head_lines: int = 100
    head_seconds: float = 10.0
    body_bytes: int = 16 * 1024
    body_seconds: float = 30.0
    body_chunks: int = 1000
    chunk_bytes: int = 64
    idle_seconds: float = 5.0
    answer_seconds: float = 60.0
    linger_seconds: float = 2.0
    linger_bytes: int = 4 << 20
    pipelined: int = 16

    @property
    def held(self) -> int:
        """Connections that all known senders together may hold."""
        return self.connections - self.connections // 10


def protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """Return a class for uvicorn's ``http``. Each server needs its own: it counts connections."""
    return type("GuardedProtocol", (_Guarded,), {"limiter": _ConnectionLimiter(limits)})


def known(scope: Scope, holder: str) -> None:
    """Tell the gate that the sender of this request has shown a valid key, and who it is.

    Parameters:
        holder: the sender whose connections are counted together.
    """
    report: Callable[[str], None] | None = scope.get("extensions", {}).get(_KNOWN)
    if report is not None:
        report(holder)


class _Phase(Enum):
    """What a connection is waiting for; `ANSWER`: nothing from its client."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    LINGER = auto()


class _ConnectionLimiter:
    """All connections of one server."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        # uvicorn warns about each invalid request: a line for each byte that a stranger sends.
        self.logger = rate_limited_logger("uvicorn.error")
        self._inside: set[_Guarded] = set()
        self._of_address: Counter[str] = Counter()
        # Strangers we are waiting for, the longest wait first.
        self._waiting: OrderedDict[_Guarded, None] = OrderedDict()
        # Connections of known senders, each sender's oldest first.
        self._held: dict[str, dict[_Guarded, None]] = {}
        self._timed: set[_Guarded] = set()
        self._looking: asyncio.TimerHandle | None = None
        self._due = 0.0

    def enter(self, connection: "_Guarded") -> bool:
        """Admit a new connection, closing another one if necessary."""
        address = connection.address
        mine = self._of_address[address]
        if address and mine >= self.limits.per_address:
            if not self._close_one(lambda each: each.address == address):
                return False
        elif len(self._inside) >= self.limits.connections and not self._close_one(lambda _: True):
            return False
        self._inside.add(connection)
        self._of_address[address] += 1
        if self._looking is None:
            self._look_later(connection.loop)
        return True

    def leave(self, connection: "_Guarded") -> None:
        """The connection has ended, or is about to. Called once for each that entered."""
        if connection not in self._inside:
            return
        self._inside.discard(connection)
        self._of_address[connection.address] -= 1
        if not self._of_address[connection.address]:
            del self._of_address[connection.address]
        self._waiting.pop(connection, None)
        self._timed.discard(connection)
        self.release(connection)

    def hold(self, connection: "_Guarded", holder: str) -> None:
        """Attribute the request to this sender; it may now hold too many connections."""
        if connection not in self._inside or connection.holder == holder:
            return
        self.release(connection)
        connection.holder = holder
        self._held.setdefault(holder, {})[connection] = None
        if sum(map(len, self._held.values())) > self.limits.held:
            most = max(self._held.values(), key=len)
            next(iter(most)).make_room()

    def release(self, connection: "_Guarded") -> None:
        """The connection's request is done, whoever sent it."""
        if not connection.holder:
            return
        mine = self._held[connection.holder]
        del mine[connection]
        if not mine:
            del self._held[connection.holder]
        connection.holder = ""

    def wait_for(self, connection: "_Guarded", *, stranger: bool) -> None:
        """The connection now waits for its client, until a deadline that it sets itself."""
        if connection not in self._inside:
            return
        self._timed.add(connection)
        self._waiting.pop(connection, None)
        if stranger:
            self._waiting[connection] = None

    def answer(self, connection: "_Guarded") -> None:
        """Nothing is expected from the client: it is the application's turn."""
        self._timed.discard(connection)
        self._waiting.pop(connection, None)

    def _close_one(self, suits: "Callable[[_Guarded], bool]") -> bool:
        found = next((each for each in self._waiting if suits(each)), None)
        if found is None:
            return False
        self.leave(found)
        found.transport.abort()
        return True

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + _LOOK_SECONDS
        self._looking = loop.call_later(_LOOK_SECONDS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if now - self._due > _LOOK_SECONDS:
            # This process was busy, or suspended: data that has arrived meanwhile is not read yet.
            for each in self._timed:
                each.extend_deadline(now - self._due)
        for each in [each for each in self._timed if each.overdue(now)]:
            each.give_up()
        self._looking = None
        if self._inside:
            self._look_later(loop)


class _Guarded(HttpToolsProtocol):
    """One connection, with limits on its head, body and time."""

    limiter: ClassVar[_ConnectionLimiter]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.logger = self.limiter.logger
        # uvicorn's own timer for idle connections ignores a head that has begun.
        self.timeout_keep_alive = self.limiter.limits.idle_seconds  # type: ignore[assignment]
        self.address = ""
        self.holder = ""
        self._phase = _Phase.IDLE
        self._stranger = True
        self._deadline = 0.0
        self._write_deadline: float | None = None
        self._got = 0  # bytes of the body since the deadline was set
        self._chunks = self._body_bytes = 0  # of the whole body
        self._parts: list[bytes] = []  # of the body, found in what has just come
        self._unused = 0  # bytes that have not completed anything yet
        self._used = False
        self._lines = 0
        self._head_bytes = 0
        self._in_head = True
        self._refusal: tuple[int, bytes] | None = None

    # Events of the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        limits = self.limiter.limits
        self.address = counted_as(self.client[0] if self.client else "", limits.trusted)
        if not self.limiter.enter(self):
            self._refuse(503, b"Too many connections. Try again later.")
            return
        self._expect(_Phase.HEAD, limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self.limiter.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._phase is _Phase.LINGER:
            self._got += len(data)
            if self._got > self.limiter.limits.linger_bytes:
                self.transport.close()
            return
        self._used = False
        super().data_received(data)
        self._hand_on()
        self._unused = 0 if self._used else self._unused + len(data)
        if self._unused > self.limiter.limits.head_bytes and not self.transport.is_closing():
            self._refuse(*_TOO_LARGE)

    def handle_websocket_upgrade(self) -> None:
        self.limiter.leave(self)
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        self._write_deadline = self.loop.time() + self.limiter.limits.answer_seconds
        self.limiter.wait_for(self, stranger=self._stranger)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._write_deadline = None
        if self._phase is _Phase.ANSWER:
            self.limiter.answer(self)
        super().resume_writing()

    # Events of the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._lines = self._head_bytes = self._chunks = self._body_bytes = 0
        self._in_head = True
        self._stranger = True
        self._expect(_Phase.HEAD, self.limiter.limits.head_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        limits = self.limiter.limits
        self._lines += 1
        self._head_bytes += len(name) + len(value) + 4
        if self._lines > limits.head_lines or self._head_bytes > limits.head_bytes:
            self._refusal = _TOO_LARGE
            raise ValueError("too many or too long header lines")
        # The parser reports trailers in the same way, and uvicorn would add them to the headers of
        # the request: behind a proxy, the sender could then choose its own address.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        limits = self.limiter.limits
        self._in_head = False
        self._head_bytes += len(self.url)
        if self._head_bytes > limits.head_bytes or len(self.pipeline) >= limits.pipelined:
            self._refusal = _TOO_LARGE
            raise ValueError("too much at a time")
        self._used = True
        # Not one of the extensions that uvicorn has types for.
        self.scope["extensions"] = {_KNOWN: self._become_known}  # type: ignore[dict-item]
        self._expect(_Phase.BODY, limits.body_seconds)
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Count a new chunk. The parser calls this; uvicorn does not need it."""
        limits = self.limiter.limits
        if self._chunks > max(limits.body_chunks, self._body_bytes // limits.chunk_bytes):
            self._refusal = _TOO_MANY_CHUNKS
            raise ValueError("too many small chunks")
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        self._used = True
        self._body_bytes += len(body)
        self._got += len(body)
        if self._got >= self.limiter.limits.body_bytes:
            self._got = 0
            self._deadline = self.loop.time() + self.limiter.limits.body_seconds
        self._parts.append(body)

    def _hand_on(self) -> None:
        """Pass the received part of the body to the application.

        All at once: for each part that it gets, uvicorn copies everything that has not been taken
        yet.
        """
        if self._parts:
            body = b"".join(self._parts)
            self._parts.clear()
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._used = True
        self._hand_on()
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._expect(_Phase.IDLE, self.limiter.limits.head_seconds)
        else:
            self._phase = _Phase.ANSWER
            self.limiter.answer(self)

    def send_400_response(self, msg: str) -> None:
        cycle = self.cycle
        if self.pipeline or (cycle and cycle.response_started != cycle.response_complete):
            # An answer is under way: anything else written would end up inside it. Nor do we wait
            # for it to be taken.
            self.limiter.leave(self)
            self.transport.abort()
            return
        if self._refusal is not None:
            self._refuse(*self._refusal)
            return
        self.limiter.leave(self)
        super().send_400_response(msg)

    def on_response_complete(self) -> None:
        # With nothing queued behind it, the finished request is the last one that was parsed.
        unread = not self.pipeline and self.cycle.more_body
        if unread and not self.transport.is_closing():
            self.server_state.total_requests += 1
            self._linger()
            return
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing() and self._phase is _Phase.ANSWER:
            self._become_stranger()
            self._expect(_Phase.IDLE, self.limiter.limits.head_seconds)

    # Time

    def overdue(self, now: float) -> bool:
        """Return whether the client has missed its deadline."""
        if self._write_deadline is not None:
            return now > self._write_deadline
        if self._phase is _Phase.BODY and self.flow.read_paused:
            # It is us who are not reading.
            self._deadline = now + self.limiter.limits.body_seconds
        return self._phase is not _Phase.ANSWER and now > self._deadline

    def extend_deadline(self, seconds: float) -> None:
        """Extend the current deadline."""
        self._deadline += seconds
        if self._write_deadline is not None:
            self._write_deadline += seconds

    def give_up(self) -> None:
        """Close the connection, since its client missed the deadline."""
        if self._write_deadline is not None or self._phase in (_Phase.IDLE, _Phase.LINGER):
            self.limiter.leave(self)
            self.transport.abort()
        elif self._phase is _Phase.BODY and self.cycle is not None and self.cycle.response_started:
            self.limiter.leave(self)
            self.transport.close()
        else:
            self._refuse(408, b"The request did not arrive in time.")

    def make_room(self) -> None:
        """Close the connection, since others need its place more."""
        if self.cycle.response_started or self.pipeline:
            self.limiter.leave(self)
            self.transport.abort()
        else:
            self._refuse(503, b"Too many of your requests are open. Try again later.")

    def _expect(self, phase: _Phase, seconds: float) -> None:
        self._phase = phase
        self._got = 0
        self._deadline = self.loop.time() + seconds
        self.limiter.wait_for(self, stranger=self._stranger)

    def _become_known(self, holder: str) -> None:
        self._stranger = False
        if self._phase is _Phase.BODY:
            self.limiter.wait_for(self, stranger=False)
        self.limiter.hold(self, holder)

    def _become_stranger(self) -> None:
        self._stranger = True
        self.limiter.release(self)

    # Ends

    def _refuse(self, status: int, message: bytes) -> None:
        """Answer without the application, and close."""
        self.limiter.leave(self)
        if self.transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(message)}\r\nconnection: close\r\n"
        )
        head += "retry-after: 1\r\n\r\n" if status == 503 else "\r\n"
        self.transport.write(head.encode() + message)
        self.transport.close()

    def _linger(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._become_stranger()
        self._unset_keepalive_if_required()
        self._expect(_Phase.LINGER, self.limiter.limits.linger_seconds)
        self.flow.resume_reading()


_TOO_LARGE = (431, b"The request's head is too large.")
_TOO_MANY_CHUNKS = (413, b"The request's body comes in too many small chunks.")
_PHRASES = {
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
