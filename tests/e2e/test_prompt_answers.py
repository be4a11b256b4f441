"""Answers leave at once: the system does not wait for more, or for the other end, before."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from envoy.process import listening
from farm.process import server
from farm_protocol.loops import new_loop


def envoys(_: Path) -> list[socket.socket]:
    return listening.listen(0).sockets


def farms(folder: Path) -> list[socket.socket]:
    return [server.listen("127.0.0.1", 0, folder)]


@pytest.mark.parametrize("listen", [envoys, farms])
def test_small_parts_are_sent_at_once(
    listen: Callable[[Path], list[socket.socket]], tmp_path: Path
) -> None:
    async def options() -> list[int]:
        found: asyncio.Queue[int] = asyncio.Queue()

        class Look(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                connection = transport.get_extra_info("socket")
                found.put_nowait(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        loop = asyncio.get_running_loop()
        seen = []
        for each in listen(tmp_path):
            async with await loop.create_server(Look, sock=each):
                with socket.socket(each.family) as caller:
                    caller.setblocking(False)
                    await loop.sock_connect(caller, each.getsockname()[:2])
                    seen.append(await found.get())
        return seen

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert set(runner.run(options())) == {1}
