"""A farm on a machine without bubblewrap says so where users and operators look."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Studio, a_studio, until


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
    (warning,) = job["warnings"]
    # What it could do, in words.
    assert warning.startswith(f"{reason}: a scene ")
    assert "read" in warning
    assert "use the network" in warning
    assert reason in (bare_studio.data / "logs" / "farm.log").read_text()


def test_with_a_second_account_nothing_renders_without_a_sandbox(bare_studio: Studio) -> None:
    bare_studio.submit("1")
    bare_studio.wait_for_job("completed")
    bare_studio.add_user("second@example.com")
    bare_studio.submit("2")
    # The job is no failure of the scene: it says what the machine lacks.
    message = until(lambda: refusals(bare_studio), "a runner refuses")
    assert "and this farm requires one" in message
    assert not (bare_studio.results / "frame_0002.png").exists()


def refusals(studio: Studio) -> str:
    """Return what the newest runners say that refuse; "" so far."""
    logs = (studio.data / "farm" / "logs").glob("runner-*.log")
    lines = [line for log in logs for line in log.read_text().splitlines()]
    return next((line for line in lines if "requires one" in line), "")
