"""A fake farm that runners call: it turns every one away once the test opens it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class FakeFarm(ThreadingHTTPServer):
    """Notes who knocks, and lets them wait.

    Attributes:
        tokens: of those who knocked.
        knocked: once for each.
        open: set it to turn them away, so that they end.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Knocker)
        self.tokens: list[str] = []
        self.knocked = threading.Semaphore(0)
        self.open = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Knocker(BaseHTTPRequestHandler):
    server: FakeFarm

    def do_GET(self) -> None:
        self.server.tokens.append(self.headers["Authorization"].removeprefix("Bearer "))
        self.server.knocked.release()
        self.server.open.wait(60)
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def fake_farm() -> Iterator[FakeFarm]:
    server = FakeFarm()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.open.set()
    server.shutdown()
    thread.join()
    server.server_close()
