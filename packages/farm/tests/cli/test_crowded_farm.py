"""A real farm behind a reverse proxy, where no address has a limit: one account takes it all."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from command_line import ended
from farm.accounts.users import create
from farm.db.opening import open_database
from farm_protocol.hashing import new_hasher
from farm_protocol.users import NewUser
from own_products.test_own_products import HERE, SKETCH

PLACES = 100
SCENE = b"ink\n"


def hash_of(data: bytes) -> str:
    hasher = new_hasher()
    hasher.update(data)
    return hasher.hexdigest()


@dataclass(frozen=True)
class Crowd:
    """An account that sends uploads which do not end."""

    url: str
    key: str
    stack: ExitStack

    def come(self, count: int) -> list[socket.socket]:
        """Begin so many; the farm waits for the bytes of each."""
        address = urlsplit(self.url)
        head = (
            f"PUT /v1/blobs/{'0' * 64} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Length: 100000\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        made = []
        for _ in range(count):
            each = socket.create_connection((address.hostname, address.port), 60)
            made.append(self.stack.enter_context(each))
            each.sendall(head.encode())
            answer = each.recv(1000)
            assert answer.startswith(b"HTTP/1.1 100 "), answer
            each.sendall(bytes(1000))
        return made


@dataclass(frozen=True)
class Other:
    """Somebody else, who makes a new connection for each request."""

    url: str
    key: str

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **options)

    def submit(self) -> str:
        entry = {"path": "demo/a.sketch", "hash": hash_of(SCENE), "size": 4, "mtime_ns": 1}
        self.ask("PUT", f"/v1/blobs/{entry['hash']}", content=SCENE).raise_for_status()
        files = {"files": [entry]}
        self.ask("PUT", "/v1/projects/demo/files", json=files).raise_for_status()
        job: dict[str, Any] = {"id": "j1", "name": "beauty", "params": {"frames": "1 3"}}
        job |= {"app": "sketch", "app_version": "1.2.3", "operation": "render"}
        job |= {"path": "demo/a.sketch"}
        asked = {"id": "0" * 32, "project": "demo", "name": "n", "jobs": [job]}
        asked |= {"output_folder": "demo/out"}
        answer = self.ask("POST", "/v1/submissions", json=asked).raise_for_status()
        job_id: str = answer.json()["jobs"][0]["id"]
        return job_id


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[tuple[Crowd, Other]]:
    program = tmp_path / "sketch"
    program.write_text(SKETCH)
    program.chmod(0o755)
    folder = tmp_path / "farm"
    database = open_database(folder, None)
    keys = [
        create(database, NewUser(email=f"{name}@example.com", credits=100)).access_key
        for name in ("greedy", "ann")
    ]
    database.close()
    settings = {
        "FARM_CONNECTIONS": str(PLACES),
        "FARM_PROXIES": '["127.0.0.1"]',
        "FARM_PRODUCTS": json.dumps([str(HERE)]),
        "FARM_PROGRAMS": json.dumps({"sketch": str(program)}),
        "FARM_SANDBOX": "auto",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "farm", "serve", "--embedded", "--data-dir", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | settings,
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    with ExitStack() as stack:
        yield Crowd(url, keys[0], stack), Other(url, keys[1])
    assert ended(process) == 0


def test_an_account_with_many_uploads_leaves_room_for_others_and_their_runners(
    crowded: tuple[Crowd, Other],
) -> None:
    crowd, ann = crowded
    crowd.come(2 * PLACES)
    for _ in range(10):
        assert ann.ask("GET", "/v1/me").status_code == 200
        crowd.come(2)
    job_id = ann.submit()
    looks, cursor = 20, 0
    while (job := ann.ask("GET", f"/v1/jobs/{job_id}").json())["state"] != "completed":
        assert looks, job
        looks -= 1
        crowd.come(10)
        news = {"after": cursor, "wait": 20}
        cursor = ann.ask("GET", "/v1/changes", params=news).json()["cursor"]


def test_the_uploads_that_make_room_are_told_so_and_the_newest_stay(
    crowded: tuple[Crowd, Other],
) -> None:
    crowd, ann = crowded
    first, *_, last = crowd.come(2 * PLACES)
    answer = first.recv(1000)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in answer
    assert ann.ask("GET", "/v1/me").status_code == 200
    last.setblocking(False)
    with pytest.raises(BlockingIOError):
        last.recv(1000)
