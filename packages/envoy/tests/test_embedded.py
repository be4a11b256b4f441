"""The embedded farm: started, adopted, restarted, stopped. A tiny stand-in plays the farm."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from envoy.config import Settings
from envoy.main import running
from envoy.process.listening import listen
from envoy.process.status_messages import Reason
from envoy_studio import until

FARM = """
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from farm_protocol.proof import Identity, new_secret
folder = sys.argv[sys.argv.index("--data-dir") + 1]
assert "--embedded" in sys.argv

secret = new_secret()

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/proof"
        if asked["proof"] != Identity(url, folder, secret).callers_proof(asked["nonce"]):
            return self.answer(403, {"code": "forbidden", "message": "No."})
        self.answer(200, {"proof": Identity(url, folder, secret).farms_proof(asked["nonce"])})

    def do_GET(self):
        self.answer(200, [])

    def answer(self, status, body):
        answer = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", PORT), Handler)
url = f"http://127.0.0.1:{server.server_port}"
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "farm.json.new"), "w") as file:
    json.dump({"url": url, "pid": os.getpid(), "secret": secret}, file)
os.replace(os.path.join(folder, "farm.json.new"), os.path.join(folder, "farm.json"))
threading.Thread(target=lambda: (sys.stdin.read(), STAY or os._exit(0)), daemon=True).start()
print("some other line")
print(json.dumps({"event": "ready", "url": url, "pid": os.getpid()}), flush=True)
print("noise " * 10000, flush=True)
server.serve_forever()
"""


def command(folder: Path, stay: bool = False) -> list[str]:
    source = FARM.replace("STAY", str(stay)).replace("PORT", "0")
    return [sys.executable, "-c", source, "serve", "--data-dir", str(folder), "--embedded"]


@asynccontextmanager
async def envoy(tmp_path: Path, farm_command: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    with listen(0) as listener:
        address = f"http://127.0.0.1:{listener.port}"
        settings = Settings(data_dir=tmp_path, port=0)
        async with (
            running(settings, listener, farm_command),
            httpx.AsyncClient(base_url=address, timeout=60) as http,
        ):
            yield http


def farm_pid(tmp_path: Path) -> int:
    return int(json.loads((tmp_path / "farm" / "farm.json").read_text())["pid"])


async def test_started_and_stopped(tmp_path: Path) -> None:
    async with envoy(tmp_path, command(tmp_path / "farm")) as http:
        # A call that comes before the farm is ready waits for it.
        assert (await http.get("/products")).json() == []
        pid = farm_pid(tmp_path)
        assert (await http.get("/envoy/health")).json()["farm_url"].startswith("http://127.0.0.1:")
        assert "some other line" in (tmp_path / "logs" / "farm.log").read_text()
    assert not psutil.pid_exists(pid)


async def test_restarted_when_it_dies(tmp_path: Path) -> None:
    async with envoy(tmp_path, command(tmp_path / "farm")) as http:
        await http.get("/products")
        first = farm_pid(tmp_path)
        os.kill(first, signal.SIGKILL)
        await until(lambda: farm_pid(tmp_path) != first)
        assert (await http.get("/products")).json() == []

        async def quiet() -> object:
            return (await http.get("/envoy/activity")).json()["waiting_for"] == ""

        await until(quiet)
    assert not psutil.pid_exists(farm_pid(tmp_path))


@pytest.mark.skipif(os.name != "posix", reason="processes are not adopted elsewhere")
async def test_adopted_and_stopped(tmp_path: Path) -> None:
    orphan = await asyncio.create_subprocess_exec(
        *command(tmp_path / "farm", stay=True),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    await until((tmp_path / "farm" / "farm.json").exists)
    async with envoy(tmp_path, [sys.executable, "-c", "raise SystemExit(3)"]) as http:
        assert (await http.get("/products")).json() == []
        assert farm_pid(tmp_path) == orphan.pid
    assert await orphan.wait() == -signal.SIGTERM


@pytest.mark.skipif(os.name != "posix", reason="processes are not adopted elsewhere")
async def test_a_call_outlives_the_end_of_an_adopted_farm(tmp_path: Path) -> None:
    orphan = await asyncio.create_subprocess_exec(
        *command(tmp_path / "farm", stay=True),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    await until((tmp_path / "farm" / "farm.json").exists)
    async with envoy(tmp_path, command(tmp_path / "farm")) as http:
        assert (await http.get("/products")).json() == []
        orphan.kill()
        await orphan.wait()
        # Nobody has noticed yet: the call finds nobody, and waits for the next farm.
        assert (await http.get("/products")).json() == []
        assert farm_pid(tmp_path) != orphan.pid


async def test_a_farm_of_another_folder_is_not_adopted(tmp_path: Path) -> None:
    other = await asyncio.create_subprocess_exec(
        *command(tmp_path / "other", stay=True),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    await until((tmp_path / "other" / "farm.json").exists)
    (tmp_path / "farm").mkdir()
    (tmp_path / "farm" / "farm.json").write_text((tmp_path / "other" / "farm.json").read_text())
    async with envoy(tmp_path, command(tmp_path / "farm")) as http:
        await http.get("/products")
        assert farm_pid(tmp_path) != other.pid
    assert other.returncode is None
    other.kill()
    await other.wait()


async def test_a_farm_that_cannot_start_is_said_so(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('no such farm')"]
    async with envoy(tmp_path, failing) as http:

        async def said() -> object:
            return "no such farm" in (await http.get("/envoy/activity")).json()["waiting_for"]

        await until(said)
        told = (await http.get("/envoy/activity")).json()
        assert told["waits_for"] == Reason.FARM_STARTING
