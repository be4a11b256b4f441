"""Confined programs that are ended before they have begun: nothing of them stays behind."""

import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest
from farm.confine import drop, probe
from runner.in_process import python_of_all
from runner.somebody import ordinary_user

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
        done = subprocess.run(line, env=variables, cwd="/", timeout=120, capture_output=True)
        assert done.returncode == 0, done.stderr
        try:
            until = time.monotonic() + 20
            while (left := list(_of(user.uid))) and time.monotonic() < until:
                psutil.wait_procs(left, 0.2)
            assert left == []
        finally:
            for each in _of(user.uid):
                each.kill()


def _of(uid: int) -> Iterator[psutil.Process]:
    yield from (each for each in psutil.process_iter(["uids"]) if each.info["uids"].real == uid)
