"""Files that are moved out of sight of whoever counts them: real processes that do nothing else."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.confine import Account
from farm_protocol.runner import JobLimits, Outcome, SandboxMode
from messages import saying, says
from waiting import until

from .in_process import end
from .somebody import attack_as, ordinary_user
from .test_limits import MEGABYTE, attack, in_both_worlds, left_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells all of it")

LIMITS = JobLimits(disk_bytes=60 * MEGABYTE)
MESSAGE = saying("renderer-wrote-too-much", "60 MB")
ALL = "all of it is written"

# Four folders, one in the other, of which none has the same name twice, and each is among many:
# whoever has just been told of one comes too late.
MOVING = f"""
def move_for_ever():
    number = 0
    while time.monotonic() < BEGIN + 60:
        os.rename(f"moved{{number}}", f"moved{{number + 1}}")
        number += 1
    os._exit(0)

for _ in range(4):
    for number in range(700):
        os.mkdir(f"empty{{number}}")
    os.mkdir("moved0")
    inner = os.open("moved0", os.O_RDONLY)
    if not os.fork():
        move_for_ever()
    os.fchdir(inner)
for number in range(600):
    with open(f"part{{number}}", "wb") as file:
        file.write(b"x" * 2**20)
    time.sleep(0.01)
print("{ALL}", flush=True)
wait()
"""

# They have themselves continued a thousand times a second, whoever stops them.
CONTINUED = """
import ctypes, signal, struct
kernel = ctypes.CDLL(None)
often = struct.pack("4q", 0, 1_000_000, 0, 1_000_000)

def have_continued():
    timer = ctypes.c_void_p()
    told = struct.pack("qii48x", 0, signal.SIGCONT, 0)
    assert kernel.timer_create(1, told, ctypes.byref(timer)) == 0
    assert kernel.timer_settime(timer, 0, often, None) == 0

have_continued()
os.register_at_fork(after_in_child=have_continued)
"""

# An honest program that writes each file under another name first, and removes old ones.
BUSY = """
for round in range(6):
    for number in range(200):
        name = f"{number % 10}/part{number}"
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name + ".new", "wb") as file:
            file.write(b"x" * 200 * 2**10)
        os.replace(name + ".new", name)
        time.sleep(0.005)
"""


@in_both_worlds
def test_who_moves_folders_all_the_time_is_held_to_the_limit(
    tmp_path: Path, sandbox: SandboxMode
) -> None:
    farm = attack(tmp_path, MOVING, sandbox, LIMITS)
    finish = end(farm)
    assert finish.outcome is Outcome.FAILED
    assert says(finish.message, MESSAGE)
    assert finish.permanent
    assert ALL not in farm.log
    until(lambda: not left_of(tmp_path))


@in_both_worlds
def test_who_does_not_let_itself_be_stopped_is_ended(tmp_path: Path, sandbox: SandboxMode) -> None:
    farm = attack(tmp_path, CONTINUED + MOVING, sandbox, LIMITS)
    finish = end(farm)
    assert finish.outcome is Outcome.FAILED
    stays = saying("renderer-cannot-be-paused")
    assert says(finish.message, MESSAGE) or says(finish.message, stays)
    assert finish.permanent
    assert ALL not in farm.log
    until(lambda: not left_of(tmp_path))


@in_both_worlds
def test_who_writes_and_renames_all_the_time_within_its_limit_goes_on(
    tmp_path: Path, sandbox: SandboxMode
) -> None:
    farm = attack(tmp_path, BUSY, sandbox, LIMITS)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert farm.frames.keys() == {1}


@pytest.fixture
def somebody() -> Iterator[Account]:
    with ordinary_user() as account:
        yield account


@in_both_worlds
def test_an_ordinary_users_farm_holds_such_renderers_too(
    somebody: Account, sandbox: SandboxMode
) -> None:
    outcome, message, log = attack_as(somebody, MOVING, LIMITS, sandbox)
    assert outcome == Outcome.FAILED
    assert says(message, MESSAGE)
    assert ALL not in log
