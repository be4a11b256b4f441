"""A real farm on a real disk that is small: it is never full for the database."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from farm_protocol.hashing import new_hasher

MIB = 1 << 20
PASSWORD = "correct horse"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("nsenter"),
    reason="only root may mount a small disk",
)


@contextmanager
def farm_on(folder: Path, size: int, files: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a farm whose data folder is a disk of so many MiB that nobody else sees.

    Parameters:
        files: that the disk has room for; 0: any number.
    """
    script = (
        f"mount -t tmpfs -o size={size}m,nr_inodes={files} none {folder} && "
        f"{sys.executable} -m farm migrate --data-dir {folder} >&2; "
        f"printf '%s\\n' '{PASSWORD}' | "
        f"{sys.executable} -m farm users add ann@example.com --password-stdin "
        f"--data-dir {folder} >&2; "
        f"exec {sys.executable} -m farm serve --embedded --data-dir {folder}"
    )
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.skip("mounting is not allowed here")
        yield process, json.loads(line)["url"]
    finally:
        with process:
            process.terminate()
            process.wait(60)


def put(client: httpx.Client, data: bytes) -> httpx.Response:
    hasher = new_hasher()
    hasher.update(data)
    return client.put(f"/v1/blobs/{hasher.hexdigest()}", content=data)


def test_a_small_disk_is_never_full_for_the_database(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    with farm_on(folder, 48) as (process, url):
        login = {"email": "ann@example.com", "secret": PASSWORD}
        key = httpx.post(f"{url}/v1/login", json=login, timeout=60).json()["access_key"]
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as ann:
            for number in range(60):
                answer = put(ann, bytes([number]) * MIB)
                if answer.status_code != 201:
                    break
            assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
            assert number > 30
            # Whoever needs to write something else still can.
            for label in range(5):
                told = httpx.post(f"{url}/v1/login", json=login | {"label": str(label)}, timeout=60)
                assert told.status_code == 200
            assert ann.patch("/v1/me", json={"name": "Ann"}).status_code == 200
            mount = ["mount", "-o", "remount,size=96m", str(folder)]
            subprocess.run(["nsenter", "-t", str(process.pid), "-m", *mount], check=True)
            assert put(ann, bytes([number]) * MIB).status_code == 201


def test_nor_does_it_ever_lack_room_for_another_file(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    with farm_on(folder, 256, 1200) as (_, url):
        login = {"email": "ann@example.com", "secret": PASSWORD}
        key = httpx.post(f"{url}/v1/login", json=login, timeout=60).json()["access_key"]
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as ann:
            for number in range(1300):
                answer = put(ann, str(number).encode())
                if answer.status_code != 201:
                    break
            assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
            assert number > 200
            assert ann.patch("/v1/me", json={"name": "Ann"}).status_code == 200
            assert httpx.post(f"{url}/v1/login", json=login, timeout=60).status_code == 200
