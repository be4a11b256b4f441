"""Each way in which Blender fails or lies, as the facts about renderers list them: real Blender.

Elsewhere: a missing camera or texture, negative frames (`test_runner_process`), no GPU, an unknown
engine (`test_blender_choices`). The order of arguments, ``-f`` and ``-s`` do not matter: the farm
gives Blender a script instead.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from blenders import installed
from farm.products import BUILT_IN
from farm.runner.claim.verdict import condemn
from farm.runner.results.image_check import examine
from farm_protocol.runner import Finish, Outcome
from messages import says

from .conftest import Rig
from .fake_farm import FakeFarm

pytestmark = pytest.mark.every_blender

# Blender, after the folder into which it renders has become something else.
NO_FOLDER = """#!/bin/sh
for each; do case $each in --partial=*) rmdir "${{each#--partial=}}"; touch "${{each#--partial=}}";;
esac; done
exec {blender} "$@"
"""


def failed(rig: Rig, farm: FakeFarm, *arguments: str) -> Finish:
    """Run a job that must fail without a frame; return how it ended."""
    assert rig.run(farm, *arguments) == 0
    finish = farm.finishes["c1"]
    assert (finish.outcome, farm.frames) == (Outcome.FAILED, {})
    return finish


def test_a_blocked_driver_is_no_picture(rig: Rig) -> None:
    finish = failed(rig, rig.farm("driver.blend", [[1]]))
    assert finish.permanent
    assert says(finish.message, "scene-animated-by-expression")


def test_denoising_that_this_blender_cannot_do_is_no_picture(rig: Rig) -> None:
    if not (rig.scenes / "no_denoiser").exists():
        pytest.skip("this Blender can denoise")
    finish = failed(rig, rig.farm("denoise.blend", [[1]]))
    assert finish.permanent
    assert "denois" in finish.message.lower()


def test_a_folder_that_cannot_be_written_is_said(rig: Rig, tmp_path: Path) -> None:
    program = tmp_path / rig.blender.program.name
    program.write_text(NO_FOLDER.format(blender=rig.blender.program))
    program.chmod(0o755)
    finish = failed(rig, rig.farm("plain.blend", [[1]]), "--blender", str(program))
    assert not finish.permanent, "another machine may have room"
    assert "cannot save" in finish.message


def test_a_scene_that_is_not_there_is_said(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]])
    farm.job = farm.job.model_copy(update={"scene": "show/gone.blend"})
    finish = failed(rig, farm)
    assert finish.permanent
    assert "gone.blend" in finish.message


def test_an_exception_in_a_script_of_the_scene_does_not_happen(rig: Rig) -> None:
    """Blender would print it, go on and exit with 0: the script is not run, and that is said."""
    (rig.scenes / "hostile.py").write_text(
        "bpy.app.handlers.frame_change_pre.append(lambda *_: 1 / 0)\nraise RuntimeError('scene')\n"
    )
    farm = rig.farm("hostile.blend", [[1]], files=["hostile.py"])
    assert rig.run(farm) == 0
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED
    assert says(farm.log, "scenes-python-texts-not-run")
    assert "Traceback" not in farm.log


def test_blenders_own_words_and_exit_codes() -> None:
    """An unknown format alone ends with 0, and with pictures in the format of the scene."""
    symptoms = BUILT_IN.template("blender_render").symptoms
    line = [
        str(installed().program),
        "-b",
        "--factory-startup",
        "-F",
        "NOPE",
        "/nonexistent/x.blend",
    ]
    done = subprocess.run(line, capture_output=True, text=True)
    said = (done.stdout + done.stderr).splitlines()
    assert any(line.startswith("Error: Cannot read file '/nonexistent/x.blend'") for line in said)
    assert done.returncode == 1
    (failure,) = filter(None, (condemn(line, symptoms) for line in said))
    assert failure.marker.startswith("Error: Format from '-F")


def test_sigterm_leaves_whole_pictures_only(
    rig: Rig, renderers_of: Callable[[int], list[int]]
) -> None:
    farm = rig.farm("slow.blend", [[1, 2, 3, 4, 5, 6]])
    runner = rig.start(farm)
    farm.wait(lambda: 2 in farm.frames)
    for pid in renderers_of(runner.pid):
        os.kill(pid, signal.SIGTERM)
    assert runner.wait(60) == 0
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent) == (Outcome.FAILED, False)
    assert "SIGTERM" in finish.message or finish.exit_code == 128 + signal.SIGTERM
    assert 6 not in farm.frames
    for done in farm.frames.values():
        for output in done.outputs:
            picture = rig.tmp_path / "picture.png"
            picture.write_bytes(farm.blobs[output.hash])
            examine(picture, picture.name, (64, 36))
    assert list(rig.work_dir.iterdir()) == []
