"""Who is let in, told or cut off by what accepts connections, whoever really connects."""

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from envoy.process.listening import listen
from farm_protocol import callers
from farm_protocol.callers import MOST_STRANGERS, MOST_TOLD, TOLD_A_SECOND, Acceptor
from farm_protocol.sockets import CAN_TELL, Owners

pytestmark = pytest.mark.skipif(not CAN_TELL, reason="only Linux tells")

OWNER, ROOT, STRANGER = 4711, 0, 60123
LET_IN, TOLD, CUT_OFF = b"welcome", b"HTTP/1.1 403 Forbidden", b""


class Welcoming(asyncio.Protocol):
    """What those meet who are let in."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(LET_IN)
        transport.close()


class Callers:
    """Connections to a acceptor, and whose it takes them for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.uid: Callable[[], int | None] = lambda: STRANGER
        self.now = 1000.0

    def belong_to(self, uid: int | None) -> None:
        self.uid = lambda: uid

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        """Return a connection that is on its way: it may be cut off before it is seen to stand."""
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        made.setblocking(False)
        made.connect_ex((host, self.port))
        return made

    async def heard(self, caller: socket.socket) -> bytes:
        """Return the first line that a caller is answered."""
        loop = asyncio.get_running_loop()
        answer = b""
        with caller:
            try:
                while part := await loop.sock_recv(caller, 65536):
                    answer += part
            except ConnectionError:
                pass
        return answer.partition(b"\r\n")[0]

    async def ask(self, host: str = "127.0.0.1") -> bytes:
        loop = asyncio.get_running_loop()
        caller = self.connect(host)
        try:
            await loop.sock_sendall(caller, b"GET / HTTP/1.1\r\n\r\n")
        except ConnectionError:
            caller.close()
            return CUT_OFF
        return await self.heard(caller)


@pytest.fixture
async def acceptor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callers]:
    with listen(0) as listener:
        made = Callers(listener.port)
        monkeypatch.setattr(Owners, "of_connection", lambda *_: made.uid())
        monkeypatch.setattr(callers, "time", SimpleNamespace(monotonic=lambda: made.now))
        monkeypatch.setattr(callers, "os", SimpleNamespace(geteuid=lambda: OWNER))
        opened = Acceptor(listener.sockets, Welcoming, str)
        yield made
        opened.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_owner_and_root_are_let_in_on_both_addresses(acceptor: Callers, host: str) -> None:
    for uid, expected in ((OWNER, LET_IN), (ROOT, LET_IN), (STRANGER, TOLD), (None, TOLD)):
        acceptor.belong_to(uid)
        assert await acceptor.ask(host) == expected


async def test_who_has_said_all_already_is_let_in(acceptor: Callers) -> None:
    """A caller may close its half of the connection, and wait for the answer."""
    acceptor.uid = lambda: OWNER
    caller = acceptor.connect()
    caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
    caller.shutdown(socket.SHUT_WR)
    assert await acceptor.heard(caller) == LET_IN


async def test_who_breaks_off_while_it_is_looked_up_is_not_let_in(
    acceptor: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address may be another socket's by the time at which the kernel is asked."""
    caller = socket.socket()
    caller.setblocking(False)
    looked = asyncio.Event()

    def break_off() -> int:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.close()
        looked.set()
        return OWNER

    let_in: list[object] = []
    acceptor.uid = break_off
    with monkeypatch.context() as patch:
        patch.setattr(Welcoming, "connection_made", let_in.append)
        caller.connect_ex(("127.0.0.1", acceptor.port))
        await looked.wait()
        acceptor.uid = lambda: STRANGER
        assert await acceptor.ask() == TOLD  # Whatever was begun before is over.
    assert let_in == []


async def test_strangers_are_told_at_a_bounded_rate(acceptor: Callers) -> None:
    assert [await acceptor.ask() for _ in range(MOST_TOLD + 3)] == [TOLD] * MOST_TOLD + [
        CUT_OFF
    ] * 3
    acceptor.now += 2.0
    more = int(2 * TOLD_A_SECOND)
    assert [await acceptor.ask() for _ in range(more + 1)] == [TOLD] * more + [CUT_OFF]
    # What is not used up is not saved for ever.
    acceptor.now += 1e6
    assert [await acceptor.ask() for _ in range(MOST_TOLD + 1)] == [TOLD] * MOST_TOLD + [CUT_OFF]
    acceptor.uid = lambda: OWNER
    assert await acceptor.ask() == LET_IN


async def test_strangers_who_say_nothing_are_few_and_do_not_stay(
    acceptor: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = [acceptor.connect() for _ in range(MOST_STRANGERS)]
    assert await acceptor.ask() == CUT_OFF
    # One that leaves makes room.
    idle.pop().close()
    while await acceptor.ask() == CUT_OFF:
        acceptor.now += 1.0
    monkeypatch.setattr(callers, "PATIENCE_SECONDS", 0.0)
    assert await acceptor.heard(acceptor.connect()) == CUT_OFF
    for each in idle:
        each.close()


async def test_a_closed_door_lets_nobody_in(
    acceptor: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listen(0) as listener:
        other = Acceptor(listener.sockets, Welcoming, str)
        other.close()
        caller = Callers(listener.port)
        made = caller.connect()
        acceptor.uid = lambda: OWNER
        assert await acceptor.ask() == LET_IN
        with pytest.raises(BlockingIOError):
            made.recv(1)
        made.close()


class OutOfDescriptors(socket.socket):
    """A listener for whose connections the system has no descriptor."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tried = 0
        self.was_tried = asyncio.Event()

    def accept(self) -> tuple[socket.socket, Any]:
        self.tried += 1
        self.was_tried.set()
        raise OSError(errno.EMFILE, "no descriptor")


@pytest.mark.parametrize("closed", [False, True])
async def test_without_descriptors_nothing_is_tried_without_pause(
    monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    """Nor ever again once the acceptor is closed."""
    monkeypatch.setattr(callers, "SHORT_SECONDS", 0.0 if closed else 3600.0)
    with listen(0) as listener, OutOfDescriptors(fileno=listener.sockets[0].detach()) as short:
        acceptor = Acceptor([short], Welcoming, str)
        with Callers(listener.port).connect():
            await short.was_tried.wait()
            if closed:
                acceptor.close()
            for _ in range(20):
                await asyncio.sleep(0)
        acceptor.close()
        assert short.tried == 1
