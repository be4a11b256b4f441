"""The library under every Python that the machine has: the same script, the same answers."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

VERSIONS = ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
SOURCE = Path(__file__).parents[1] / "src"
SCRIPT = Path(__file__).parent / "smoke_script.py"

# The last versions that these old Pythons can run: their pips would choose newer ones.
OLD = ["requests==2.27.1", "urllib3==1.26.18", "certifi==2021.10.8", "idna==2.10"]
REQUIREMENTS = {
    "2.7": [*OLD, "chardet==4.0.0"],
    "3.6": [*OLD, "charset-normalizer==2.0.12"],
    "3.7": [*OLD, "charset-normalizer==2.0.12"],
}


def interpreter(version):
    """Return the newest Python of a version under the pyenv root, or None."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(root.glob(f"versions/{version}.*/bin/python"), key=lambda path: len(str(path)))
    return found[-1] if found else None


def install_requests(version, target):
    """Put `requests` for one Python into ``target``; returns what went wrong, or ""."""
    python = interpreter(version)
    if python is None or (target / "requests").exists():
        return ""
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    packages = REQUIREMENTS.get(version, ["requests"])
    done = subprocess.run(
        [*command, "--target", target, *packages], capture_output=True, text=True, timeout=100
    )
    return done.stderr[-500:] if done.returncode else ""


@pytest.fixture(scope="module")
def libraries(request):
    """Folders with `requests` by version, kept in pytest's cache; and what could not be had."""
    folders = {version: request.config.cache.mkdir(f"requests-{version}") for version in VERSIONS}
    with ThreadPoolExecutor(3) as pool:
        failures = pool.map(lambda version: install_requests(version, folders[version]), VERSIONS)
    return folders, dict(zip(VERSIONS, failures, strict=True))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_smoke_script(envoy, libraries, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} under the pyenv root")
    folders, failures = libraries
    if failures[version]:
        pytest.skip(f"requests cannot be installed for Python {version}: {failures[version]}")

    # The password says how to answer.
    statuses = {"401": (401, "nö".encode()), "400": (400, {"feld": "nö"}), "500": (500, b"")}
    usual = envoy.answers["POST", "auth"]

    class Answers(dict):
        def get(self, key, default=None):
            if key == ("POST", "auth"):
                return statuses.get(envoy.requests[-1][2]["AccessKey"], usual)
            return super().get(key, default)

    envoy.answers = Answers(envoy.answers)
    paths = os.pathsep.join([str(SOURCE), str(folders[version])])
    done = subprocess.run(
        [python, "-W", "error::SyntaxWarning", SCRIPT, envoy.url],
        capture_output=True,
        env={"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout.decode())
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
            "500": ["APIError", 500, "Envoy answered with status 500."],
            "down": "Envoy is not running at http://localhost:1. "
            "Start it with `envoy up`, then try again.",
        },
    }
    (body,) = envoy.sent("POST", "/project-submit")
    assert body["project_request"]["jobs"][0]["name"] == "jöb"
    assert body["project_request"]["jobs"][0]["app_version"] == "3.10.0"
    assert list(body["watch_files"]) == ["/größe ☃/.+"]
    assert "/project-status/größe ☃" in envoy.paths()
