"""A data folder with something damaged: a service starts, or says in one sentence why it cannot.

Each file and folder that a service makes is damaged in each way. Real processes.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from messages import says
from other_users import OTHER, needs_others, python_of_everybody

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no FIFOs")

BUSY = "http://127.0.0.1:9"
MOST_SECONDS = 600.0
"""Of a service that neither serves nor ends: it is killed then."""


def removed(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def folder(path: Path) -> None:
    removed(path)
    path.mkdir()


def fifo(path: Path) -> None:
    removed(path)
    os.mkfifo(path)


def empty(path: Path) -> None:
    removed(path)
    path.touch()


def garbage(path: Path) -> None:
    removed(path)
    path.write_bytes(b"\xff\x00{[" * 5000)


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def lost(statement: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        database = sqlite3.connect(path)
        database.executescript(statement)
        database.close()

    return damage


def all_of(*names: str, way: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return what damages several files of one folder."""

    def damage(path: Path) -> None:
        for name in names:
            way(path / name)

    return damage


NO_FILE, NO_FOLDER = "'{}' in it is not a regular file", "'{}' in it is not a folder"
UNIMPORTANT = ("account.json", "devices.json", "token", "envoy.json", "envoy.lock")
LOGS = ("logs/envoy.log", "logs/farm.log")
ENVOY = (
    *((name, fifo, NO_FILE) for name in (*UNIMPORTANT, *LOGS, "journal.sqlite3")),
    ("envoy.json", folder, NO_FILE),
    *((name, empty, NO_FOLDER) for name in ("logs", "farm")),
    *((".", all_of(*UNIMPORTANT, *LOGS, way=way), "") for way in (empty, garbage, truncated)),
    ("journal.sqlite3", empty, ""),
    *(("journal.sqlite3", way, "{} cannot be used (") for way in (garbage, truncated)),
    ("journal.sqlite3", lost("DROP TABLE hashes"), "no such table: hashes"),
    ("journal.sqlite3", lost("ALTER TABLE entries DROP COLUMN message"), "no such column: message"),
)
"""What is damaged, how, and what Envoy says of it; "": it starts."""
FARM = (
    *((name, fifo, NO_FILE) for name in ("farm.lock", "farm.json", "farm.sqlite", "database.json")),
    ("farm.json", folder, NO_FILE),
    *((name, empty, NO_FOLDER) for name in ("blobs", "work", "scratch")),
    *((".", all_of("farm.lock", "farm.json", way=way), "") for way in (garbage, truncated)),
    ("database.json", garbage, "{} is damaged"),
    *(("farm.sqlite", way, "{}") for way in (empty, garbage, truncated)),
    ("farm.sqlite", lost("DROP TABLE plans"), "no such table: plans"),
    ("farm.sqlite", lost("ALTER TABLE jobs DROP COLUMN message"), "no such column: jobs.message"),
)
UNREADABLE = (
    *(("envoy", name) for name in ("envoy.json", "envoy.lock", "logs/envoy.log")),
    *(("envoy", name) for name in ("logs", "journal.sqlite3")),
    *(("farm", name) for name in ("farm.lock", "farm.sqlite", "database.json")),
)


def ends_or_serves(command: list[str], said: str, user: int | None = None) -> None:
    """Start a service, and end it when it serves.

    Parameters:
        said: a part of the one sentence with which it ends by itself; "": it serves.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    assert process.stdout is not None
    patience = threading.Timer(MOST_SECONDS, process.kill)
    patience.start()
    heard = []
    with process.stdout:
        for line in process.stdout:
            heard.append(line)
            if says(line, "envoy-ready-data-stop-with") or says(line, "farm-listens-data"):
                process.terminate()
    status = process.wait()
    patience.cancel()
    assert "Traceback" not in "".join(heard)
    assert status == (1 if said else 0), heard
    assert said in heard[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both data folders, as the services made them."""
    made = tmp_path_factory.mktemp("whole")
    ends_or_serves(envoy_command(made / "envoy"), "")
    ends_or_serves(farm_command(made / "farm"), "")
    for name in ("account.json", "devices.json"):
        (made / "envoy" / name).write_text('{"farms": {}, "more": "%s"}' % ("x" * 100))
    (made / "envoy" / "envoy.json").write_text('{"pid": 1, "port": 1}')
    (made / "envoy" / "token").write_text("x" * 40)
    (made / "envoy" / "logs" / "farm.log").write_text("It was well.\n")
    return made


def damaged(whole: Path, folder: Path, name: str, way: Callable[[Path], None]) -> Path:
    """Return a copy of a data folder in which a file is damaged in some way."""
    data = folder / whole.name
    shutil.copytree(whole, data)
    way(data / name)
    return data


def envoy_command(data: Path) -> list[str]:
    envoy = [sys.executable, "-m", "envoy", "up", "--port", "0", "--farm", BUSY]
    return [*envoy, "--data-dir", str(data)]


def farm_command(data: Path) -> list[str]:
    return [sys.executable, "-m", "farm", "serve", "--port", "0", "--data-dir", str(data)]


@pytest.mark.parametrize(("name", "way", "said"), ENVOY)
def test_envoy(
    whole: Path, tmp_path: Path, name: str, way: Callable[[Path], None], said: str
) -> None:
    data = damaged(whole / "envoy", tmp_path, name, way)
    ends_or_serves(envoy_command(data), said.format(Path(name).name))


@pytest.mark.parametrize(("name", "way", "said"), FARM)
def test_farm(
    whole: Path, tmp_path: Path, name: str, way: Callable[[Path], None], said: str
) -> None:
    data = damaged(whole / "farm", tmp_path, name, way)
    ends_or_serves(farm_command(data), said.format(name))


@pytest.fixture(scope="module")
def everybodys() -> Iterator[Path]:
    """A folder with a Python that another user may start."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield python_of_everybody(Path(made) / "python")


@needs_others
@pytest.mark.parametrize(("service", "name"), UNREADABLE)
def test_what_cannot_be_read_is_named(
    whole: Path, everybodys: Path, service: str, name: str
) -> None:
    with tempfile.TemporaryDirectory() as made:
        data = Path(made) / service
        shutil.copytree(whole / service, data)
        (data / name).chmod(0)
        for each in (Path(made), data, *data.rglob("*")):
            os.chown(each, OTHER, OTHER)
        command = envoy_command(data) if service == "envoy" else farm_command(data)
        ends_or_serves([str(everybodys), *command[1:]], name, user=OTHER)
