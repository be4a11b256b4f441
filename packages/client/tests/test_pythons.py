"""The library under every Python that the machine has: the same script, the same answers.

Against a stand-in that can answer anything; tests/e2e/test_client.py does it with a real Envoy.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from envoy_stand_in import Answer, StandIn
from every_python import VERSIONS, Pythons
from messages import saying

SCRIPT = Path(__file__).parent / "smoke_script.py"


@pytest.fixture(scope="module")
def pythons(request: pytest.FixtureRequest) -> Pythons:
    return Pythons(request.config.cache.mkdir("pythons"))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_smoke_script(envoy: StandIn, pythons: Pythons, version: str) -> None:
    # The password says how to answer.
    statuses: dict[str, Answer] = {
        "401": (401, "nö".encode()),
        "400": (400, {"feld": "nö"}),
        "500": (500, b""),
    }
    usual = (200, {"email": "artist@example.com"})
    envoy.answers["POST", "auth"] = lambda path, body: statuses.get(body["AccessKey"], usual)
    report = json.loads(pythons.run(version, SCRIPT, envoy.url).decode())
    assert report == {
        "files": ["assets/größe ☃.png", "scene.blend"],
        "submitted": "project",
        "machines": 1,
        "status": 200,
        "user": "Ärtist",
        "errors": {
            "local": ["jobs[0].path"],
            "watch": ["watch_files.pattern"],
            "400": ["InvalidRequestError", 400, "feld: nö"],
            "401": ["AuthenticationError", 401, "nö"],
            "500": ["APIError", 500, saying("envoy-answered-with-status", 500)],
            "down": saying("no-envoy-at-address", "http://localhost:1"),
            "no url": saying("envoys-address-cannot-used", "http://local\0host"),
        },
    }
    assert set(envoy.shown) == {"Bearer a-token-of-a-strict-envoy"}
    (body,) = envoy.sent("POST", "/project-submit")
    assert body["project_request"]["jobs"][0]["name"] == "jöb"
    assert body["project_request"]["jobs"][0]["app_version"] == "3.10.0"
    assert list(body["watch_files"]) == ["/größe ☃/.+"]
    assert "/project-status/größe ☃" in envoy.paths()


def test_the_wheel_is_universal_and_holds_the_types(pythons: Pythons) -> None:
    assert pythons.wheel.name == "gridmarkets_envoy_client-7.1.10-py2.py3-none-any.whl"
    names = zipfile.ZipFile(pythons.wheel).namelist()
    package = {name.partition("/")[2] for name in names if name.startswith("gridmarkets/")}
    assert {"__init__.py", "__init__.pyi", "envoy_client.pyi", "py.typed"} <= package
    metadata = zipfile.ZipFile(pythons.wheel).read(
        next(name for name in names if name.endswith("METADATA"))
    )
    requires = [line for line in metadata.decode().splitlines() if line.startswith("Requires-Dist")]
    assert len(requires) == 1
    assert requires[0].startswith("Requires-Dist: requests")


def test_importing_does_nothing_else() -> None:
    code = (
        "import socket, requests, sys, threading\n"
        "before = set(sys.modules)\n"
        "sys.addaudithook(lambda event, args: event.startswith(('socket.', 'subprocess.', 'os.'))"
        " and event not in ('os.listdir', 'os.scandir') and sys.exit(event))\n"
        "import gridmarkets\n"
        "assert threading.active_count() == 1\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(name for name in new if name not in sys.stdlib_module_names))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "gridmarkets\n", "")
