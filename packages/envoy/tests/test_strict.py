"""The strict mode: who does not show the token of the data folder gets nothing. Real processes."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from envoy.process.token_file import Token
from envoy.web.guard import Guard
from envoy_fake_farm import FakeFarm
from messages import saying, says
from other_users import OTHER, needs_others, started_as_other
from starlette.types import Message, Receive, Scope, Send

ENVOY = [sys.executable, "-m", "envoy"]

needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")


class Strict:
    """Envoys on one data folder, one after the other."""

    def __init__(self, root: Path, farm_url: str) -> None:
        self.data = root / "envoy"
        self.token_path = self.data / "token"
        self.options = ["--port", "0", "--data-dir", str(self.data), "--farm", farm_url]
        self.port = 0
        self.said = ""

    @contextmanager
    def up(self, *options: str, umask: int = -1, **environment: str) -> Iterator[httpx.Client]:
        """Run one; yields a client that shows nothing."""
        command = [*ENVOY, "up", *self.options, *options]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            umask=umask,
            env={**os.environ, **environment},
        ) as process:
            try:
                assert process.stdout is not None
                self.said = process.stdout.readline()
                address = next(word for word in self.said.split() if word.startswith("http"))
                self.port = int(address.rsplit(":", 1)[1])
                with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60) as http:
                    yield http
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.stdout is not None
                self.said += process.stdout.read()

    @property
    def token(self) -> str:
        return self.token_path.read_text().strip()

    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ENVOY, *arguments, "--port", str(self.port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **environment},
        )


@pytest.fixture
def strict(tmp_path: Path, farm: FakeFarm) -> Strict:
    return Strict(tmp_path, farm.url)


def assert_refused(answer: httpx.Response, strict: Strict) -> None:
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    told = answer.json()
    assert (told["code"], told["errors"], told["retry"]) == ("token_required", {}, False)
    assert str(strict.token_path) in told["message"]
    assert strict.token not in answer.text


def test_by_default_there_is_no_token(strict: Strict) -> None:
    with strict.up() as http:
        assert http.get("/envoy/health").status_code == 200
        assert http.get("/envoy/health", headers={"Authorization": "Bearer x"}).status_code == 200
    assert not strict.token_path.exists()
    assert "token" not in strict.said


def test_no_route_answers_who_does_not_show_the_token(strict: Strict, farm: FakeFarm) -> None:
    with strict.up("--strict") as http:
        described = http.get("/envoy/openapi.json", headers=strict.bearer()).json()
        calls = [
            (method.upper(), path)
            for path, operations in described["paths"].items()
            for method in operations
        ]
        assert len(calls) > 10
        calls += [("GET", "/envoy/openapi.json"), ("GET", "/none"), ("OPTIONS", "/auth")]
        for method, path in calls:
            body: dict[str, Any] = {"json": {}} if method != "GET" else {}
            assert_refused(http.request(method, path, **body), strict)
        assert http.get("/envoy/health", headers=strict.bearer()).json()["signed_in_as"] == ""
    assert farm.count("POST", "/v1/login") == 0


def test_only_the_very_token_is_one(strict: Strict) -> None:
    with strict.up("--strict") as http:
        token = strict.token
        right = [f"Bearer {token}", f"bearer {token}", f"BEARER  {token}"]
        wrong = ["", "Bearer", "Basic", token, f"Basic {token}", f"Bearer{token}"]
        wrong += [f"Bearer {token[:-1]}", f"Bearer {token}x", f"Bearer x{token}"]
        wrong += [
            f"Bearer {token.swapcase()}",
            f"Bearer {token} {token}",
            f"Bearer {token},{token}",
        ]
        wrong += [f"Bearer {token}\u00ff", "Bearer null", "Bearer *"]
        for header in right:
            answer = http.get("/envoy/health", headers={b"Authorization": header.encode("latin-1")})
            assert answer.status_code == 200, header
        for header in wrong:
            assert_refused(
                http.get("/envoy/health", headers={b"Authorization": header.encode("latin-1")}),
                strict,
            )
        for both in ((right[0], wrong[3]), (wrong[3], right[0]), (right[0], right[0])):
            headers = [("Authorization", each) for each in both]
            assert_refused(http.get("/envoy/health", headers=headers), strict)
        for query in (f"?token={token}", f"?access_token={token}"):
            assert_refused(http.get("/envoy/health" + query), strict)


def test_a_page_of_another_site_is_refused_with_the_token_as_well(strict: Strict) -> None:
    with strict.up("--strict") as http:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            answer = http.get("/envoy/health", headers=headers | strict.bearer())
            assert answer.status_code == 403
            # And is not told where the token is.
            assert str(strict.data) not in http.get("/envoy/health", headers=headers).text


async def test_a_body_is_not_read_before_the_token_is_seen(strict: Strict) -> None:
    with strict.up("--strict"):
        reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
        head = f"POST /auth HTTP/1.1\r\nHost: localhost:{strict.port}\r\nContent-Length: 1000\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode())
        # None of the body has been sent.
        answer = await asyncio.wait_for(reader.readuntil(b"token_required"), 60)
        assert answer.startswith(b"HTTP/1.1 401")
        writer.close()


async def test_a_websocket_is_refused_by_the_server(strict: Strict) -> None:
    with strict.up("--strict"):
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
        host = f"Host: localhost:{strict.port}\r\n"
        writer.write(f"GET /envoy/activity HTTP/1.1\r\n{host}{upgrade}\r\n".encode())
        line = await asyncio.wait_for(reader.readline(), 60)
        assert line.split()[1] in (b"401", b"403")
        writer.close()


TOKEN = Token("t" * 43, Path("/data/token"))
HOST = (b"host", b"localhost:8090")
BEARER = (b"authorization", b"Bearer " + b"t" * 43)


@pytest.mark.parametrize(
    ("token", "headers", "passes"),
    [
        (None, [HOST], True),
        (TOKEN, [HOST], False),
        (TOKEN, [HOST, (b"authorization", b"Bearer " + b"x" * 43)], False),
        (TOKEN, [HOST, BEARER, BEARER], False),
        (TOKEN, [BEARER], False),
        (TOKEN, [HOST, BEARER], True),
    ],
)
@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
async def test_websockets_pass_the_same_guard(
    token: Token | None,
    headers: list[tuple[bytes, bytes]],
    passes: bool,
    extensions: dict[str, object],
) -> None:
    """Envoy has no websocket yet, so the guard is asked directly, as a server would ask it."""
    got: list[str] = []
    sent: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(scope["type"])

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/x", "headers": headers, "extensions": extensions}
    await Guard(application, 8090, token)(scope, receive, send)
    assert got == ["websocket"] * passes
    if not passes and extensions:
        expected = 401 if HOST in headers else 403
        assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", expected)
    elif not passes:
        assert sent == [{"type": "websocket.close", "code": 1008}]


@needs_modes
@pytest.mark.sample(1)
@pytest.mark.parametrize("was_there", [False, True])
def test_the_token_is_private_whatever_the_umask_and_stays_the_same(
    strict: Strict, was_there: bool
) -> None:
    if was_there:
        # A folder that its owner shares; its other contents say that it is none of Envoy's.
        strict.data.mkdir()
        strict.data.chmod(0o777)
        (strict.data / "notes.txt").touch()
    with strict.up("--strict", umask=0):
        first = strict.token
        assert len(first) >= 43
        assert stat.S_IMODE(strict.token_path.stat().st_mode) == 0o600
    assert first not in strict.said
    assert str(strict.token_path) in strict.said
    assert not list(strict.data.glob("*.new"))
    with strict.up(ENVOY_STRICT="true") as http:
        assert strict.token == first
        assert http.get("/envoy/health").status_code == 401
        assert http.get("/envoy/health", headers=strict.bearer()).status_code == 200
    # The option wins over the variable, and the file of a strict Envoy binds no other.
    with strict.up("--no-strict", ENVOY_STRICT="1") as http:
        assert http.get("/envoy/health").status_code == 200
    strict.token_path.unlink()
    with strict.up("--strict") as http:
        assert strict.token != first
        old = {"Authorization": f"Bearer {first}"}
        assert_refused(http.get("/envoy/health", headers=old), strict)
    log = (strict.data / "logs" / "envoy.log").read_text()
    assert first not in log
    assert strict.token not in log


@needs_modes
@pytest.mark.sample(3)
@pytest.mark.parametrize("kind", ["open", "empty", "link", "fifo", "folder", "another user's"])
def test_a_token_file_that_is_none_keeps_envoy_from_starting(
    strict: Strict, tmp_path: Path, kind: str
) -> None:
    strict.data.mkdir()
    (strict.data / "notes.txt").touch()
    path = strict.token_path
    match kind:
        case "open":
            path.write_text("t" * 43)
            path.chmod(0o644)
        case "empty":
            path.touch(0o600)
        case "link":
            (tmp_path / "elsewhere").write_text("t" * 43)
            (tmp_path / "elsewhere").chmod(0o600)
            path.symlink_to(tmp_path / "elsewhere")
        case "fifo":
            os.mkfifo(path, 0o600)
        case "folder":
            path.mkdir(0o700)
        case _:
            if os.geteuid() != 0:
                pytest.skip("only root can be somebody else")
            path.write_text("t" * 43)
            path.chmod(0o600)
            os.chown(path, OTHER, OTHER)
    done = subprocess.run(
        [*ENVOY, "up", *strict.options, "--strict"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert says(done.stderr, "token-file-cannot-used-remove", path)


def test_status_and_stop_read_the_file(strict: Strict) -> None:
    with strict.up("--strict"):
        for command in ("status", "stop"):
            nowhere = strict.command(command, ENVOY_DATA_DIR=str(strict.data.parent / "none"))
            assert nowhere.returncode == 1
            assert str(strict.token_path) in nowhere.stderr
            assert "--data-dir" in nowhere.stderr
            assert strict.token not in nowhere.stderr
        by_variable = strict.command("status", ENVOY_DATA_DIR=str(strict.data))
        assert by_variable.stdout == saying("nothing-submitted-yet")
        named = strict.command("status", "--json", "--data-dir", str(strict.data))
        assert json.loads(named.stdout)["submissions"] == []
        again = strict.command("up", "--data-dir", str(strict.data.parent / "b"))
        assert again.returncode == 1
        assert says(again.stderr, "strict-envoy-already-runs-http")
        stopped = strict.command("stop", "--data-dir", str(strict.data))
        assert stopped.returncode == 0
        assert stopped.stdout == saying("envoy-stopped")


LISTEN_ONCE = """
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    with listener.accept()[0] as caught:
        print(caught.recv(65536).decode(), flush=True)
"""


@needs_others
@pytest.mark.sample(1)
@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_stranger_on_the_port_of_an_envoy_that_is_down_is_not_shown_the_token(
    strict: Strict, command: str
) -> None:
    with strict.up("--strict"):
        pass
    with started_as_other(LISTEN_ONCE) as listener:
        assert listener.stdout is not None
        strict.port = int(listener.stdout.readline())
        done = strict.command(command, "--data-dir", str(strict.data))
        listener.terminate()
        caught = listener.communicate(timeout=60)[0]
    assert done.returncode == 1
    assert says(done.stderr, "port-of-another-user")
    assert caught == ""


@needs_modes
def test_status_does_not_use_a_file_that_others_can_read(strict: Strict) -> None:
    with strict.up("--strict"):
        strict.token_path.chmod(0o644)
        done = strict.command("status", "--data-dir", str(strict.data))
    assert done.returncode == 1
    assert says(done.stderr, "other-users-may-read-mode")
    assert strict.token not in done.stderr
