"""A farm on a machine without bubblewrap says so where users and operators look."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Studio, a_studio


@pytest.fixture
def bare_studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """A studio whose PATH leads to Blender and to nothing else."""
    blender = shutil.which("blender")
    if blender is None:
        pytest.skip("no blender on PATH")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "blender").symlink_to(blender)
    monkeypatch.setenv("PATH", str(folder))
    yield from a_studio(tmp_path)


def test_without_a_sandbox_the_job_and_the_farm_say_so(bare_studio: Studio) -> None:
    bare_studio.submit("1")
    job = bare_studio.wait_for_job("completed")
    reason = "This render machine has no working sandbox (bubblewrap is not installed)"
    assert job["warnings"] == [f"{reason}: the scene ran with the rights of the farm's user."]
    assert reason in (bare_studio.data / "logs" / "farm.log").read_text()
