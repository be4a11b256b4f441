"""Connections that are too many, too slow or too large, on real sockets."""

import contextlib
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from answers import heard
from http_gate.addresses import counted_as
from http_gate.connections import Limits, known, protocol
from http_gate.rate_limited_log import SECONDS, RateLimit
from starlette.types import Receive, Scope, Send

ENOUGH = 60.0
"""Seconds; what is tested takes one or two."""


class Application:
    """Answers by path: its body's size, a long answer, or only when it is let go.

    Whatever stands after a question mark says who asks.
    """

    def __init__(self) -> None:
        self.heads: list[int] = []
        self.trailed: list[list[tuple[bytes, bytes]]] = []  # headers once a body has ended
        self.go = threading.Event()
        self.holding = threading.Semaphore(0)
        self.failed = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        self.heads.append(len(scope["headers"]))
        path, body = scope["path"], b""
        if scope["query_string"]:
            known(scope, scope["query_string"].decode())
        if path == "/size":
            size, more = 0, True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self.failed.set()
                    return
                size += len(message["body"])
                more = message["more_body"]
            self.trailed.append(list(scope["headers"]))
            body = str(size).encode()
        elif path == "/held":
            import asyncio

            self.holding.release()
            await asyncio.to_thread(self.go.wait, ENOUGH)
            body = b"let go"
        elif path == "/busy":
            self.holding.release()
            time.sleep(2.5)  # noqa: ASYNC251 - as whatever keeps the loop busy
        elif path == "/long":
            body = bytes(64 << 20)
        status = 403 if path == "/refused" else 200
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for start in range(0, len(body), 1 << 20):
            piece = body[start : start + (1 << 20)]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Server:
    def __init__(self, port: int, application: Application, kind: Any) -> None:
        self.port = port
        self.application = application
        self.kind = kind

    @contextlib.contextmanager
    def call(self, data: bytes = b"") -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), ENOUGH) as made:
            made.sendall(data)
            yield made

    def get(self, path: str = "/") -> bytes:
        with self.call(request(path, "Connection: close")) as made:
            return everything(made)


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def everything(made: socket.socket) -> bytes:
    """Return what comes until the connection ends, however it does."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := made.recv(1 << 16):
            got += piece
    return got


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with contextlib.ExitStack() as stack:

        def begin(**limits: Any) -> Server:
            application = Application()
            kind = protocol(Limits(**limits))
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            config = uvicorn.Config(application, http=kind, log_config=None, lifespan="off")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()

            def end() -> None:
                application.go.set()
                server.should_exit = server.force_exit = True
                thread.join(ENOUGH)

            stack.callback(end)
            return Server(listener.getsockname()[1], application, kind)

        yield begin


def test_more_connections_than_are_allowed_hold_up_nobody(serve: Callable[..., Server]) -> None:
    server = serve(connections=20, head_seconds=ENOUGH)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(server.call(b"GET / HT"))
            if _ % 20 == 0:
                assert b" 200 OK" in server.get()
        assert b" 200 OK" in server.get()


def test_those_that_are_being_answered_are_left_alone(serve: Callable[..., Server]) -> None:
    server = serve(connections=4)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(server.call(request("/held"))) for _ in range(4)]
        for _ in held:
            assert server.application.holding.acquire(timeout=ENOUGH)
        assert server.get().startswith(b"HTTP/1.1 503 ")
        server.application.go.set()
        for each in held:
            assert each.recv(1000).startswith(b"HTTP/1.1 200 ")
        # They are idle now, and make room.
        assert b" 200 OK" in server.get()


def test_what_is_no_request_does_not_fill_the_log(
    serve: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    for _ in range(30):
        with server.call(b"nonsense\r\n\r\n") as made:
            assert everything(made).startswith(b"HTTP/1.1 400 ")
    assert len([each for each in caplog.records if each.name == "uvicorn.error"]) == 1


def test_the_log_says_how_many_lines_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    logger = logging.Logger("limited")
    logger.addHandler(caplog.handler)
    logger.addFilter(RateLimit(lambda: now[0]))
    for now[0] in (0.0, 1.0, SECONDS - 1, SECONDS + 1, SECONDS + 2, 3 * SECONDS, 9 * SECONDS):
        logger.warning("this")
        logger.warning("that")
        logger.error("a mistake")
    counts = [each.getMessage() for each in caplog.records if "this" in each.getMessage()]
    assert [re.sub(r"\D", "", each) for each in counts] == ["", "2", "1", ""]
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 7


def test_an_address_has_its_share(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from other machines: loopback is not counted, since everybody here is behind it."""
    monkeypatch.setattr("http_gate.connections.counted_as", lambda host, _: host)
    server = serve(connections=50, per_address=2)
    other = socket.socket()
    other.bind(("127.0.0.2", 0))
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(server.call(request("/held")))
            assert server.application.holding.acquire(timeout=ENOUGH)
        assert server.get().startswith(b"HTTP/1.1 503 ")
        stack.enter_context(other)
        other.settimeout(ENOUGH)
        other.connect(("127.0.0.1", server.port))
        other.sendall(request("/"))
        assert b" 200 OK" in other.recv(1000)


def test_what_counts_as_one_address() -> None:
    counted = {host: counted_as(host, frozenset({"10.0.0.1", "fd00::1"})) for host in (
        "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.0.0.1", "fd00::1", "",
        "10.0.0.2", "::ffff:10.0.0.2", "2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1",
    )}  # fmt: skip
    assert {host for host, name in counted.items() if not name} == {
        "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.0.0.1", "fd00::1", "",
    }  # fmt: skip
    assert counted["10.0.0.2"] == counted["::ffff:10.0.0.2"] == "10.0.0.2"
    assert counted["2001:db8::1"] == counted["2001:db8::ffff:1"] != counted["2001:db8:0:1::1"]


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_must_come_in_time(serve: Callable[..., Server], sent: bytes) -> None:
    server = serve(head_seconds=0.5)
    with server.call(sent) as made:
        assert everything(made).startswith(b"HTTP/1.1 408 ")
    assert not server.application.heads


def test_a_head_that_trickles_is_no_head(serve: Callable[..., Server]) -> None:
    server = serve(head_seconds=1.0)
    stop = threading.Event()
    with server.call(b"GET / HTTP/1.1\r\n") as made:

        def trickle() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.05):
                    made.sendall(b"a: b\r\n"[:3] + b"b\r\n")

        thread = threading.Thread(target=trickle)
        thread.start()
        assert b"408" in everything(made) or not server.application.heads
        stop.set()
        thread.join()


def test_also_the_second_head_of_a_connection(serve: Callable[..., Server]) -> None:
    server = serve(head_seconds=0.5, idle_seconds=ENOUGH)
    with server.call(request("/")) as made:
        assert b" 200 OK" in made.recv(1000)
        made.sendall(b"GET / HT")
        assert everything(made).startswith(b"HTTP/1.1 408 ")


def test_nobody_pays_for_a_busy_server(serve: Callable[..., Server]) -> None:
    """What arrived in time, and was not read in time, is answered."""
    server = serve(head_seconds=1.0)
    with server.call(b"GET / HTTP/1.1\r\n") as made, server.call(request("/busy")):
        assert server.application.holding.acquire(timeout=ENOUGH)
        made.sendall(b"Host: x\r\n\r\n")
        assert b" 200 OK" in made.recv(1000)


def test_an_idle_connection_ends(serve: Callable[..., Server]) -> None:
    server = serve(idle_seconds=0.3)
    with server.call(request("/")) as made:
        assert everything(made).count(b"HTTP/1.1 ") == 1


CHUNKED = request("/size", "Transfer-Encoding: chunked", method="POST")
MUCH = [b"b" * 65_536] * 5000

FLOODS = {
    "lines": [b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 1000],
    "at once": [b"GET / HTTP/1.1\r\n", b"a: " + b"b" * 60_000 + b"\r\n\r\n"],
    "value": [b"GET / HTTP/1.1\r\na: ", *MUCH],
    "name": [b"GET / HTTP/1.1\r\n", *MUCH],
    "address": [b"GET /", *MUCH],
    "method": MUCH,
    "nothing": [b"\r\n" * 32_768] * 5000,
    "trailers": [CHUNKED, b"0\r\n", *[b"a: b\r\n" * 9_000] * 5000],
    "trailer": [CHUNKED, b"0\r\na: ", *MUCH],
    "extension": [CHUNKED, b"1;", *MUCH],
    "pipeline": [request("/held") * 200],
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_head_has_a_size(serve: Callable[..., Server], flood: list[bytes]) -> None:
    server = serve(head_seconds=ENOUGH)
    taken = 0
    with server.call() as made:
        made.settimeout(5)
        with contextlib.suppress(OSError):
            for piece in flood:
                made.sendall(piece)
                taken += len(piece)
        made.settimeout(ENOUGH)
        answer = everything(made)
    assert answer == b"" or answer.split()[1] in (b"400", b"431")
    assert taken < 64 << 20  # The rest of what was sent is in the system's buffers.
    assert b" 200 OK" in server.get()


@pytest.mark.parametrize("pieces", [1, 2])
def test_trailers_are_no_headers(serve: Callable[..., Server], pieces: int) -> None:
    server = serve()
    head = request("/size", "Transfer-Encoding: chunked", "X-Forwarded-For: a", method="POST")
    rest = b"2\r\n{}\r\n0\r\nX-Forwarded-For: b\r\nAuthorization: Bearer c\r\n\r\n"
    with server.call(head + rest if pieces == 1 else head) as made:
        if pieces == 2:
            while not server.application.heads:
                time.sleep(0.01)
            made.sendall(rest)
        made.sendall(request("/size", "X-Forwarded-For: d", "Connection: close"))
        assert everything(made).count(b" 200 OK") == 2
    first, second = (dict(each) for each in server.application.trailed)
    assert (first[b"x-forwarded-for"], second[b"x-forwarded-for"]) == (b"a", b"d")
    assert b"authorization" not in first | second


@pytest.mark.parametrize("trailers", [b"a: b\r\n" * 100, b"a: " + b"b" * 32_000 + b"\r\n"])
def test_trailers_count_as_lines_of_the_head(serve: Callable[..., Server], trailers: bytes) -> None:
    head = request("/size", "Transfer-Encoding: chunked", "b: " + "b" * 1000, method="POST")
    with serve().call(head + b"0\r\n" + trailers + b"\r\n") as made:
        assert b" 431 " in everything(made)


def chunks(count: int, size: int) -> bytes:
    return (f"{size:x}\r\n".encode() + b"x" * size + b"\r\n") * count


@pytest.mark.parametrize("path", ["/size", "/refused"])
@pytest.mark.parametrize(("first", "then"), [(0, (100_000, 1)), (10, (20_000, 60))])
def test_a_body_in_very_many_small_chunks_is_refused(
    serve: Callable[..., Server], path: str, first: int, then: tuple[int, int]
) -> None:
    server = serve()
    with server.call(request(path, "Transfer-Encoding: chunked", method="POST")) as made:
        with contextlib.suppress(OSError):
            made.sendall(chunks(first, 1000) + chunks(*then) + b"0\r\n\r\n")
        answer = everything(made)
    # Whoever sends on after that may not hear why.
    assert answer == b"" or answer.split()[1] in (b"403", b"413")
    assert not server.application.trailed  # The application never had all of it.
    assert b" 200 OK" in server.get()


@pytest.mark.parametrize(("count", "size"), [(999, 1), (20_000, 64), (3, 1 << 20)])
def test_chunks_that_hold_something_are_taken(
    serve: Callable[..., Server], count: int, size: int
) -> None:
    server = serve()
    with server.call(CHUNKED) as made:
        for _ in range(2):  # Each body is counted for itself.
            made.sendall(chunks(count, size) + b"0\r\n\r\n")
            assert heard(made, f"\r\n\r\n{count * size}".encode())
            made.sendall(CHUNKED)


def test_a_body_must_get_on(serve: Callable[..., Server]) -> None:
    server = serve(body_seconds=0.5)
    for path in ("/size", "/size?ann"):
        with server.call(request(path, "Content-Length: 10", method="POST") + b"12345") as made:
            assert everything(made).startswith(b"HTTP/1.1 408 ")
        assert server.application.failed.wait(ENOUGH)
        server.application.failed.clear()


def test_a_large_body_may_take_long_as_long_as_it_gets_on(serve: Callable[..., Server]) -> None:
    server = serve(body_seconds=1.0, body_bytes=100, head_seconds=0.5)
    with server.call(request("/size?ann", "Content-Length: 3000", method="POST")) as made:
        for _ in range(30):
            made.sendall(bytes(100))
            time.sleep(0.1)
        assert heard(made, b"\r\n\r\n3000")


def test_a_strangers_body_makes_room_and_a_known_senders_does_not(
    serve: Callable[..., Server],
) -> None:
    server = serve(connections=4)
    with contextlib.ExitStack() as stack:
        head = request("/size?ann", "Content-Length: 10", method="POST") + b"12345"
        mine = stack.enter_context(server.call(head))
        while not server.application.heads:
            time.sleep(0.01)
        for _ in range(20):
            head = request("/size", "Content-Length: 10", method="POST")
            stack.enter_context(server.call(head))
        assert b" 200 OK" in server.get()
        mine.sendall(b"67890")
        assert heard(mine, b"\r\n\r\n10")


UPLOAD = ("Content-Length: 10", "Expect: 100-continue")


def begun(server: Server, stack: contextlib.ExitStack, path: str, *headers: str) -> socket.socket:
    """Send a request; return when the application has it."""
    made = stack.enter_context(server.call(request(path, *headers, method="POST")))
    assert made.recv(12, socket.MSG_PEEK)
    return made


@pytest.mark.parametrize(
    ("path", "headers", "ends"), [("/size", UPLOAD, b" 503 "), ("/long", (), b" 200 ")]
)
def test_whoever_holds_most_loses_what_was_held_for_longest(
    serve: Callable[..., Server], path: str, headers: tuple[str, ...], ends: bytes
) -> None:
    """Uploads, and answers that are not taken."""
    server = serve(connections=20, body_seconds=10 * ENOUGH, answer_seconds=10 * ENOUGH)
    with contextlib.ExitStack() as stack:
        of_bob = [begun(server, stack, "/size?bob", *UPLOAD) for _ in range(5)]
        of_ann = [begun(server, stack, f"{path}?ann", *headers) for _ in range(13)]
        assert b" 200 OK" in server.get("/size?carl")
        end = everything(of_ann[0])
        assert ends in end
        assert len(end) < 64 << 20
        for each in of_bob:
            assert b" 100 " in each.recv(1000)
            each.sendall(bytes(10))
            assert heard(each, b"\r\n\r\n10")


def test_an_answer_that_no_stranger_takes_makes_room(serve: Callable[..., Server]) -> None:
    server = serve(connections=4, answer_seconds=10 * ENOUGH)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            begun(server, stack, "/long")
        until = time.monotonic() + ENOUGH
        while b" 200 OK" not in server.get():  # Until all that fits is on its way.
            assert time.monotonic() < until
            time.sleep(0.1)


def test_a_known_sender_without_a_request_makes_room(serve: Callable[..., Server]) -> None:
    server = serve(connections=4, idle_seconds=10 * ENOUGH, head_seconds=10 * ENOUGH)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            made = stack.enter_context(
                server.call(request("/size?ann", "Content-Length: 1") + b"1")
            )
            assert b" 200 OK" in made.recv(1000)
        assert b" 200 OK" in server.get()


def test_an_answer_that_nobody_takes_is_given_up(serve: Callable[..., Server]) -> None:
    server = serve(answer_seconds=0.5, connections=1)
    with server.call(request("/long?ann")) as made:
        # The only connection that there may be: until it is given up, others are refused.
        until = time.monotonic() + ENOUGH
        while b" 200 OK" not in server.get():
            assert time.monotonic() < until
            time.sleep(0.1)
        assert len(everything(made)) < 64 << 20


def test_a_refused_body_is_not_read_and_the_answer_arrives(serve: Callable[..., Server]) -> None:
    server = serve()
    with server.call(request("/refused", f"Content-Length: {1 << 40}", method="POST")) as made:
        made.settimeout(5)
        taken = 0
        with contextlib.suppress(OSError):
            for _ in range(5000):
                made.sendall(bytes(65_536))
                taken += 65_536
        made.settimeout(ENOUGH)
        assert made.recv(1000).startswith(b"HTTP/1.1 403 ")
        assert taken < 64 << 20


def test_connections_are_forgotten_when_they_end(serve: Callable[..., Server]) -> None:
    server = serve()
    for _ in range(50):
        server.get("/size?ann")
        with server.call(b"GET"):
            pass
    limiter = server.kind.limiter
    until = time.monotonic() + ENOUGH
    while (
        limiter._inside
        or limiter._waiting
        or limiter._timed
        or limiter._of_address
        or limiter._held
    ):
        assert time.monotonic() < until
        time.sleep(0.05)
