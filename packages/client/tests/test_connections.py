"""How the client reaches Envoy, past proxies, and what it makes of connections that go wrong."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from envoy_stand_in import StandIn
from gridmarkets import APIError, EnvoyClient
from messages import saying, says


def test_when_envoy_is_not_running_the_message_says_how_to_start_it(unused_port: int) -> None:
    client = EnvoyClient(url=f"http://localhost:{unused_port}")
    for call in (client.get_user_info, lambda: client.authenticate("a", "b")):
        with pytest.raises(APIError) as caught:
            call()
        assert says(caught.value, "no-envoy-at-address", f"http://localhost:{unused_port}")

        assert caught.value.http_status is None


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Flaky:
    """A server that closes its first two connections without a word, then answers."""

    def __init__(self) -> None:
        self.count = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection:
                if connection.recv(65536) == b"stop":
                    return
                self.count += 1
                if self.count > 2:
                    content = json.dumps({"data": {"name": "me"}}).encode()
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n"
                    connection.sendall(head.encode() + content)

    def close(self) -> None:
        with socket.create_connection(self.listener.getsockname()) as connection:
            connection.sendall(b"stop")
        self.thread.join()
        self.listener.close()


@pytest.fixture
def flaky() -> Iterator[Flaky]:
    server = Flaky()
    yield server
    server.close()


def test_a_get_survives_a_broken_connection(flaky: Flaky) -> None:
    assert EnvoyClient(url=flaky.url).get_user_info() == {"name": "me"}
    assert flaky.count == 3


def test_a_post_is_not_repeated_after_a_broken_connection(flaky: Flaky) -> None:
    with pytest.raises(APIError, check=saying("envoy-gave-no-answer")):
        EnvoyClient(url=flaky.url).authenticate("a", "b")
    assert flaky.count == 1


def test_a_silent_envoy_is_a_timeout_not_a_hang() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = EnvoyClient(url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(APIError, check=saying("envoy-did-not-answer-within")):
            client.http_client.request("GET", "/user-info", timeout=0.1)


def test_proxies_of_the_environment_are_not_for_envoy(
    envoy: StandIn, client: EnvoyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert client.get_user_info()["name"] == "Ärtist"


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "localhost.",
            "LOCALHOST",
            "sub.localhost",
            "\uff4cocalhost",
            "u:p@localhost",
        ),
        *("127.0.0.1", "127.1", "0.0.0.0", "2130706433", "0x7f.1", "[::1]", "[::]"),
        *("[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]"),
    ],
)
def test_no_spelling_of_this_machine_leads_to_a_proxy(
    envoy: StandIn, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    came = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        port = envoy.url.rpartition(":")[2]
        # The client's own address as well as the asked one, in both orders.
        for own, asked in ((host, host), ("envoy.example.com", host)):
            http = EnvoyClient(url=f"http://{own}:{port}").http_client
            with suppress(APIError):
                http.request("GET", f"http://{asked}:{port}/user-info", timeout=5)
        proxy.setblocking(False)
        with suppress(BlockingIOError):
            came.append(proxy.accept())
    assert came == []


def test_what_is_elsewhere_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        http = EnvoyClient(url="http://localhost:1").http_client
        with pytest.raises(APIError):
            http.request("POST", "http://127.example.com/auth", {}, timeout=0.1)
        proxy.setblocking(False)
        proxy.accept()[0].close()


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://[",
        "ftp://localhost",
        "http://local host",
        "http://a\0b",
        "http://localhost/\0",
    ],
)
def test_an_unusable_url_is_an_api_error(url: str) -> None:
    with pytest.raises(APIError):
        EnvoyClient(url=url).get_user_info()


def test_an_answer_without_an_end_is_no_envoy(
    envoy: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridmarkets._requestor.MOST_BYTES", 1000)
    envoy.answers["GET", "user-info"] = (200, b"[" + b" " * 10_000_000 + b"]")
    with pytest.raises(APIError, check=saying("program-not-envoy-answer-never")):
        EnvoyClient(url=envoy.url).get_user_info()


def test_an_answer_that_is_nested_without_end_is_no_envoy(envoy: StandIn) -> None:
    envoy.answers["GET", "user-info"] = (200, b"[" * 100_000)
    with pytest.raises(APIError, check=saying("program-not-envoy-answered-with", 200)):
        EnvoyClient(url=envoy.url).get_user_info()
