"""Confined programs that are ended before they have begun: nothing of them stays behind."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from farm.confine import UndecidedError, drop, probe, trials
from runner.in_process import python_of_all
from runner.somebody import nothing_left, ordinary_user

needs_sandbox = pytest.mark.skipif(bool(probe()), reason=probe())

IMAGES = """
import time
from farm.runner.results.image_checks import ImageChecks

for step in range(40):
    checks = ImageChecks("auto")
    checks.warm_up()
    time.sleep(step / 2000)
    checks.close()
"""

BLENDS = """
from contextlib import suppress
from pathlib import Path
from farm.scenes.blend_assets import UnreadableBlendError, missing_assets

for step in range(40):
    with suppress(UnreadableBlendError):
        missing_assets("a.blend", {"a.blend": Path("/etc/passwd")}, step / 2000)
"""


@needs_sandbox
@pytest.mark.parametrize("code", [IMAGES, BLENDS], ids=["images", "blends"])
def test_a_program_that_is_ended_at_its_start_leaves_nothing_behind(code: str) -> None:
    with ordinary_user() as user:
        python, variables = python_of_all()
        line = [*drop(user), python, "-c", code]
        with nothing_left(user, seconds=20):
            done = subprocess.run(line, env=variables, cwd="/", timeout=120, capture_output=True)
            assert done.returncode == 0, done.stderr


def test_a_trial_that_takes_too_long_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trials, "_ASK_SECONDS", 0.5)
    started = tmp_path / "started"
    code = 'sleep 600 > "$0.said" 2>&1 & echo $! > "$0"; wait'
    with pytest.raises(UndecidedError):
        trials.trial(["/bin/sh", "-c", code, str(started)], "It does not work")
    with suppress(psutil.NoSuchProcess):
        left = psutil.Process(int(started.read_text()))
        until = time.monotonic() + 60
        while left.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until
            time.sleep(0.05)
