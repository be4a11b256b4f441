"""Other users of the machine at a farm's port: the farm inside Envoy is only its own user's."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from command_line import ended
from farm_protocol.sockets import CAN_TELL
from messages import says
from other_users import HOLD, OTHER, needs_others, run_as_other, started_as_other

pytestmark = [needs_others, pytest.mark.skipif(not CAN_TELL, reason="only Linux tells")]

ASK = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60) as asked:
    asked.sendall(b"GET /v1/health HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    answer = b""
    while part := asked.recv(65536):
        answer += part
print(answer.decode())
"""


@contextmanager
def farm(folder: Path, *options: str, **settings: str) -> Iterator[int]:
    """A farm; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "farm", "serve", *options),
            *("--port", str(port), "--data-dir", str(folder)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"FARM_SANDBOX": "auto"} | settings,
    )
    assert process.stdout is not None
    while str(port) not in (line := process.stdout.readline()):
        assert line, "the farm has ended"
    yield port
    assert ended(process) == 0


def health(port: int) -> int:
    return httpx.get(f"http://127.0.0.1:{port}/v1/health", timeout=60, trust_env=False).status_code


def test_the_farm_inside_envoy_answers_nobody_else(tmp_path: Path) -> None:
    with farm(tmp_path / "farm", "--embedded") as port:
        head, _, body = run_as_other(ASK, str(port)).partition("\n\n")
        assert head.startswith("HTTP/1.1 403 ")
        told = json.loads(body)
        assert told["code"] == "forbidden"
        assert says(told["message"], "farm-part-another-users-envoy", OTHER)
        assert health(port) == 200


def test_no_crowd_takes_a_connection_from_the_artist(tmp_path: Path) -> None:
    """They are sent away before they count, so that none has to make room for them."""
    with (
        farm(tmp_path / "farm", "--embedded", FARM_CONNECTIONS="100") as port,
        socket.create_connection(("127.0.0.1", port), 60) as slow,
    ):
        slow.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n")
        with started_as_other(HOLD, str(port)) as crowd:
            assert crowd.stdout is not None
            assert crowd.stdout.readline() == "held\n"
            assert health(port) == 200
            slow.sendall(b"Connection: close\r\n\r\n")
            assert slow.recv(100).startswith(b"HTTP/1.1 200 ")
            crowd.communicate("")


@pytest.mark.parametrize(
    ("options", "settings"),
    [((), {}), (("--embedded",), {"FARM_PROXIES": '["127.0.0.1"]'})],
    ids=["on its own", "behind a proxy"],
)
def test_a_farm_for_others_answers_them(
    tmp_path: Path, options: tuple[str, ...], settings: dict[str, str]
) -> None:
    """A studio's farm runs under an account of its own, and its artists call from theirs."""
    with farm(tmp_path / "farm", *options, **settings) as port:
        assert run_as_other(ASK, str(port)).startswith("HTTP/1.1 200 ")
        assert health(port) == 200
