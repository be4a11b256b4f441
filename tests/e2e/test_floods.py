"""Connections and requests that are meant to stop the services: both go on answering."""

import contextlib
import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from http_gate.descriptors import raise_limit

from .conftest import EMAIL, PASSWORD, Studio

MANY = 1100
PIECES = 4800
"""Of 64 KiB: 300 MiB."""


@pytest.fixture
def addresses(studio: Studio) -> dict[str, int]:
    """Return the ports of Envoy and of its farm."""
    farm = httpx.URL(studio.get("/envoy/health")["farm_url"])
    assert farm.port is not None
    return {"envoy": studio.port, "farm": farm.port}


def paths(name: str, port: int) -> str:
    return f"http://127.0.0.1:{port}" + ("/envoy/health" if name == "envoy" else "/v1/health")


@contextlib.contextmanager
def half_open(port: int, count: int = MANY) -> Iterator[list[socket.socket]]:
    raise_limit()
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), 60)))
            made[-1].sendall(b"POST / HTTP/1.1\r\nHost: local")
        yield made


@pytest.mark.parametrize("name", ["envoy", "farm"])
def test_half_open_connections_hold_up_nobody(addresses: dict[str, int], name: str) -> None:
    port = addresses[name]
    with httpx.Client(timeout=60) as client, half_open(port):
        for _ in range(20):
            assert client.get(paths(name, port)).status_code == 200
            assert httpx.get(paths(name, port), timeout=60).status_code == 200


@pytest.mark.parametrize("name", ["envoy", "farm"])
def test_large_heads_are_not_read(addresses: dict[str, int], name: str) -> None:
    port = addresses[name]
    (service,) = [
        each.pid
        for each in psutil.net_connections("tcp4")
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN
    ]
    before = psutil.Process(service).memory_info().rss
    with socket.create_connection(("127.0.0.1", port), 5) as made:
        taken = 0
        with contextlib.suppress(OSError):
            made.sendall(b"GET / HTTP/1.1\r\nX: ")
            for _ in range(PIECES):
                made.sendall(b"x" * 65_536)
                taken += 65_536
    assert taken < 64 << 20
    assert psutil.Process(service).memory_info().rss - before < 64 << 20
    assert httpx.get(paths(name, port), timeout=60).status_code == 200


def test_large_bodies_for_envoy_are_not_read(addresses: dict[str, int]) -> None:
    port = addresses["envoy"]
    for path in ("/auth", "/envoy/stop", "/job-action", "/no-such-page"):
        head = f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 16777216\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), 60) as made:
            made.sendall(head.encode())
            assert made.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_guesses_through_envoy_do_not_shut_out_its_artist(studio: Studio) -> None:
    def sign_in(password: str) -> int:
        body = {"Username": EMAIL, "AccessKey": password}
        return httpx.post(f"{studio.url}/auth", json=body, timeout=60).status_code

    assert sign_in(PASSWORD) == 200
    statuses = [sign_in(f"guess {number}") for number in range(10)]
    assert set(statuses) == {401, 429}
    assert statuses[-1] == 429
    for _ in range(3):
        assert sign_in(PASSWORD) == 200


def test_where_few_files_may_be_open(tmp_path: Path) -> None:
    """Connections never take the files that the database needs."""
    command = [sys.executable, "-m", "farm", "serve", "--embedded", "--data-dir", str(tmp_path)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512)),
    ) as farm:
        try:
            assert farm.stdout is not None
            url = httpx.URL(json.loads(farm.stdout.readline())["url"])
            assert url.port is not None
            login = {"email": "ann@example.com", "secret": "guess"}
            with half_open(url.port):
                for _ in range(5):
                    answer = httpx.post(f"{url}/v1/login", json=login, timeout=60)
                    assert answer.status_code == 401
        finally:
            farm.terminate()
            farm.wait(60)
