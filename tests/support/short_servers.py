"""Servers of a few lines, which leave no connection behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: Answer) -> AsyncIterator[int]:
    """Yield the port of a server that deals with each connection as ``answer`` does.

    A connection is closed when ``answer`` ends, and when the server does. Who asked may go at any
    time.
    """
    at_work: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await answer(reader, writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        except asyncio.CancelledError:
            # Nobody waits for what is still to be sent.
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(served(reader, writer))
        at_work.add(task)
        task.add_done_callback(at_work.discard)

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in at_work:
                task.cancel()
            # What went wrong in one of them is the test's.
            await asyncio.gather(*at_work)
