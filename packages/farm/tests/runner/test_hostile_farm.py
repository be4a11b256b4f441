"""What answers a runner may not be its farm, or be broken: it takes no more than it asked for."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from farm.runner import farm_client
from farm.runner.farm_client import Farm, FarmGoneError, RefusedError
from farm_protocol.hashing import hash_file
from farm_protocol.runner import LogChunk
from messages import saying
from other_users import needs_others, own_address, stranger
from waiting import until

from .conftest import Rig

HASH = "0" * 64
Part = bytes | Callable[[], bytes]


class Liar:
    """Answers every call in the same way: a status, headers, and parts for ever or once."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.part, self.times = b"", 1
        self.sent = 0
        self.calls: list[str] = []
        self.cookies: list[str] = []
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                liar.calls.append(f"{self.command} {self.path}")
                liar.cookies += self.headers.get_all("Cookie", [])
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(liar.status)
                for name, value in liar.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for _ in range(liar.times):
                        self.wfile.write(liar.part)
                        liar.sent += len(liar.part)
                except OSError:
                    pass

            do_GET = do_POST = do_PUT = _serve

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def farm(liar: Liar) -> Iterator[Farm]:
    made = Farm(liar.url, "token", give_up=0.3)
    yield made
    made.close()


@pytest.mark.parametrize("status", [300, 302, 304, 307, 308])
def test_a_result_is_not_sent_before_the_farm_says_so(
    farm: Farm, liar: Liar, tmp_path: Path, status: int
) -> None:
    liar.status, liar.headers = status, {"Location": f"{liar.url}/elsewhere"}
    (tmp_path / "f.png").write_bytes(b"pixels")
    with pytest.raises(RefusedError):
        farm.upload(HASH, tmp_path / "f.png")
    assert liar.calls == [f"PUT /v1/runner/blobs/{HASH}"]


def test_a_packed_answer_is_not_unpacked(farm: Farm, liar: Liar) -> None:
    liar.headers = {"Content-Encoding": "gzip"}
    liar.part = gzip.compress(b" " * 50_000_000)
    with pytest.raises(FarmGoneError, check=saying("answer-compressed-unasked")):
        farm.job()


@pytest.mark.parametrize("status", [200, 400])
def test_an_endless_answer_is_read_to_a_limit(
    farm: Farm, liar: Liar, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(farm_client, "_MOST_JOB_BYTES", 2**22)
    liar.status, liar.part, liar.times = status, b" " * 2**16, 10**6
    with pytest.raises(FarmGoneError, check=saying("answer-larger-than-bytes")):
        farm.job()
    assert liar.sent < 2**27


def test_cookies_are_not_kept(farm: Farm, liar: Liar) -> None:
    liar.headers = {"Set-Cookie": "c=1; Path=/; Max-Age=9999"}
    for _ in range(2):
        with pytest.raises(RefusedError):
            farm.job()
    assert len(liar.calls) == 2
    assert not liar.cookies


def test_an_answer_that_makes_no_sense_is_a_message(farm: Farm, liar: Liar) -> None:
    liar.part = b"[" * 100_000
    with pytest.raises(RefusedError, check=saying("farms-answer-has-faults")):
        farm.job()


def test_a_file_is_not_larger_than_was_said(farm: Farm, liar: Liar, tmp_path: Path) -> None:
    liar.part, liar.times = b"x" * 2**16, 10**6
    farm.download(f"blobs/{HASH}", 10, tmp_path / "file")
    assert 10 < (tmp_path / "file").stat().st_size <= 2**21
    assert liar.sent < 2**27


# Who has taken the place of a farm that crashed


@needs_others
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "own"])
def test_a_stranger_at_the_farms_address_is_shown_nothing(tmp_path: Path, host: str) -> None:
    named = own_address() if host == "own" else host
    (tmp_path / "f.png").write_bytes(b"pixels")
    pixels, _ = hash_file(tmp_path / "f.png")
    with stranger("127.0.0.1" if host == "localhost" else named) as (port, came):
        farm = Farm(f"http://{named}:{port}", "token", give_up=0.3)
        for call in (
            farm.job,
            farm.ready_soon,
            lambda: farm.heartbeat("c1", 1),
            lambda: farm.log("c1", LogChunk(offset=0, text="x")),
            lambda: farm.upload(pixels, tmp_path / "f.png"),
            lambda: farm.download(f"blobs/{HASH}", 10, tmp_path / "file"),
        ):
            with pytest.raises(FarmGoneError, check=saying("another-program-at-farms-address")):
                call()
        farm.close()
    assert came == ["nobody came"]


@needs_others
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "own"])
def test_a_stranger_who_comes_after_the_look_is_shown_nothing(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens when the runner looks, and another user does when it connects."""
    monkeypatch.setattr(farm_client, "is_another_users", lambda _: False)
    named = own_address() if host == "own" else host
    with (
        stranger("127.0.0.1" if host == "localhost" else named) as (port, came),
        closing(Farm(f"http://{named}:{port}", "token", give_up=0.0)) as farm,
    ):
        for call in (farm.job, lambda: farm.heartbeat("c1", 1)):
            with pytest.raises(FarmGoneError, check=saying("another-program-at-farms-address")):
                call()
    assert came == ["caught b''"]


@needs_others
def test_a_stranger_on_the_port_of_a_farm_that_crashed_gets_neither_token_nor_results(
    rig: Rig,
) -> None:
    farm = rig.farm("slow.blend", [[1, 2, 3]])
    runner = rig.start(farm)
    farm.wait(lambda: 1 in farm.frames)
    farm.down()
    with stranger("127.0.0.1", int(farm.url.rpartition(":")[2])) as (_, came):
        # The renderer goes on meanwhile, so there is a result that waits to be sent.
        until(lambda: any(rig.work_dir.rglob("*0003*.png")))
        assert runner.poll() is None
    assert came == ["nobody came"]
    farm.up()
    assert runner.wait(60) == 0
    assert farm.frames.keys() == {1, 2, 3}
    assert farm.problems == []


@pytest.fixture
def talkative() -> Iterator[str]:
    """What says informational answers without pause, and never gets to its own."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65_536)
                while True:
                    connection.sendall(b"HTTP/1.1 103 \r\n\r\n" * 1000)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_endless_informational_answers_end_the_call(talkative: str, tmp_path: Path) -> None:
    with closing(Farm(talkative, "token", give_up=0.3)) as farm:
        with pytest.raises(FarmGoneError, check=saying("too-much-comes-before-answer")):
            farm.job()
        # Of a store elsewhere as well.
        with pytest.raises(FarmGoneError, check=saying("too-much-comes-before-answer")):
            farm.download(f"{talkative}/blob", 1, tmp_path / "blob")
