"""The data folder that `envoy up` is given, and what it takes from others. Real processes."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from envoy_fake_farm import FakeFarm
from envoy_machine import Machine
from messages import says

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")

FILES = {"account.json", "envoy.json", "envoy.lock", "journal.sqlite3", "logs", "logs/envoy.log"}


def modes_of(data: Path) -> dict[str, int]:
    return {
        path.relative_to(data).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in data.rglob("*")
    }


async def test_a_folder_that_its_user_shares_stays_shared_and_what_is_ours_is_private(
    tmp_path: Path, farm: FakeFarm
) -> None:
    data = tmp_path / "envoy"
    (data / "work").mkdir(parents=True)
    (data / "letter").touch()
    (data / "work" / "letter").touch()
    for path, mode in ((data, 0o777), (data / "work", 0o777), (data / "letter", 0o666)):
        path.chmod(mode)
    theirs = modes_of(data)
    machine = Machine(tmp_path, farm)
    # Also when there are things of ours in it already, some of which others may read.
    for start in range(2):
        await machine.start(umask=0)
        try:
            async with machine.studio() as studio:
                await studio.sign_in()
            modes = modes_of(data)
        finally:
            await machine.end()
        assert stat.S_IMODE(data.stat().st_mode) == 0o777
        assert modes.items() >= theirs.items()
        assert modes.keys() >= FILES
        ours = modes.keys() - theirs.keys()
        assert {name for name in ours if modes[name] & 0o077} == (
            {"logs/letter"} if start else set()
        )
        for name in ("logs/letter", "account.json", "logs/envoy.log"):
            (data / name).touch()
            (data / name).chmod(0o666)


def test_folders_of_others_are_not_taken_for_ours(tmp_path: Path) -> None:
    data = tmp_path / "envoy"
    (data / "logs").mkdir(parents=True)
    before = modes_of(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "envoy", "up", "--port", "0", "--data-dir", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert says(done.stderr, "socket-folder-not-ours", "logs")
    assert len(done.stderr.splitlines()) == 1
    assert modes_of(tmp_path) == before
