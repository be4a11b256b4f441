"""Bodies that are read as a whole: never more of one, and of all together, than is meant.

What JSON costs is not its size: ``[[],[],...]`` becomes twenty times as many bytes of objects,
and each field that nobody knows an error of its own. So the things in it are counted before
anybody parses it. What stands inside of texts is counted too: that is quick, and the limits leave
room for it, but for bodies that are one long text.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope


class TooLargeError(Exception):
    """A body is larger than what is meant. ``str()`` is a message."""


class BusyError(Exception):
    """A sender, or all of them together, ask for too much at a time. ``str()`` is a message."""


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """What one body may be.

    Attributes:
        size: bytes.
        values: commas and opening brackets of its JSON; about as many as it has values.
        names: colons of its JSON; about as many as its objects have fields.
        is_text: it is a long text with little beside it: what stands in texts does not count.
    """

    size: int
    values: int
    names: int
    is_text: bool = False


SMALL = BodyLimit(64 << 10, 2_000, 1_000)
"""What nearly every request can do with."""


def announced(scope: Scope) -> int | None:
    """Return how many bytes of body a request announces: 0 without one, None when not known."""
    length = 0
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            # More digits are no length, and are refused by the parser before.
            length = int(value) if value.isdigit() and len(value) < 20 else 0
    return length


LONGEST_SECONDS = 300.0
"""How long a body may take to arrive, however steadily it comes."""


class Held:
    """The bytes of large bodies that are in memory, of each sender and of all.

    The first 64 KiB of each count nowhere: how many requests there are at a time is limited by
    connections, and whoever asks for little must not wait for those who send much.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        """Hold so much of all. A sender may have ``most_of_one`` of it while it is alone, and the
        same part of what the others leave while it is not: so there is something for the next."""
        self._most = most
        self._most_of_one = most_of_one
        self._of: Counter[str] = Counter()
        self._all = 0

    @contextmanager
    def by(self, sender: str) -> Iterator[Callable[[int], None]]:
        """Count for one request, to its end; yields what is called for each piece.

        Raises:
            BusyError: by that call.
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
    """Return a body. One that is too large is not read any further.

    Parameters:
        take: from `Held.by`.

    Raises:
        TooLargeError: see ``limit``.
        BusyError: by ``take``, or it takes longer than `LONGEST_SECONDS`.
        ClientDisconnect: the sender has gone.
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
            # Of each part: of a large body at once, everything else would wait for a tenth of a
            # second.
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
    """Return what of some JSON stands in no text. Raises TooLargeError for too many texts."""
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Each is a value or a name, begins and ends. Looked at first: each becomes a piece here.
    _check(limit, plain.count(b'"') // 2 - limit.names, 0)
    return b"".join(plain.split(b'"')[::2])


def too_large(limit: BodyLimit) -> TooLargeError:
    """Return the error for a body of too many bytes."""
    size = limit.size
    shown = f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
    return TooLargeError(f"The request is larger than {shown}.")


def replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Return a ``receive`` that begins with a body that was read already."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
