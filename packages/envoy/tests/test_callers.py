"""Other users of the machine get nothing from Envoy. Real sockets of real other users."""

import asyncio
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from envoy.process.listening import listen
from envoy_fake_farm import EMAIL, PASSWORD, FakeFarm
from envoy_machine import Machine, output_of
from farm_protocol.callers import Acceptor
from messages import says
from other_users import (
    HOLD,
    OTHER,
    PYTHON,
    envoy_command,
    needs_others,
    run_as_other,
    started_as_other,
)

pytestmark = needs_others

SOMAXCONN = Path("/proc/sys/net/core/somaxconn")

ASK = """
import json, socket, sys
answers = []
for host, port, request in json.load(sys.stdin):
    with socket.create_connection((host, port), 60) as asked:
        asked.sendall(request.encode())
        answer = b""
        while part := asked.recv(65536):
            answer += part
    answers.append(answer.decode())
print(json.dumps(answers))
"""

RUN_AWAY = """
import socket, struct, sys
request, ports = sys.argv[1], [int(port) for port in sys.argv[2:]]
for number in range(200):
    asked = socket.create_connection(("127.0.0.1", ports[0]), 60)
    if number % 2:  # Closed with a reset: the kernel forgets it at once.
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        asked.sendall(request.encode())
    except ConnectionError:
        pass  # It was cut off before: so many are told no more.
    asked.close()
"""

RESET = """
import socket, struct, sys
with socket.socket() as asked:
    asked.bind(("127.0.0.1", 0))
    asked.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    asked.connect(("127.0.0.1", int(sys.argv[2])))
    asked.sendall(sys.argv[1].encode())
    print(asked.getsockname()[1])
"""

PEEK = """
import socket, sys
asked = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
asked.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
print(asked.recv(100).decode())
"""

PRETEND = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        asked, _ = server.accept()
        print("asked", flush=True)
        body = b'{"service": "envoy", "pid": 1, "data_dir": "/tmp/pretended"}'
        asked.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
        asked.close()
"""

CROWD = """
import socket, sys
port, count, request = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
held = []
for number in range(count):
    asked = socket.create_connection(("127.0.0.1", port), 60)
    asked.sendall(request)
    held.append(asked)
print("there", flush=True)
sys.stdin.readline()
for asked in held:
    answer = b""
    try:
        while part := asked.recv(65536):
            answer += part
    except ConnectionError:
        pass
    print(answer[:13].decode() if answer else "cut off")
"""

FLOOD = """
import socket, struct, sys, threading
port, request = int(sys.argv[1]), sys.argv[2].encode()
held = [socket.socket() for _ in range(400)]
for asked in held:
    asked.connect_ex(("127.0.0.1", port))
print("here", flush=True)
number, heard = 0, set()
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.is_set():
    number += 1
    family, host = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")][number % 2]
    with socket.socket(family) as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", number % 3 > 0, 0))
        asked.setblocking(False)
        asked.connect_ex((host, port))
        try:
            asked.send(request)
            heard.add(asked.recv(13))
        except OSError:
            pass
print(number, sorted(heard - {b""}))
"""


def request(port: int, method: str, path: str, body: str = "{}", *headers: str) -> str:
    lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{port}", "Connection: close", *headers]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def as_other(calls: list[tuple[str, int, str]]) -> list[str]:
    answers: list[str] = json.loads(run_as_other(ASK, stdin=json.dumps(calls)))
    return answers


def port_of(machine: Machine) -> int:
    return int(machine.url.rsplit(":", 1)[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_no_route_answers_another_user(machine: Machine, host: str) -> None:
    port = port_of(machine)
    async with httpx.AsyncClient(base_url=machine.url, timeout=60) as http:
        described = (await http.get("/envoy/openapi.json")).json()
        upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        sign_in = json.dumps({"Username": EMAIL, "AccessKey": PASSWORD})
        calls = [
            (host, port, request(port, method.upper(), path))
            for path, operations in described["paths"].items()
            for method in operations
        ]
        calls += [
            (host, port, request(port, "POST", "/auth", sign_in)),
            (host, port, request(port, "POST", "/envoy/stop")),
            (host, port, request(port, "GET", "/envoy/openapi.json")),
            (host, port, request(port, "OPTIONS", "*")),
            (host, port, request(port, "GET", "/envoy/activity", "", *upgrade, key)),
            (host, port, "nonsense\r\n\r\n"),
        ]
        for answer in as_other(calls):
            head, _, body = answer.partition("\r\n\r\n")
            assert head.startswith("HTTP/1.1 403 Forbidden\r\n")
            told = json.loads(body)
            assert told["code"] == "forbidden"
            assert says(told["message"], "envoy-of-another-user", OTHER)
            assert str(machine.root) not in answer
        health = (await http.get("/envoy/health")).json()
        assert health["signed_in_as"] == ""
    assert machine.farm.count("POST", "/v1/login") == 0


async def test_nobody_is_let_in_by_running_away(machine: Machine) -> None:
    """A socket that its process has closed shows no owner, or root as one."""
    port = port_of(machine)
    sign_in = json.dumps({"Username": EMAIL, "AccessKey": PASSWORD})
    run_as_other(RUN_AWAY, request(port, "POST", "/auth", sign_in), str(port))
    async with httpx.AsyncClient(base_url=machine.url, timeout=60) as http:
        assert (await http.get("/envoy/health")).json()["signed_in_as"] == ""


async def test_nobody_is_let_in_by_leaving_their_port_to_somebody_else(machine: Machine) -> None:
    """The kernel finds a socket by its addresses, and these may be the artist's own by then."""
    port = port_of(machine)
    sign_in = json.dumps({"Username": EMAIL, "AccessKey": PASSWORD})
    machine.process.send_signal(signal.SIGSTOP)  # It looks at the first when the second is there.
    left = int(run_as_other(RESET, request(port, "POST", "/auth", sign_in), str(port)))
    with socket.create_connection(("127.0.0.1", port), 60, ("127.0.0.1", left)):
        machine.process.send_signal(signal.SIGCONT)
        async with httpx.AsyncClient(base_url=machine.url, timeout=60) as http:
            assert (await http.get("/envoy/health")).json()["signed_in_as"] == ""
    assert machine.farm.count("POST", "/v1/login") == 0


async def strangers(*command: str) -> asyncio.subprocess.Process:
    """Return a process of another user that has printed its first line."""
    process = await asyncio.create_subprocess_exec(
        *(PYTHON, "-c", *command),
        user=OTHER,
        group=OTHER,
        extra_groups=[],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert await output_of(process).readline()
    return process


async def test_idle_strangers_keep_nobody_out(machine: Machine) -> None:
    held = await strangers(HOLD, str(port_of(machine)))
    async with httpx.AsyncClient(base_url=machine.url, timeout=60) as http:
        assert (await http.get("/envoy/health")).status_code == 200
    assert held.stdin is not None
    held.stdin.close()
    await held.wait()


async def test_who_connects_without_pause_shuts_nobody_out(machine: Machine) -> None:
    port = port_of(machine)
    sign_in = json.dumps({"Username": EMAIL, "AccessKey": PASSWORD})
    flood = await strangers(FLOOD, str(port), request(port, "POST", "/auth", sign_in))
    async with httpx.AsyncClient(timeout=60) as kept:
        for _ in range(10):
            for host in ("127.0.0.1", "[::1]"):
                url = f"http://{host}:{port}/envoy/health"
                assert (await kept.get(url)).json()["signed_in_as"] == ""
                async with httpx.AsyncClient(timeout=60) as fresh:
                    assert (await fresh.get(url)).status_code == 200
    told, _ = await flood.communicate(b"")
    number, heard = told.decode().split(" ", 1)
    assert int(number) > 100
    assert heard.strip() in ("[]", "[b'HTTP/1.1 403 ']")
    assert machine.farm.count("POST", "/v1/login") == 0


@pytest.mark.skipif(
    not (SOMAXCONN.exists() and int(SOMAXCONN.read_text()) > 1000),
    reason="this system keeps no longer queue",
)
async def test_a_crowd_of_strangers_leaves_a_place_in_the_queue(machine: Machine) -> None:
    """Who finds no place there tries again after a second, and after more and more."""
    port = port_of(machine)
    machine.process.send_signal(signal.SIGSTOP)  # Nobody is accepted meanwhile.
    crowd = await strangers(CROWD, str(port), "800", request(port, "GET", "/envoy/health", ""))
    with socket.create_connection(("127.0.0.1", port), 60) as owner:
        machine.process.send_signal(signal.SIGCONT)
        owner.sendall(request(port, "GET", "/envoy/health").encode())
        assert owner.recv(100).startswith(b"HTTP/1.1 200")
    answers = (await crowd.communicate(b"\n"))[0].decode().splitlines()
    assert set(answers) == {"cut off", "HTTP/1.1 403 "}
    # Once they have gone, a stranger is told again.
    (late,) = as_other([("127.0.0.1", port, request(port, "GET", "/envoy/health"))])
    assert late.startswith("HTTP/1.1 403")


async def test_others_have_their_turns_while_strangers_are_sent_away() -> None:
    with listen(0) as listener:
        crowd = await strangers(CROWD, str(listener.port), "800", "hello")
        acceptor = Acceptor(listener.sockets, asyncio.Protocol, str)
        try:
            gone = asyncio.create_task(crowd.communicate(b"\n"))
            turns = 0
            while select.select(listener.sockets, [], [], 0)[0]:
                await asyncio.sleep(0)
                turns += 1
            assert turns > 3
            answers = (await gone)[0].decode().splitlines()
        finally:
            acceptor.close()
    assert set(answers) == {"cut off", "HTTP/1.1 403 "}


async def test_a_lack_of_descriptors_passes() -> None:
    """Nobody is accepted for a moment, and then those who have waited."""
    came: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

    class Caller(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            came.put_nowait(transport)

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listen(0) as listener, socket.socket() as caller:
        caller.setblocking(False)
        acceptor = Acceptor(listener.sockets, Caller, str)
        try:
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
            caller.connect_ex(("127.0.0.1", listener.port))
            for _ in range(3):
                await asyncio.sleep(0)
            assert came.empty()
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            (await came.get()).abort()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            acceptor.close()


@pytest.fixture
def others_folder() -> Iterator[Path]:
    """A folder of another user. Not below pytest's, which only root may enter."""
    folder = Path(tempfile.mkdtemp(prefix="envoy-of-another-user-"))
    os.chown(folder, OTHER, OTHER)
    yield folder
    shutil.rmtree(folder)


def test_an_ordinary_users_envoy_answers_its_user_and_root(
    others_folder: Path, farm: FakeFarm
) -> None:
    options = ("--port", "0", "--data-dir", str(others_folder), "--farm", farm.url)
    command = envoy_command("up", *options)
    with subprocess.Popen(
        command,
        user=OTHER,
        group=OTHER,
        extra_groups=[],
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
    ) as envoy:
        try:
            assert envoy.stdout is not None
            line = envoy.stdout.readline()
            port = int(line.split("http://localhost:", 1)[1].split()[0])
            (own,) = as_other([("127.0.0.1", port, request(port, "GET", "/envoy/health"))])
            assert own.startswith("HTTP/1.1 200")
            roots = httpx.get(f"http://127.0.0.1:{port}/envoy/health", timeout=60)
            assert roots.status_code == 200
            assert "403 Forbidden" in run_as_other(PEEK, str(port), user=OTHER + 1)
        finally:
            envoy.kill()


def test_port_0_is_the_same_on_both_addresses(machine: Machine) -> None:
    port = port_of(machine)
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port), 60) as asked:
            asked.sendall(request(port, "GET", "/envoy/health").encode())
            assert asked.recv(100).startswith(b"HTTP/1.1 200")


def test_the_commands_ask_no_program_of_another_user() -> None:
    with started_as_other(PRETEND) as pretend:
        assert pretend.stdout is not None
        port = int(pretend.stdout.readline())
        for command, told in (
            ("status", "port-of-another-user"),
            ("stop", "port-of-another-user"),
            ("up", "port-used-another-program-stop"),
        ):
            done = subprocess.run(
                [*envoy_command(command, "--port", f"{port}")],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                env=os.environ | {"ENVOY_DATA_DIR": "/nonexistent"},
            )
            assert done.returncode == 1
            assert says(done.stderr, told), done.stderr
            assert "pretended" not in done.stderr + done.stdout
        pretend.terminate()
        # Nobody was connected to.
        assert pretend.stdout.read() == ""
