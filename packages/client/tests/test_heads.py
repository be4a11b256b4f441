"""What sends `100 Continue` for ever in place of an answer is left, under every Python."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from every_python import VERSIONS, Pythons
from gridmarkets import EnvoyClient
from gridmarkets.errors import APIError
from messages import saying

SCRIPT = Path(__file__).parent / "endless_script.py"


class Talker:
    """Sends the same for ever to whoever comes, with pauses."""

    def __init__(self, said: bytes, pause: float) -> None:
        self._said, self._pause = said, pause
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._talk, args=(connection,)))
                self._threads[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            while not self._ending.wait(self._pause):
                connection.sendall(self._said)

    def end(self) -> None:
        self._ending.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def talk() -> Iterator[Callable[..., str]]:
    talkers = []

    def begin(said: bytes, pause: float = 0.0) -> str:
        talkers.append(Talker(said, pause))
        return talkers[-1].url

    yield begin
    for each in talkers:
        each.end()


@pytest.fixture(scope="module")
def pythons(request: pytest.FixtureRequest) -> Pythons:
    return Pythons(request.config.cache.mkdir("pythons"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 100 \r\n\r\n" * 1000, b"HTTP/1.1 100 \r\n" + b"a: b\r\n" * 90 + b"\r\n"]
)
def test_endless_informational_answers_end_a_call(
    talk: Callable[..., str], pythons: Pythons, version: str, said: bytes
) -> None:
    url = talk(said)
    told = pythons.run(version, SCRIPT, url).decode().strip()
    assert told == saying("program-not-envoy-answer-never", url)


def test_slow_ones_end_with_the_time_for_an_answer(talk: Callable[..., str]) -> None:
    http = EnvoyClient(url=talk(b"HTTP/1.1 100 \r\n\r\n", 0.1)).http_client
    with pytest.raises(APIError, check=saying("envoy-did-not-answer-within")):
        http.request("POST", "/auth", {}, timeout=1)


def test_a_few_are_passed_over(talk: Callable[..., str]) -> None:
    said = b"HTTP/1.1 100 \r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    assert EnvoyClient(url=talk(said)).http_client.request("GET", "/me").text == "{}"
