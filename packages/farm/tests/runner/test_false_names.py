"""What a process calls itself, which the kernel tells among its numbers, hides nothing of it."""

from pathlib import Path

import pytest
from farm_protocol.runner import JobLimits, Outcome
from farm_protocol.runner import SandboxMode as Mode
from messages import says

from .in_process import end
from .somebody import attack_as, ordinary_user
from .test_limits import MEGABYTE, attack, in_both_worlds

PR_SET_NAME = 15
NAMES = [b"a kB", b"x\rVmRSS: 1 kB", b"\xff\xfe kB", b"Threads:\t1"]
TOO_MUCH = "renderer-used-more-than-memory"
MEMORY = JobLimits(memory_bytes=300 * MEGABYTE)


def holds_memory(name: bytes) -> str:
    return f"""
import ctypes
ctypes.CDLL(None).prctl({PR_SET_NAME}, {name!r}, 0, 0, 0)
time.sleep(0.6)
kept = [bytearray(b"x" * 2**24) for _ in range(40)]
wait_here()
"""


@in_both_worlds
@pytest.mark.parametrize("name", NAMES)
def test_no_name_hides_memory(tmp_path: Path, sandbox: Mode, name: bytes) -> None:
    farm = attack(tmp_path, holds_memory(name), sandbox, MEMORY)
    assert end(farm).outcome is Outcome.FAILED
    assert says(end(farm).message, TOO_MUCH), farm.log


def test_no_name_hides_memory_of_an_ordinary_user() -> None:
    with ordinary_user() as user:
        outcome, message, log = attack_as(user, holds_memory(NAMES[0]), MEMORY, "off")
    assert outcome == Outcome.FAILED, log
    assert says(message, TOO_MUCH), log


STARTS_THREADS = f"""
import ctypes
ctypes.CDLL(None).prctl({PR_SET_NAME}, {NAMES[-1]!r}, 0, 0, 0)
for _ in range(110):
    threading.Thread(target=wait_here, daemon=True).start()
wait_here()
"""


def test_no_name_hides_threads(tmp_path: Path) -> None:
    farm = attack(tmp_path, STARTS_THREADS, "off", JobLimits(processes=100))
    assert end(farm).outcome is Outcome.FAILED
    assert says(end(farm).message, "renderer-has-too-many-processes"), farm.log


def test_who_cannot_be_looked_at_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("not a number")

    monkeypatch.setattr("farm.runner.limits.watch.tree_of", fails)
    farm = attack(tmp_path, "wait_here()", "off", None)
    assert end(farm).outcome is Outcome.FAILED
    assert says(end(farm).message, "how-much-renderer-uses-cannot")
