"""The client library, installed as its users do, for every Python that it promises to run on."""

import json
import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

VERSIONS = ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
CLIENT = Path(__file__).parents[2] / "packages" / "client"

# The last versions that these old Pythons can run: their pips would choose newer ones.
_OLD = ["requests==2.27.1", "urllib3==1.26.18", "certifi==2021.10.8", "idna==2.10"]
_CONSTRAINTS = {
    "2.7": [*_OLD, "chardet==4.0.0"],
    "3.6": [*_OLD, "charset-normalizer==2.0.12"],
    "3.7": [*_OLD, "charset-normalizer==2.0.12"],
}


# Who installs takes away what another executes: all workers of a test run use what the first made.
_TEST_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex


class Pythons:
    """Folders made by ``pip install -t``, one a version, once in a test run.

    Parameters:
        cache: kept between test runs, so that `requests` is fetched once.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        made = cache / "made.json"
        with FileLock(cache / "lock"):
            told = json.loads(made.read_text()) if made.exists() else {}
            if told.get("run") != _TEST_RUN:
                made.unlink(missing_ok=True)
                told = {"run": _TEST_RUN, "failures": self._make()}
                made.write_text(json.dumps(told))
        self._failures: dict[str, str] = told["failures"]
        (self.wheel,) = (cache / "dist").glob("*.whl")

    def _make(self) -> dict[str, str]:
        wheel = build_wheel(self._cache / "dist")
        with ThreadPoolExecutor(3) as pool:
            failures = pool.map(lambda version: self._install(version, wheel), VERSIONS)
        return dict(zip(VERSIONS, failures, strict=True))

    def run(self, version: str, script: Path, *arguments: str) -> bytes:
        """Run a script under one Python and return what it printed; the test fails if it does.

        Without that Python the test is skipped, but in continuous integration it fails.
        """
        python = interpreter(version)
        problem = self._failures[version] if python else f"no Python {version} under the pyenv root"
        if python is None or problem:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(problem)
        done = subprocess.run(
            [python, "-W", "error::SyntaxWarning", script, *arguments],
            capture_output=True,
            env={
                "PYTHONPATH": str(self._folder(version)),
                "PYTHONDONTWRITEBYTECODE": "1",
                "LANG": "C.UTF-8",
            },
            timeout=100,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def _folder(self, version: str) -> Path:
        return self._cache / f"python{version}"

    def _install(self, version: str, wheel: Path) -> str:
        """Return what went wrong, or ""."""
        python, folder = interpreter(version), self._folder(version)
        if python is None:
            return ""
        constraints = self._cache / f"constraints-{version}.txt"
        constraints.write_text("\n".join(_CONSTRAINTS.get(version, [])))
        command: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--quiet",
        ]
        command += ["--target", folder, "--upgrade", "-c", constraints, wheel]
        command += ["--no-deps"] * (folder / "requests").exists()
        done = subprocess.run(command, capture_output=True, text=True, timeout=150)
        return done.stderr[-500:] if done.returncode else ""


def interpreter(version: str) -> Path | None:
    """Return the newest Python of a version under the pyenv root, or None."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = root.glob(f"versions/{version}.*/bin/python")
    return max(found, key=lambda path: len(str(path)), default=None)


def build_wheel(folder: Path) -> Path:
    """Build the client's wheel and return it."""
    for old in folder.glob("*.whl"):
        old.unlink()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=CLIENT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel
