"""Bodies that are read as a whole: limits for each of them, and for all together.

The size of JSON does not tell its cost: ``[[],[],...]`` becomes twenty times as many bytes of
objects, and each unknown field becomes an error. So its values are counted before it is parsed.
Characters inside strings are counted too: that is quick, and the limits leave room for it, except
for bodies that are one long string.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope


class TooLargeError(Exception):
    """A body is larger than allowed. ``str()`` is a message."""


class BusyError(Exception):
    """One sender, or all together, send too much at a time. ``str()`` is a message."""


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """Limits of one body.

    Attributes:
        size: bytes.
        values: commas and opening brackets of its JSON; about as many as it has values.
        names: colons of its JSON; about as many as its objects have fields.
        is_text: it is a long string and little else: what is inside strings does not count.
    """

    size: int
    values: int
    names: int
    is_text: bool = False


SMALL = BodyLimit(64 << 10, 2_000, 1_000)
"""Enough for nearly every request."""


def announced(scope: Scope) -> int | None:
    """Return how many bytes of body a request announces: 0 without one, None when not known."""
    length = 0
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            # More digits are not a length; the parser has refused them already.
            length = int(value) if value.isdigit() and len(value) < 20 else 0
    return length


LONGEST_SECONDS = 300.0
"""How long a body may take to arrive, however steadily it comes."""


class BodyMemory:
    """The bytes of large bodies that are in memory, of each sender and of all.

    The first 64 KiB of each do not count: the number of concurrent requests is limited by the
    connections, and small requests must not wait for large ones.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        """Set the limits. A sender may have ``most_of_one`` of all while it is alone, and the same
        fraction of what the others leave otherwise: so something is left for the next one.
        """
        self._most = most
        self._most_of_one = most_of_one
        self._of: Counter[str] = Counter()
        self._all = 0

    @contextmanager
    def reservation(self, sender: str) -> Iterator[Callable[[int], None]]:
        """Count one request's bytes until it ends; yields what is to be called for each piece.

        Raises:
            BusyError: raised by that call.
        """
        mine = 0

        def take(count: int) -> None:
            nonlocal mine
            left = self._most - (self._all - self._of[sender])
            if self._of[sender] + count > left * self._most_of_one // self._most:
                raise BusyError("There are too many large requests at once. Try again later.")
            mine += count
            self._all += count
            self._of[sender] += count

        try:
            yield take
        finally:
            self._all -= mine
            self._of[sender] -= mine
            if not self._of[sender]:
                del self._of[sender]


async def read_whole(receive: Receive, limit: BodyLimit, take: Callable[[int], None]) -> bytes:
    """Return a body; stop reading when it is too large.

    Parameters:
        take: from `BodyMemory.reservation`.

    Raises:
        TooLargeError: see ``limit``.
        BusyError: raised by ``take``, or the body takes longer than `LONGEST_SECONDS`.
        ClientDisconnect: the sender has disconnected.
    """
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await _read(receive, limit, take)
    except TimeoutError:
        raise BusyError("The request took too long to arrive. Try again later.") from None


async def _read(receive: Receive, limit: BodyLimit, take: Callable[[int], None]) -> bytes:
    parts: list[bytes] = []
    size = values = names = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limit.size:
            raise too_large(limit)
        if large := min(len(part), size - SMALL.size):
            take(max(0, large))
        if not limit.is_text:
            # In pieces: a large body at once would block everything else for a tenth of a second.
            values += _values_in(part)
            names += part.count(b":")
            _check(limit, values, names)
        parts.append(part)
        more = message.get("more_body", False)
    body = b"".join(parts)
    if limit.is_text:
        beside = _beside_texts(body, limit)
        _check(limit, _values_in(beside), beside.count(b":"))
    return body


def _values_in(part: bytes) -> int:
    return part.count(b",") + part.count(b"[") + part.count(b"{")


def _check(limit: BodyLimit, values: int, names: int) -> None:
    if values > limit.values or names > limit.names:
        raise TooLargeError("The request holds too many values.")


def _beside_texts(body: bytes, limit: BodyLimit) -> bytes:
    """Return some JSON without its strings. Raises TooLargeError for too many strings."""
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Each is a value or a name with two quotes. Checked first, because each becomes a piece here.
    _check(limit, plain.count(b'"') // 2 - limit.names, 0)
    return b"".join(plain.split(b'"')[::2])


def too_large(limit: BodyLimit) -> TooLargeError:
    """Return the error for a body of too many bytes."""
    size = limit.size
    shown = f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
    return TooLargeError(f"The request is larger than {shown}.")


def replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Return a ``receive`` that first replays a body that was already read."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
