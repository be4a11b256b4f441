"""The command line, as real processes."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from envoy.cli.tables import MOST_FRAMES, show, show_flagged
from envoy.config import Settings
from envoy.views.own import Activity
from envoy_fake_farm import FakeFarm
from farm_protocol.frames import Flag, Frame
from messages import saying, says
from rich.console import Console

Up = tuple[subprocess.Popen[str], int, str]
"""A process, its port and its first line."""


def envoy(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "envoy", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )


@pytest.fixture
def up(tmp_path: Path, farm: FakeFarm) -> Iterator[Up]:
    """A running Envoy: (process, port, first line)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "envoy", "up", "--port", str(port), "--farm", farm.url]
    command += ["--data-dir", str(tmp_path / "envoy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, port, process.stdout.readline()
        process.kill()


def test_up_status_stop_and_second_starts(up: Up, tmp_path: Path, farm: FakeFarm) -> None:
    process, port, line = up
    data_dir = str(tmp_path / "envoy")
    assert f"http://localhost:{port}" in line

    again = envoy("up", "--port", str(port), "--farm", farm.url, "--data-dir", str(tmp_path / "b"))
    assert again.returncode == 1
    assert f"process {process.pid}" in again.stderr
    assert data_dir in again.stderr.replace("\n", "")

    same = envoy("up", "--port", "0", "--farm", farm.url, "--data-dir", data_dir)
    assert same.returncode == 1
    assert says(same.stderr, "data-folder-use-another-envoy")
    assert str(process.pid) in same.stderr

    assert says(envoy("status", "--port", str(port)).stdout, "nothing-submitted-yet")
    told = json.loads(envoy("status", "--url", f"http://localhost:{port}", "--json").stdout)
    assert told == {"submissions": [], "waiting_for": "", "waits_for": "", "problems": []}

    stopped = envoy("stop", "--port", str(port))
    assert stopped.returncode == 0
    assert stopped.stdout == saying("envoy-stopped")
    assert process.wait(60) == 0

    for command in (["status"], ["stop"]):
        gone = envoy(*command, "--port", str(port))
        assert gone.returncode == 1
        assert says(gone.stderr, "envoy-not-running")
        assert "Traceback" not in gone.stderr


def test_a_relative_data_folder_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"rmdir {gone}; exec {sys.executable} -m envoy up --port 0 --data-dir data"
    told = subprocess.run(
        ["sh", "-c", script],
        cwd=gone, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert told.returncode == 1
    assert says(told.stderr, "current-folder-gone-so-leads")
    assert "Traceback" not in told.stderr


@pytest.mark.sample(2)
@pytest.mark.parametrize("url", ["http://[", "foo", "ftp://x", "http://x:99999999", "http://"])
def test_an_address_that_is_no_farms_is_refused_at_once(tmp_path: Path, url: str) -> None:
    told = envoy("up", "--port", "0", "--farm", url, "--data-dir", str(tmp_path / "envoy"))
    assert told.returncode == 1
    assert says(" ".join(told.stderr.split()), "not-address-farm-such-https")
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("STRICT", "perhaps", "'strict' must be"),
        ("GATHER", "all", saying("must-be-one-of")),
        ("GATHER_FOLDERS", "here", saying("setting-not-valid-json-write", "ENVOY_GATHER_FOLDERS")),
    ],
)
def test_a_variable_that_is_wrong_is_named(
    tmp_path: Path, variable: str, value: str, told: str | saying
) -> None:
    variables = os.environ | {f"ENVOY_{variable}": value}
    done = envoy("up", "--port", "0", "--data-dir", str(tmp_path / "envoy"), env=variables)
    assert done.returncode == 1
    shown = " ".join(done.stderr.split())
    assert says(shown, told) if isinstance(told, saying) else told in shown
    assert "Traceback" not in done.stderr


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Settings()
    for name in ("DATA_DIR", "PORT", "FARM_URL", "STRICT"):
        monkeypatch.setenv(f"ENVOY_{name}", "")
    assert Settings() == usual


def test_the_version_is_that_of_the_package() -> None:
    assert envoy("--version").stdout == f"envoy {version('envoy-service')}\n"


def test_a_port_of_another_program(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        other.listen()
        refused = envoy("up", "--port", port, "--farm", "http://x", "--data-dir", str(tmp_path))
    assert refused.returncode == 1
    assert says(refused.stderr, "port-used-another-program-stop", port)
    assert "Traceback" not in refused.stderr


def test_a_data_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = envoy("up", "--port", "0", "--data-dir", str(tmp_path / "file" / "below"))
    assert refused.returncode == 1
    assert says(refused.stderr, "data-folder-cannot-used-choose")
    wrong = envoy("up", "--port", "99999")
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr


def activity(message: str = "", **job: object) -> dict[str, object]:
    """What an Envoy answers that has one submission."""
    told = {
        "id": "1", "submission_id": "2", "project": "demo", "submission_name": "first",
        "name": "[beauty]", "app": "blender", "app_version": "4.2", "state": "running",
        "message": "", "warnings": ["The scene lacks [wood.png]."], "frames_total": 3,
        "frames_done": 2, "frames_failed": 0, "frames_running": 1, "credits": 0.5,
        "output_folder": "demo/out", "submitted_at": "2026-01-02T03:04:05Z", "started_at": None,
        "finished_at": None,
    }  # fmt: skip
    downloads = {
        "files_total": 3, "files_done": 2, "files_failed": 1, "files_replaced": 1,
        "bytes_done": 2, "bytes_total": 3,
        "folders": ["/results"], "message": "A disk is full.",
    }  # fmt: skip
    row = {
        "submission_id": "2", "project": "demo", "name": "first", "state": "uploading",
        "message": message, "warnings": ["Nothing is downloaded for the watch '[x'."],
        "bytes_done": 1, "bytes_total": 4, "jobs": [told | job] * 2, "downloads": downloads,
        "submitted_at": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    problems = ["'[y]' fell apart."]
    return {
        "submissions": [row],
        "waiting_for": "The farm sleeps.",
        "problems": problems,
    }


def test_the_table() -> None:
    console = Console(width=120, record=True)
    show(Activity.model_validate(activity()), console)
    text = console.export_text()
    for part in (
        "uploading 25 %",
        "[beauty]: running",
        "2 of 3",
        "1 failed, 1 replaced",
        "A disk is full.",
        "watch '[x'",
    ):
        assert part in text
    assert text.count("demo, [beauty]: The scene lacks [wood.png].") == 1
    assert "The farm sleeps." in text
    assert "'[y]' fell apart" in text


@pytest.mark.parametrize("command", ["status", "stop"])
def test_what_answers_in_another_shape_is_one_message(command: str) -> None:
    class Another(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(activity() | {"submissions": [{"project": "demo"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Another) as server:
        threading.Thread(target=server.serve_forever).start()
        told = envoy(command, "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert told.returncode == 1
    assert says(told.stderr, "program-does-not-answer-envoy")
    assert "Traceback" not in told.stderr


def test_flagged_frames_are_told_one_by_one() -> None:
    frames = [
        Frame(
            number=n,
            state="done",
            seconds=1.0,
            failures=0,
            flags=[Flag(code="empty", certainty="sure", message=f"Frame {n} is [empty].")],
        )
        for n in range(1, MOST_FRAMES + 3)
    ]
    console = Console(record=True, width=120)
    show_flagged("[beauty]", frames, console)
    lines = console.export_text().splitlines()
    assert lines[0] == "[beauty], frame 1: Frame 1 is [empty]."
    assert lines[-1] == saying("more-frames-look-wrong", "[beauty]", 2)
    assert len(lines) == MOST_FRAMES + 1


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (99, saying("data-folder-used-newer-version", 99)),
        (None, saying("journal-cannot-be-used")),
    ],
)
def test_a_journal_that_is_newer_or_damaged_is_one_message(
    tmp_path: Path, farm: FakeFarm, version: int | None, told: saying
) -> None:
    folder = tmp_path / "envoy"
    folder.mkdir()
    journal = folder / "journal.sqlite3"
    if version is None:
        journal.write_bytes(b"this is no journal at all, but it is long enough" * 100)
    else:
        with contextlib.closing(sqlite3.connect(journal)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("CREATE TABLE of_later (x)")
    before = journal.read_bytes()
    done = envoy("up", "--port", "0", "--farm", farm.url, "--data-dir", str(folder))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert says(done.stderr, told)
    assert str(folder) in done.stderr
    assert journal.read_bytes() == before
