"""Who gets Envoy's access key: the farm that issued it, and nobody who only says so."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from envoy.config import Settings
from envoy.farm import calls
from envoy.main import running
from envoy.process.listening import listen
from envoy_fake_farm import EMAIL, PASSWORD, FakeFarm
from envoy_machine import output_of
from envoy_studio import until
from other_users import OTHER, PYTHON, needs_others

KEY = "the-key-of-the-farm"

STRANGER = """
import json, socket, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
port, relay_to, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size).decode()
        told = [self.command, self.path, dict(self.headers), body]
        print(json.dumps(told), flush=True)
        answer = json.dumps({"service": "farm", "data_dir": folder, "proof": "0" * 64}).encode()
        if relay_to and self.command == "POST":
            import urllib.request
            asked = urllib.request.Request(relay_to + self.path, body.encode(), dict(self.headers))
            try:
                answer = urllib.request.urlopen(asked).read()
            except urllib.error.HTTPError as error:
                answer = error.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    do_POST = do_PUT = do_GET
    def log_message(self, *_):
        pass

HTTPServer.allow_reuse_address = True
while True:
    try:
        server = HTTPServer(("127.0.0.1", port), Handler)
        break
    except OSError:
        time.sleep(0.0005)
print(json.dumps(server.server_port), flush=True)
server.serve_forever()
"""

FARM = """
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from farm_protocol.proof import Identity
secret, folder = sys.argv[1], sys.argv[sys.argv.index("--data-dir") + 1]

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = asked["proof"] == Identity(url, folder, secret).callers_proof(asked["nonce"])
        proof = Identity(url, folder, secret).farms_proof(asked["nonce"]) if right else None
        self.answer({"proof": proof} if right else {"code": "forbidden", "message": "No."})
    def do_GET(self):
        self.answer([])
    def answer(self, body):
        answer = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
url = f"http://127.0.0.1:{server.server_port}"
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(json.dumps({"event": "ready", "url": url, "pid": os.getpid()}), flush=True)
server.serve_forever()
"""


def farm_command(folder: Path, secret: str) -> list[str]:
    return [sys.executable, "-c", FARM, secret, "serve", "--data-dir", str(folder), "--embedded"]


@asynccontextmanager
async def process(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of ours and its first line; ended afterwards."""
    begun = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
    )
    try:
        yield begun
    finally:
        if begun.returncode is None:
            begun.kill()
        await begun.communicate()


@asynccontextmanager
async def envoy(
    folder: Path, farm_url: str = "", command: list[str] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(data_dir=folder, port=0, farm_url=farm_url)
    with listen(0) as listener:
        async with (
            running(settings, listener, command),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", timeout=60) as http,
        ):
            yield http


def remember(folder: Path, farm: str = "embedded") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    known = {farm: {"email": EMAIL, "access_key": KEY}}
    (folder / "account.json").write_text(json.dumps({"farms": known}))


def announce(folder: Path, url: str, pid: int, secret: str) -> None:
    (folder / "farm").mkdir(parents=True, exist_ok=True)
    told = {"url": url, "pid": pid, "secret": secret}
    (folder / "farm" / "farm.json").write_text(json.dumps(told))


@pytest.mark.parametrize("relays", [False, True], ids=["echo", "relay"])
async def test_a_stranger_on_the_port_of_a_farm_that_crashed_gets_nothing(
    tmp_path: Path, relays: bool
) -> None:
    """It says what Envoy wants to hear, and may even ask the real farm on its new port."""
    folder, secret = tmp_path / "envoy", "5ec3e7" * 10 + "0000"
    remember(folder)
    async with process(*farm_command(folder / "farm", secret)) as real:
        there = json.loads(await output_of(real).readline())["url"] if relays else ""
        arguments = ("0", there, str(folder / "farm"))
        async with process(sys.executable, "-c", STRANGER, *arguments) as stranger:
            port = json.loads(await output_of(stranger).readline())
            announce(folder, f"http://127.0.0.1:{port}", stranger.pid, secret)
            async with envoy(folder, command=farm_command(folder / "farm", "another")) as http:
                # It is not adopted: Envoy has started a farm of its own.
                assert (await http.get("/products")).json() == []
                await http.get("/credits-info")
                told = (await http.get("/envoy/health")).json()
                assert told["signed_in_as"] == EMAIL
                assert not told["farm_url"].endswith(f":{port}")
            assert stranger.returncode is None  # Nor is it stopped as if it were ours.
            stranger.kill()
            seen = (await output_of(stranger).read()).decode()
    assert "/v1/proof" in seen
    assert KEY not in seen
    assert secret not in seen


async def test_a_farm_that_knows_the_secret_is_adopted(tmp_path: Path) -> None:
    folder, secret = tmp_path / "envoy", "a" * 64
    async with process(*farm_command(folder / "farm", secret)) as real:
        told = json.loads(await output_of(real).readline())
        announce(folder, told["url"], told["pid"], secret)
        async with envoy(folder, command=[sys.executable, "-c", "raise SystemExit(3)"]) as http:
            assert (await http.get("/products")).json() == []
            assert (await http.get("/envoy/health")).json()["farm_url"] == told["url"]


@needs_others
@pytest.mark.parametrize("at", ["before the look", "after the look"])
async def test_another_user_who_waits_for_the_port_gets_no_key(
    tmp_path: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adopted farm dies, and before Envoy has noticed another user listens on its port.

    Or before Envoy connects: then nobody listened yet when it looked.
    """
    if at == "after the look":
        monkeypatch.setattr(calls, "is_another_users", lambda _: False)
    folder, secret = tmp_path / "envoy", "a" * 64
    remember(folder)
    stranger = {"user": OTHER, "group": OTHER, "extra_groups": [], "cwd": "/"}
    async with process(*farm_command(folder / "farm", secret)) as real:
        told = json.loads(await output_of(real).readline())
        port = told["url"].rsplit(":", 1)[1]
        announce(folder, told["url"], told["pid"], secret)
        async with envoy(folder, command=farm_command(folder / "farm", secret)) as http:
            assert (await http.get("/products")).json() == []
            async with process(PYTHON, "-c", STRANGER, port, "", "", **stranger) as waiting:
                real.kill()
                assert json.loads(await output_of(waiting).readline()) == int(port)
                for _ in range(20):
                    await http.get("/credits-info")

                async def elsewhere() -> object:
                    now = (await http.get("/envoy/health")).json()["farm_url"]
                    return now not in ("", told["url"])

                await until(elsewhere)
                waiting.kill()
                seen = (await output_of(waiting).read()).decode()
    assert KEY not in seen
    assert secret not in seen


@needs_others
async def test_an_announcement_of_another_user_is_none(tmp_path: Path) -> None:
    folder, secret = tmp_path / "envoy", "a" * 64
    async with process(*farm_command(folder / "farm", secret)) as real:
        told = json.loads(await output_of(real).readline())
        announce(folder, told["url"], told["pid"], secret)
        os.chown(folder / "farm" / "farm.json", OTHER, OTHER)
        async with envoy(folder, command=farm_command(folder / "farm", "b" * 64)) as http:
            assert (await http.get("/products")).json() == []
            assert (await http.get("/envoy/health")).json()["farm_url"] != told["url"]


async def test_a_key_is_shown_to_no_other_farm(tmp_path: Path, farm: FakeFarm) -> None:
    folder = tmp_path / "envoy"
    with FakeFarm().serving() as other:
        async with envoy(folder, farm.url) as http:
            body = {"Username": EMAIL, "AccessKey": PASSWORD}
            assert (await http.post("/auth", json=body)).status_code == 200
        async with envoy(folder, other.url) as http:
            assert (await http.get("/envoy/health")).json()["signed_in_as"] == ""
            refused = await http.get("/user-info")
            assert refused.status_code == 401
            assert refused.json()["code"] == "not_authenticated"
            assert (await http.get("/products")).status_code == 200
            assert (await http.post("/auth", json=body)).status_code == 200
        for known in (farm, other):
            async with envoy(folder, known.url + "/") as http:
                assert (await http.get("/envoy/health")).json()["signed_in_as"] == EMAIL
                assert (await http.get("/user-info")).status_code == 200
    keys = json.loads((folder / "account.json").read_text())["farms"]
    assert set(keys) == {farm.url, other.url}


async def test_a_key_of_an_older_envoy_is_the_embedded_farms(
    tmp_path: Path, farm: FakeFarm
) -> None:
    folder = tmp_path / "envoy"
    folder.mkdir()
    (folder / "account.json").write_text(json.dumps({"email": EMAIL, "access_key": KEY}))
    async with envoy(folder, farm.url) as http:
        assert (await http.get("/envoy/health")).json()["signed_in_as"] == ""
    async with envoy(folder, command=farm_command(folder / "farm", "a" * 64)) as http:
        assert (await http.get("/envoy/health")).json()["signed_in_as"] == EMAIL


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"farms": []}', '{"farms": {"embedded": 1}}', "[" * 100_000, '{"email": 1}'],
)
async def test_an_account_file_that_is_damaged_means_signing_in(
    tmp_path: Path, farm: FakeFarm, content: str
) -> None:
    folder = tmp_path / "envoy"
    folder.mkdir()
    (folder / "account.json").write_text(content)
    async with envoy(folder, farm.url) as http:
        assert (await http.get("/envoy/health")).json()["signed_in_as"] == ""
        body = {"Username": EMAIL, "AccessKey": PASSWORD}
        assert (await http.post("/auth", json=body)).status_code == 200
