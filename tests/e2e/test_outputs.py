"""Commands whose standard output is closed, full, or read no further. Real processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil
import pytest
from messages import says

from .conftest import until

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")

FULL, CLOSED, ALL_CLOSED = ">/dev/full", ">&-", "<&- >&- 2>&-"
PLACES = (FULL, CLOSED, ALL_CLOSED, ">/dev/full 2>/dev/full")


def redirected(command: Sequence[str], place: str) -> list[str]:
    program, *rest = command
    beside = str(Path(sys.executable).with_name(program))
    return ["/bin/sh", "-c", f'exec "$@" {place}', "sh", beside, *rest]


@pytest.fixture(scope="module")
def farm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs") / "farm"
    migrate = redirected(["farm", "migrate", "--data-dir", str(folder)], "")
    subprocess.run(migrate, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    ("command", "place"),
    [
        *((("envoy", "--version"), place) for place in PLACES),
        *((("envoy", "up", "--help"), place) for place in (FULL, CLOSED)),
        *((("farm", "--version"), place) for place in (FULL, CLOSED)),
        *((("farm", "jobs", "list", "--data-dir", "FOLDER"), place) for place in (FULL, CLOSED)),
        (("farm", "plans", "list", "--data-dir", "FOLDER"), FULL),
    ],
)
def test_an_answer_that_cannot_be_printed_is_an_error_of_one_sentence(
    farm_folder: Path, command: Sequence[str], place: str
) -> None:
    said = [str(farm_folder) if each == "FOLDER" else each for each in command]
    done = subprocess.run(
        redirected(said, place), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    heard = place in (FULL, CLOSED)
    assert says(done.stderr, "rest-of-answer-lost") is heard
    assert len(done.stderr.splitlines()) == heard


@pytest.mark.parametrize("place", PLACES)
def test_envoy_serves_although_it_cannot_say_so(tmp_path: Path, place: str) -> None:
    data = tmp_path / "data"
    up = ["envoy", "up", "--port", "0", "--data-dir", str(data), "--farm", "http://127.0.0.1:9"]
    process = subprocess.Popen(redirected(up, place), stderr=subprocess.PIPE, text=True)
    port = place_of(data / "envoy.json", process)
    health = httpx.get(f"http://127.0.0.1:{port}/envoy/health", timeout=60, trust_env=False)
    assert health.json()["service"] == "envoy"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(said.splitlines()) == (place in (FULL, CLOSED)), said


def test_the_farm_serves_although_it_cannot_say_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    serve = ["farm", "serve", "--port", "0", "--data-dir", str(data)]
    process = subprocess.Popen(redirected(serve, ">/dev/full 2>/dev/full"))
    url = place_of(data / "farm.json", process)
    assert httpx.get(f"{url}/v1/health", timeout=60, trust_env=False).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_who_reads_no_further_gets_no_traceback(farm_folder: Path) -> None:
    command = ["farm", "plans", "list", "--json", "--data-dir", str(farm_folder)]
    process = subprocess.Popen(
        redirected(command, ""), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(60) == 1


def place_of(path: Path, process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> object:
    """Wait for a service to write down where it is, and return that."""

    # Starting shows in nothing else.
    def seen() -> float:
        return float(psutil.Process(process.pid).cpu_times().user)

    return until(lambda: address(path, process), f"a service writes {path.name}", seen)


def address(path: Path, process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> object:
    """Return where a service is, once it has written it down."""
    assert process.poll() is None
    try:
        told = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return told.get("port") or told.get("url")
