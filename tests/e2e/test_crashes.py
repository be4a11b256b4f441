"""kill -9 of every process at several moments: the job completes, each frame is charged once."""

import os
import signal

import pytest
from waiting import until_dead

from .conftest import Studio

FRAMES = 8


def moment(studio: Studio, when: str) -> None:
    """Wait for the moment: uploading, starting, in the middle, near the end."""
    match when:
        case "submitted":
            studio.until(studio.activity, "Envoy knows of the submission")
        case "started":
            studio.until(lambda: studio.processes("render.py"), "the renderer runs")
        case "middle":
            studio.wait_for_frames(2)
        case "end":
            studio.wait_for_frames(FRAMES - 1)


@pytest.mark.parametrize("when", ["submitted", "started", "middle", "end"])
def test_envoy_dies(studio: Studio, when: str) -> None:
    studio.submit(f"1 {FRAMES}")
    moment(studio, when)
    studio.kill_envoy()
    studio.up()
    studio.assert_complete(FRAMES)


@pytest.mark.parametrize("when", ["submitted", "started", "middle", "end"])
def test_the_farm_dies(studio: Studio, when: str) -> None:
    studio.submit(f"1 {FRAMES}")
    moment(studio, when)
    # Envoy notices and starts it again.
    os.kill(studio.farm_process().pid, signal.SIGKILL)
    studio.assert_complete(FRAMES)


@pytest.mark.parametrize("when", ["started", "middle"])
def test_a_runner_dies(studio: Studio, when: str) -> None:
    studio.submit(f"1 {FRAMES}")
    moment(studio, when)
    renderers = studio.processes("render.py")
    studio.kill("-m farm.runner")
    # Its renderer does not live on unseen.
    until_dead(renderers)
    studio.assert_complete(FRAMES)


@pytest.mark.parametrize("when", ["started", "middle"])
def test_the_renderer_dies(studio: Studio, when: str) -> None:
    studio.submit(f"1 {FRAMES}")
    moment(studio, when)
    studio.kill("render.py")
    studio.assert_complete(FRAMES)


def test_everything_dies(studio: Studio) -> None:
    studio.submit(f"1 {FRAMES}")
    moment(studio, "middle")
    for process in studio.processes():
        process.kill()
    assert studio.envoy is not None
    studio.envoy.wait()
    studio.up()
    studio.assert_complete(FRAMES)
