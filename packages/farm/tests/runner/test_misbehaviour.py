"""Renderers that hang, get no licence, or lie: a program in Blender's place does it on demand."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from farm.runner.farm_client import ChangedError, Farm
from farm_protocol.hashing import hash_file
from farm_protocol.runner import Outcome
from messages import of_scene, saying

from .conftest import Rig
from .fake_farm import TOKEN

VERSION = 'if [ "$1" = "--version" ]; then echo "Blender 3.4.1"; exit 0; fi\n'
EVENT = """echo 'farm_event: {"event": "frame_started", "frame": 1}'\n"""

SECOND = EVENT.replace("1}", "2}")


@pytest.fixture
def pretend(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that makes such a program from lines of shell."""

    def make(script: str) -> str:
        program = tmp_path / "blender"
        program.write_text(f"#!/bin/sh\n{VERSION}{script}\n")
        program.chmod(0o755)
        return str(program)

    return make


def test_a_renderer_that_says_nothing_is_ended(rig: Rig, pretend: Callable[[str], str]) -> None:
    farm = rig.farm("plain.blend", [[1]], silence_timeout=6)
    rig.run(farm, "--blender", pretend(EVENT + "exec sleep 100"))
    finish = farm.finishes["c1"]
    assert finish.outcome is Outcome.FAILED
    where = saying("while-rendered-frame", 1)
    assert finish.message == saying("renderer-was-silent", 6, "silence_timeout", where)
    assert finish.message in farm.log


def test_the_frame_of_a_crash_is_told_with_its_end(rig: Rig, pretend: Callable[[str], str]) -> None:
    farm = rig.farm("plain.blend", [[1, 2], [2]])
    rig.run(farm, "--blender", pretend(EVENT + "kill -SEGV $$"))
    assert (farm.finishes["c1"].frame, farm.finishes["c1"].exit_code) == (1, -signal.SIGSEGV)


def test_before_its_first_frame_a_renderer_is_at_none(
    rig: Rig, pretend: Callable[[str], str]
) -> None:
    farm = rig.farm("plain.blend", [[1, 2]])
    rig.run(farm, "--blender", pretend("exit 7"))
    assert farm.finishes["c1"].frame is None


def test_a_frame_that_was_not_written_is_named_while_the_next_one_renders(
    rig: Rig, pretend: Callable[[str], str]
) -> None:
    farm = rig.farm("plain.blend", [[1, 2]])
    written = (
        '{"event": "frame_written", "frame": 1, "seconds": 1, "files": ["frame_0001.png"],'
        ' "extra": []}'
    )
    rig.run(farm, "--blender", pretend(EVENT + f"echo 'farm_event: {written}'\n" + SECOND))
    assert farm.finishes["c1"].frame == 1


def test_a_frame_that_takes_too_long_is_ended_however_much_it_says(
    rig: Rig, pretend: Callable[[str], str]
) -> None:
    farm = rig.farm("plain.blend", [[1]], frame_timeout=5)
    talk = "while true; do echo Sample; sleep 0.1; done"
    rig.run(farm, "--blender", pretend(EVENT + talk))
    late = saying("frame-not-done-in-time", saying("frame-was-not-done", 1), 5, "frame_timeout")
    assert farm.finishes["c1"].message == late
    assert not farm.finishes["c1"].permanent


NONE = "error: Could not obtain a license (-88)"


def test_without_a_licence_nothing_has_failed(rig: Rig, pretend: Callable[[str], str]) -> None:
    farm = rig.farm("plain.blend", [[1]])
    line = "error: Could not obtain a license (-88)"
    rig.run(farm, "--blender", pretend(f"echo '{line}'\nexec sleep 100"))
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.marker) == (Outcome.NO_LICENCE, line)
    assert line in farm.log


@pytest.mark.parametrize("event", ["warned", "failed"])
def test_half_a_character_in_an_event_does_not_end_the_runner(
    rig: Rig, pretend: Callable[[str], str], event: str
) -> None:
    farm = rig.farm("plain.blend", [[1]])
    told = f'{{"event": "{event}", "message": "a\\ud800b", "permanent": false}}'
    rig.run(farm, "--blender", pretend(f"printf '%s\\n' 'farm_event: {told}'\nexit 7"))
    assert farm.finishes["c1"].outcome is Outcome.FAILED
    assert "a\\ud800b" in farm.log


def test_a_warning_of_each_frame_leaves_room_for_others(
    rig: Rig, pretend: Callable[[str], str]
) -> None:
    farm = rig.farm("plain.blend", [[1]])
    events = [{"event": "warned", "message": each} for each in [*["Dark."] * 12, "No camera."]]
    lines = "\n".join(f"printf '%s\n' 'farm_event: {json.dumps(each)}'" for each in events)
    rig.run(farm, "--blender", pretend(f"{lines}\nexit 7"))
    told = of_scene(farm.requests[-1].warnings)
    assert told == ["Dark.", "No camera."]


BURN = "burn() { i=0; while [ $i -lt 1500000 ]; do i=$((i+1)); done; }\n"
"""Half a second of a processor, in what a sandbox has as well."""


@pytest.mark.parametrize("sandbox", ["auto", "off"])
@pytest.mark.parametrize(
    ("works", "ends"),
    [
        ("burn", "exec sleep 100"),
        ("burn", "exit 1"),
        ("burn & wait", "exec sleep 100"),
        ("(burn; burn) & wait", "exit 1"),
    ],
)
def test_what_computes_before_it_misses_a_licence_has_not_waited(
    rig: Rig, pretend: Callable[[str], str], sandbox: str, works: str, ends: str
) -> None:
    farm = rig.farm("plain.blend", [[1]])
    script = f"{BURN}{works}\necho '{NONE}'\n{ends}"
    rig.run(farm, "--sandbox", sandbox, "--blender", pretend(script))
    finish = farm.finishes["c1"]
    assert finish.outcome is Outcome.NO_LICENCE, farm.log
    assert finish.processor_seconds is not None
    assert finish.processor_seconds > 0.15


def test_what_waits_for_a_licence_does_not_compute(rig: Rig, pretend: Callable[[str], str]) -> None:
    farm = rig.farm("plain.blend", [[1]])
    rig.run(farm, "--blender", pretend(f"sleep 3\necho '{NONE}'\nexec sleep 100"))
    seconds = farm.finishes["c1"].processor_seconds
    assert seconds is not None
    assert seconds < 0.3


def test_an_exit_code_of_0_does_not_clear_a_line_that_condemns(
    rig: Rig, pretend: Callable[[str], str]
) -> None:
    farm = rig.farm("plain.blend", [[1]])
    line = "Error: Found no Cycles device of the specified type"
    rig.run(farm, "--blender", pretend(f"echo '{line}'\nexit 0"))
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.marker) == (Outcome.FAILED, line)
    assert finish.message == saying("renderer-reported-error", line)


def test_denoising_that_blender_does_not_have_fails_for_good_and_says_what_to_do(
    rig: Rig, pretend: Callable[[str], str]
) -> None:
    farm = rig.farm("plain.blend", [[1]])
    line = "Error: Build without OpenImageDenoiser"
    rig.run(farm, "--blender", pretend(f"echo '{line}'\nexit 0"))
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent, finish.marker) == (Outcome.FAILED, True, line)
    assert finish.message == saying("blender-without-denoising")


@pytest.mark.parametrize(
    "line",
    [
        'farm_event: {"event": "frame_started", "frame": Infinity}',
        'farm_event: {"event": "loaded", "width": 1e999, "height": 1}',
        "farm_event: " + "[" * 20_000,
        "openjd_session_runtime_loglevel: ERROR",
        "openjd_fail: no more",
        "openjd_env: no more",
    ],
    ids=["no-frame", "no-size", "brackets", "log-level", "fail", "environment"],
)
def test_a_line_of_a_scene_neither_ends_its_renderer_nor_silences_it(
    rig: Rig, pretend: Callable[[str], str], line: str
) -> None:
    farm = rig.farm("plain.blend", [[1]])
    rig.run(farm, "--blender", pretend(f"echo '{line}'\necho heard\nexit 7"))
    assert farm.finishes["c1"].exit_code == 7
    assert "heard" in farm.log.splitlines()


def test_what_no_script_of_ours_would_tell_is_a_line_of_output(
    rig: Rig, pretend: Callable[[str], str]
) -> None:
    farm = rig.farm("plain.blend", [[1]])
    events = [
        {"event": "warned", "message": ["no", "text"]},
        {"event": "frame_started", "frame": 1.5},
        {"event": "frame_written", "frame": 1, "seconds": 1, "files": "ab", "extra": []},
        {"event": "dreamt"},
    ]
    told = [f"farm_event: {json.dumps(each)}" for each in events]
    lines = "\n".join(f"echo '{each}'" for each in told)
    rig.run(farm, "--blender", pretend(f"{lines}\nexit 7"))
    assert farm.finishes["c1"].exit_code == 7
    assert set(told) <= set(farm.log.splitlines())


def test_a_scene_cannot_have_the_runner_look_for_secrets_in_every_line(
    rig: Rig, pretend: Callable[[str], str]
) -> None:
    farm = rig.farm("plain.blend", [[1]])
    lines = (
        "i=0; while [ $i -lt 15000 ]; do"
        ' echo "openjd_redacted_env: A=$i-and-more"; i=$((i+1)); done'
    )
    rig.run(farm, "--blender", pretend(f"{lines}\necho 1-and-more\nexit 7"))
    assert farm.finishes["c1"].exit_code == 7
    assert "1-and-more" in farm.log


def test_a_result_that_its_renderer_still_changes_is_not_sent_for_ever(
    rig: Rig, tmp_path: Path
) -> None:
    farm = rig.farm("plain.blend", [[1]])
    result = tmp_path / "film.mov"
    result.write_bytes(b"as it was")
    digest, _ = hash_file(result)
    result.write_bytes(b"as it is now")
    calls = Farm(farm.url, TOKEN)
    with pytest.raises(ChangedError):
        calls.upload(digest, result)
    calls.close()
