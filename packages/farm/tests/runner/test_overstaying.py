"""Renderers that work on after the last frame of their claim, which costs nothing any more."""

from pathlib import Path

import pytest
from farm.runner.claim import run
from farm_protocol.runner import Outcome

from .in_process import end
from .test_limits import attack

DELIVERED = """
import json, os, shutil

def tell(**event):
    print("farm_event: " + json.dumps(event), flush=True)

output = os.getcwd().replace("/partial", "/output")
shutil.copy(os.path.join(os.path.dirname(__file__), "picture.png"), output + "/frame_0001.png")
tell(event="frame_written", frame=1, files=["frame_0001.png"], extra=[], seconds=1)
"""
GOES_ON = """
while True:
    print("computing", flush=True)
    time.sleep(0.1)
"""
AT_WORK_AGAIN = """
tell(event="frame_started", frame=1)
tell(event="frame_started", frame=2)
"""


@pytest.mark.parametrize("says", ["", AT_WORK_AGAIN], ids=["silent", "at-work-again"])
def test_a_renderer_that_goes_on_after_its_last_frame_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    monkeypatch.setattr(run, "_ENDING_SECONDS", 1.0)
    farm = attack(tmp_path, DELIVERED + says + GOES_ON, "off", None)
    assert list(farm.frames) == [1]
    # Nothing is missing.
    assert end(farm).outcome is Outcome.COMPLETED, farm.log


@pytest.mark.parametrize("frame", [1, 2], ids=["done", "not-its-own"])
def test_a_renderer_that_says_it_is_at_such_a_frame_is_between_frames(
    tmp_path: Path, frame: int
) -> None:
    says = f'tell(event="frame_started", frame={frame})\n'
    farm = attack(tmp_path, DELIVERED + says + GOES_ON, "off", None, yields="delivered")
    assert list(farm.frames) == [1]
    assert (end(farm).outcome, end(farm).frame) == (Outcome.STOPPED, None)
