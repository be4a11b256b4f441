"""Houdini's render.py: what goes wrong, and how it ends."""

import os
import subprocess
import sys

import pytest
from every_python import interpreter
from farm.runner.results.image_check import examine
from farm.runner.results.outputs import OutputError
from messages import saying, says

from .houdini_rig import TAKES, Houdini, node

# Failures while rendering


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        ({"fail_at": 3}, [saying("houdini-could-not-render"), "Error generating frame 3"]),
        ({"lie_at": 3}, [saying("frame-not-written", 3)]),
        ({"error_at": 3}, [saying("frame-not-written", 3), "(Cook error in input: /obj/geo1)"]),
    ],
)
def test_a_frame_that_fails(
    houdini: Houdini, orders: dict[str, int], said: list[saying | str]
) -> None:
    houdini.write(stand_in=orders)
    run = houdini.render("1-4")
    assert says(run.failure, said[0])
    assert all(str(each) in run.failure for each in said[1:])
    assert run.code == 3
    assert not run.of("failed")[0]["permanent"]
    assert houdini.delivered() == ["shot.0001.png", "shot.0002.png"]


def test_a_crash(houdini: Houdini) -> None:
    houdini.write(stand_in={"crash_at": 2})
    run = houdini.render("1-3")
    assert run.code in (-11, 139)
    assert run.of("failed") == []
    assert houdini.delivered() == ["shot.0001.png"]


@pytest.mark.parametrize("order", ["truncate", "wrong_size"])
def test_bad_files_are_the_runners_to_find(houdini: Houdini, order: str) -> None:
    houdini.write(stand_in={order: 1})
    (name,) = houdini.render("1").files
    with pytest.raises(OutputError):
        examine(houdini.output / name, name, (64, 36))


def test_no_licence_to_render(houdini: Houdini) -> None:
    houdini.write(stand_in={"licence": True})
    run = houdini.render("1")
    assert "No licenses could be found to run this application." in run.lines
    assert "Please check for a valid license server host" in run.lines
    assert says(run.failure, "houdini-no-licence")
    assert "No licenses could be found" in run.failure
    assert not run.of("failed")[0]["permanent"]


def test_no_licence_to_start(houdini: Houdini) -> None:
    houdini.licensed = False
    houdini.write()
    run = houdini.render("1")
    assert run.code != 0
    assert "No licenses could be found to run this application." in run.lines


@pytest.mark.parametrize(
    ("order", "line"),
    [("licence", "License error"), ("no_devices", "No devices found. Aborting rendering.")],
)
def test_redshift_failures_stay_visible(houdini: Houdini, order: str, line: str) -> None:
    houdini.write(
        out__r=node("Redshift_ROP", RS_outputFileNamePrefix="$F.png"), stand_in={order: True}
    )
    run = houdini.render("1", "/out/r")
    assert run.failure
    assert any(text.startswith(line) for text in run.lines)


def test_it_ends_with_its_runner(houdini: Houdini) -> None:
    """A process that starts hython and ends leaves no hython behind, not even a hanging one."""
    houdini.write(stand_in={"hang_at": 2})
    command = houdini.command("1-3", "/out/mantra1", {})
    runner = f"""
import os, subprocess, sys
environment = {{"FARM_PARENT": str(os.getpid())}}
hython = subprocess.Popen({command!r}, env=environment, stdout=subprocess.PIPE)
for line in hython.stdout:
    if b"RopNode.render: frame 2" in line:
        break
print(hython.pid)
"""
    # The pipe that is passed on closes when hython, its last holder, has ended.
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", runner.replace("stdout=", f"pass_fds=[{writing}], stdout=")],
        pass_fds=[writing],
        check=True,
        capture_output=True,
        timeout=60,
    )
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert done.stdout.strip().isdigit()


@pytest.mark.parametrize("version", ["3.7", "3.9", "3.10"])
def test_each_python_of_houdini(houdini: Houdini, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"There is no Python {version} here.")
    houdini.python = str(python)
    houdini.write(takes=TAKES)
    run = houdini.render("1-2", take="wide", env={"A": "b"}, upload=["*.png"], whole="true")
    assert run.code == 0, run
    assert run.files == ["wide.0001.png", "wide.0002.png"]
