"""The stand-ins, ready to run."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stand_ins import install

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All programs, in a folder with a name that shells dislike."""
    return install(tmp_path_factory.mktemp("it's a bin"))


@pytest.fixture
def run(programs: dict[str, Path], tmp_path: Path) -> Run:
    """Run a product's program in the test's folder, in which is a folder out."""
    (tmp_path / "out").mkdir()

    def run(product: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs[product], *arguments],
            cwd=tmp_path,
            env={},
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    return run
