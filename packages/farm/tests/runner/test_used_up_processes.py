"""A user whose processes are used up, as a scene can do: nothing is rendered without a sandbox."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.confine import Account, probe
from farm_protocol.runner import Outcome
from messages import says

from .fake_farm import FakeFarm
from .in_process import end
from .somebody import folder_of, holding, ordinary_user, runner_of
from .test_limits import attack

pytestmark = [
    pytest.mark.skipif(bool(probe()), reason=probe()),
    pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit"),
]

WHERE = "print('rendered on:', os.uname().nodename, flush=True)"
"""A sandbox has a name of its own."""
IN_SANDBOX = "rendered on: render\n"
MOST = """
import resource
print("may have:", resource.getrlimit(resource.RLIMIT_NPROC), flush=True)
"""
TAKEN = 100
TAKE = """
import sys, threading
for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print(flush=True)
sys.stdin.read()
"""


def runner(user: Account, folder: Path, farm: FakeFarm, most: str) -> subprocess.Popen[bytes]:
    """Start a runner of a user who may have so many processes: soft and hard limit."""
    return runner_of(user, folder, farm, ["prlimit", f"--nproc={most}", "--"])


@pytest.fixture
def user() -> Iterator[Account]:
    with ordinary_user() as account:
        yield account


@pytest.fixture
def folder(user: Account) -> Iterator[Path]:
    with folder_of(user) as made:
        yield made


def limits(left: int) -> str:
    """Return the limits with which so many are left for what a runner starts."""
    return f"{TAKEN + 1 + left}:{10 * TAKEN}"


# The first sandbox gets some of its processes, but not all.
@pytest.mark.parametrize("left", [0, 1, 3])
def test_a_runner_without_processes_waits_for_its_sandbox(
    user: Account, folder: Path, left: int
) -> None:
    def work_with(farm: FakeFarm) -> None:
        with holding(user, TAKE, TAKEN) as hog, runner(user, folder, farm, limits(left)) as process:
            try:
                # By now it has looked for its sandbox.
                farm.wait(lambda: farm.asked_for_job or process.poll() is not None)
                hog.kill()
                hog.wait()
                assert process.wait(60) == 0
            finally:
                process.kill()

    farm = attack(folder, WHERE, "auto", None, work_with=work_with)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert IN_SANDBOX in farm.log
    assert not any(request.warnings for request in farm.requests)


@pytest.mark.long
def test_a_runner_that_stays_without_processes_gives_its_claim_back(
    user: Account, folder: Path
) -> None:
    def work_with(farm: FakeFarm) -> None:
        with holding(user, TAKE, TAKEN), runner(user, folder, farm, limits(0)) as process:
            try:
                assert process.wait(120) == 1
            finally:
                process.kill()

    farm = attack(folder, WHERE, "auto", None, work_with=work_with)
    finish = end(farm)
    assert (finish.outcome, finish.permanent, farm.frames) == (Outcome.STOPPED, False, {})
    assert says(finish.message, "sandbox-cannot-be-checked-now")
    assert says(farm.log, "sandbox-cannot-be-checked-now")


def test_a_runner_that_is_told_to_end_does_not_wait_for_processes(
    user: Account, folder: Path
) -> None:
    def work_with(farm: FakeFarm) -> None:
        with holding(user, TAKE, TAKEN), runner(user, folder, farm, limits(0)) as process:
            try:
                farm.wait(lambda: farm.asked_for_job)
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()

    farm = attack(folder, WHERE, "auto", None, work_with=work_with)
    assert (farm.finishes, farm.frames) == ({}, {})


def test_a_renderer_gets_half_of_the_processes_that_its_user_may_have(
    user: Account, folder: Path
) -> None:
    def work_with(farm: FakeFarm) -> None:
        with runner(user, folder, farm, "400:400") as process:
            try:
                assert process.wait(60) == 0
            finally:
                process.kill()

    farm = attack(folder, WHERE + MOST, "auto", None, work_with=work_with)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert IN_SANDBOX in farm.log
    assert "may have: (200, 200)\n" in farm.log
