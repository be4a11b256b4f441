"""The client library, installed as its users do, for every Python that it promises to run on."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

VERSIONS = ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
CLIENT = Path(__file__).parents[2] / "packages" / "client"

# The last versions that these old Pythons can run: their pips would choose newer ones.
_OLD = ["requests==2.27.1", "urllib3==1.26.18", "certifi==2021.10.8", "idna==2.10"]
_CONSTRAINTS = {
    "2.7": [*_OLD, "chardet==4.0.0"],
    "3.6": [*_OLD, "charset-normalizer==2.0.12"],
    "3.7": [*_OLD, "charset-normalizer==2.0.12"],
}


class Pythons:
    """Folders made by ``pip install -t``, one a version.

    Parameters:
        cache: kept between test runs, so that `requests` is fetched once. Of this process alone:
            one that installs takes away what another executes.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self.wheel = build_wheel(cache / "dist")
        with ThreadPoolExecutor(3) as pool:
            failures = pool.map(self._install, VERSIONS)
        self._failures = dict(zip(VERSIONS, failures, strict=True))

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

    def _install(self, version: str) -> str:
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
        command += ["--target", folder, "--upgrade", "-c", constraints, self.wheel]
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
