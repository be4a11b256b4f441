"""The Blenders of the tests: the installed one, and others as Python modules."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from every_python import interpreter
from filelock import FileLock

BPY_5 = "5.3.0"
BPY_4 = "4.5.15"
_PYTHONS = {BPY_5: "3.13", BPY_4: "3.11"}


@dataclass(frozen=True)
class Blender:
    """A Blender, or a Python that has ``bpy``.

    Attributes:
        program: its path.
        major: of its version.
    """

    program: Path
    major: int

    @property
    def is_module(self) -> bool:
        return "python" in self.program.name

    def run(
        self, script: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a script of ours, with the factory's settings; return what it printed.

        Parameters:
            arguments: come after ``--``.
            environment: replaces variables of this process's.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        line = [str(self.program)]
        if not self.is_module:
            line += ["-b", "--factory-startup", "--python-exit-code", "3", "-P"]
        line += [str(script), "--", *arguments]
        variables = {**os.environ, **(environment or {})}
        done = subprocess.run(line, check=True, capture_output=True, text=True, env=variables)
        return done.stdout

    def made_by(self, script: Path, folder: Path) -> Path:
        """Return a folder that a script has filled."""
        self.run(script, str(folder))
        return folder


def installed() -> Blender:
    """Return the Blender on the PATH. Without one the test is skipped."""
    found = shutil.which("blender")
    if found is None:
        pytest.skip("needs blender on the PATH")
    told = subprocess.run([found, "--version"], check=True, capture_output=True, text=True)
    return Blender(Path(found), int(told.stdout.split()[1].partition(".")[0]))


def from_pypi(version: str, cache: Path) -> Blender:
    """Return a Blender from PyPI. Without its Python the test is skipped, except in CI.

    Parameters:
        version: one of those above.
        cache: kept between test runs: there are 1 GB to install, which takes half a minute.
    """
    python = cache / "bin" / "python"
    base = interpreter(_PYTHONS[version])
    if base is None:
        problem = f"bpy {version} needs Python {_PYTHONS[version]}, not found under the pyenv root"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(problem)
    with FileLock(cache.with_suffix(".lock")):
        if not (cache / version).exists():
            subprocess.run([base, "-m", "venv", "--clear", str(cache)], check=True)
            options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
            subprocess.run(
                [python, "-m", "pip", "install", *options, f"bpy=={version}"],
                check=True,
                stdout=sys.stderr,
            )
            (cache / version).touch()
    return Blender(python, int(version.partition(".")[0]))
