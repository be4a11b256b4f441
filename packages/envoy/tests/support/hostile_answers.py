"""Answers of a farm that means harm, or is broken: applications of ASGI for `Fault.kind`.

And what tests with them share: pages of its feed.
"""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any


class Answer:
    """One answer, as bytes that are sent until nobody listens any more.

    Attributes:
        sent: bytes of bodies that went out, of all calls.
        cookies: headers of that name that came.
        ended: whether a call's body was taken to its end.
    """

    def __init__(
        self,
        parts: Iterable[bytes] = (),
        status: int = 200,
        headers: Iterable[tuple[bytes, bytes]] = (),
        pause: float = 0.0,
    ) -> None:
        self.parts, self.status, self.headers, self.pause = parts, status, list(headers), pause
        self.sent = 0
        self.calls = 0
        self.cookies: set[bytes] = set()
        self.ended = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        self.cookies.update(value for name, value in scope["headers"] if name == b"cookie")
        gone = asyncio.create_task(_gone(receive))
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        try:
            async for part in self._paced():
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})
                self.sent += len(part)
            await send({"type": "http.response.body", "body": b""})
            self.ended = True
        finally:
            gone.cancel()

    async def _paced(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part
            await asyncio.sleep(self.pause)


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Endless:
    """The same bytes for ever."""

    def __init__(self, part: bytes) -> None:
        self.part = part

    def __iter__(self) -> Any:
        while True:
            yield self.part


def raw(body: bytes) -> Answer:
    return Answer([body], headers=[(b"content-type", b"application/json")])


def told(body: Any) -> Answer:
    return raw(json.dumps(body).encode())


def packed(body: bytes) -> Answer:
    kind = [(b"content-encoding", b"gzip"), (b"content-type", b"application/json")]
    return Answer([gzip.compress(body)], headers=kind)


def endless(part: bytes = b" " * 2**20, status: int = 200) -> Answer:
    return Answer(Endless(part), status)


def dripping(part: bytes = b" ", pause: float = 0.02) -> Answer:
    return Answer(Endless(part), pause=pause)


def sent_on(status: int, url: str) -> Answer:
    return Answer([b"{}"], status, [(b"location", url.encode())])


OUT = "demo/render_results/out"
ALWAYS = 10**9
LONG_SECONDS = 60.0


def page(*outputs: Any, jobs: Any = (), cursor: int = 1, more: bool = False) -> dict[str, Any]:
    return {
        "farm_id": "farm-1",
        "cursor": cursor,
        "outputs": list(outputs),
        "jobs": list(jobs),
        "more": more,
    }


def row(submission: str, name: str, **changes: Any) -> dict[str, Any]:
    return {
        "submission_id": submission,
        "job_id": f"{submission}-0",
        "frame": 1,
        "path": f"{OUT}/{name}",
        "hash": "0" * 64,
        "size": 1,
        "created_at": "2026-01-02T03:04:05Z",
    } | changes
