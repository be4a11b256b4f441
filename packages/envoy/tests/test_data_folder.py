"""The data folder that `envoy up` is given, and what it takes from others. Real processes."""

import stat
import sys

import pytest
from envoy_machine import Machine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")

FILES = {"account.json", "envoy.json", "envoy.lock", "journal.sqlite3", "logs", "logs/envoy.log"}


async def test_a_folder_that_its_user_shares_stays_shared_and_what_is_ours_is_private(
    tmp_path, farm
):
    data = tmp_path / "envoy"
    data.mkdir()
    data.chmod(0o777)
    (data / "letter").touch()
    (data / "letter").chmod(0o666)
    machine = Machine(tmp_path, farm)
    await machine.start(umask=0)
    try:
        async with machine.studio() as studio:
            await studio.sign_in()
        modes = {
            path.relative_to(data).as_posix(): stat.S_IMODE(path.stat().st_mode)
            for path in data.rglob("*")
        }
    finally:
        await machine.end()
    assert stat.S_IMODE(data.stat().st_mode) == 0o777
    assert modes.pop("letter") == 0o666
    assert modes.keys() >= FILES
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
