"""A runner that is told to end while large files are on their way: it does not finish them."""

import os
import threading
from pathlib import Path

import psutil
import pytest
from farm.renderers import Discovery
from farm.runner.farm_client import Farm
from farm.runner.loop import work
from farm_protocol.runner import JobLimits, Outcome
from waiting import until

from .fake_farm import TOKEN, FakeFarm
from .in_process import end
from .test_limits import attack
from .test_overstaying import DELIVERED

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files with holes, and what is open")

HUGE = 2**39
"""Bytes, of which none is on the disk: hashing them takes minutes."""
ROOM = JobLimits(disk_bytes=2 * HUGE, file_bytes=2 * HUGE)
FILM = f"""
os.truncate(os.open(output + "/film.bin", os.O_CREAT | os.O_WRONLY), {HUGE})
tell(event="""
SCENE = FILM.join(DELIVERED.split("\ntell(event=")).replace("extra=[]", 'extra=["film.bin"]')


def reading(suffix: str) -> int:
    """Return how much this process has read of an open file, by the end of its name."""
    found = [each.position for each in psutil.Process().open_files() if each.path.endswith(suffix)]
    return max(found, default=0)


def test_a_large_result_is_not_hashed_to_its_end(tmp_path: Path) -> None:
    def work_with(farm: FakeFarm) -> None:
        runner, stopping = Farm(farm.url, TOKEN), threading.Event()
        there = Discovery({"maya": [str(tmp_path / "maya" / "bin" / "Render")]})
        told = (runner, tmp_path / "work", there, "off", stopping)
        working = threading.Thread(target=work, args=told)
        working.start()
        try:
            until(lambda: reading(".bin") > 2**28)
        finally:
            stopping.set()
            runner.give_up_soon()
            working.join(60)
            assert not working.is_alive()
            runner.close()

    farm = attack(tmp_path, SCENE, "off", ROOM, work_with=work_with)
    assert end(farm).outcome is Outcome.STOPPED, farm.log
    assert farm.frames == {}
