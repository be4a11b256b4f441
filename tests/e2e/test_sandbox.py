"""A farm on a machine without bubblewrap says so where users and operators look."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.confine import is_root
from messages import saying, says

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
    (warning,) = job["warnings"]
    # What it could do, in words.
    rights = "scene-runs-without-rights" if is_root() else "scene-can-read-change-delete"
    assert warning == saying("render-machine-no-working-sandbox", "bubblewrap", saying(rights))
    log = (bare_studio.data / "logs" / "farm.log").read_text()
    assert says(log, "render-machine-no-working-sandbox", "bubblewrap")


def test_with_a_second_account_nothing_renders_without_a_sandbox(bare_studio: Studio) -> None:
    bare_studio.submit("1")
    bare_studio.wait_for_job("completed")
    bare_studio.add_user("second@example.com")
    bare_studio.submit("2")
    # The job is no failure of the scene: it says what the machine lacks.
    message = bare_studio.until(lambda: refusals(bare_studio), "a runner refuses")
    assert says(message, "farm-requires-one-farm-sandbox")
    assert not (bare_studio.results / "frame_0002.png").exists()


def refusals(studio: Studio) -> str:
    """Return what the newest runners say that refuse; "" so far."""
    logs = (studio.data / "farm" / "logs").glob("runner-*.log")
    lines = [line for log in logs for line in log.read_text().splitlines()]
    return next((line for line in lines if says(line, "farm-requires-one-farm-sandbox")), "")
