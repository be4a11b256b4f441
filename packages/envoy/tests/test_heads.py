"""What a hostile farm sends before it answers. Real sockets: no web server would send it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from envoy_fake_farm import EMAIL, PASSWORD
from envoy_start import Start
from messages import says
from short_servers import listening

ACCOUNT = {"email": EMAIL, "access_key": "ek_1"}


class Talkative:
    """A farm that says something else before each answer.

    Attributes:
        sent: bytes of what it said before answers that nobody took.
        connections: how many were made.
        answers: how many were given.
    """

    def __init__(self, said: bytes, times: int) -> None:
        self._said, self._times = said, times
        self.url = ""
        self.sent = self.connections = self.answers = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Talkative"]:
        async with listening(self._serve) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = head.partition("content-length: ")[2].split() or ["0"]
            await reader.readexactly(int(length[0]))
            await self._answer(writer)

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        for number in range(self._times):
            writer.write(self._said)
            self.sent += len(self._said)
            if number % (2**16 // len(self._said)) == 0:
                await writer.drain()
        content = json.dumps(ACCOUNT).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)
        self.answers += 1


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 100 \r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
        b"HTTP/1.1 199 " + b"x" * 60_000 + b"\r\n\r\n",
    ],
    ids=["short", "hints", "long"],
)
async def test_endless_informational_answers_end_the_call(start: Start, said: bytes) -> None:
    async with Talkative(said, 10**9).serving() as farm:
        studio = await start(farm_url=farm.url)
        body = {"Username": EMAIL, "AccessKey": PASSWORD}
        answer = await studio.http.post("/auth", json=body)
        assert answer.status_code == 503, answer.text
        assert says(answer.json()["message"], "too-much-comes-before-answer")
        # What lies in buffers on the way has gone out, too.
        assert farm.sent < 2**25


async def test_a_few_are_passed_over_before_each_answer_of_a_connection(start: Start) -> None:
    async with Talkative(b"HTTP/1.1 102 Processing\r\n\r\n", 20).serving() as farm:
        studio = await start(farm_url=farm.url)
        for number in range(1, 80):
            body = {"Username": EMAIL, "AccessKey": PASSWORD}
            assert (await studio.http.post("/auth", json=body)).status_code == 200
            assert farm.answers >= number
        assert farm.connections < farm.answers
