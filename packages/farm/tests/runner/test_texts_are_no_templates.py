"""No text that a user gives is a template: it comes out of a job as it went in.

What is tried are the marks of everything that a text passes through on its way: Python's formats,
OpenJD's, C's, shells', globs', regular expressions', and those of the programs.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from farm.products import BUILT_IN
from farm.renderers import Renderer
from farm_protocol.paths import UnsafePathError, check_segment
from farm_protocol.runner import Outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stand_ins import install
from stand_ins.scenes import write_scene

from .conftest import Rig
from .film_desk import Desk
from .in_process import names, run_job

MARKS = (
    *(
        "{parent}",
        "{0}",
        "{}",
        "{first}",
        "{{Param.Frame}}",
        "{{Task.Param.Frame}}",
        "{PartialFolder}",
    ),
    *(
        "%s",
        "%04d",
        "%(x)s",
        "%%",
        "%d",
        "%V",
        "$HOME",
        "${HOME}",
        "$(id)",
        "`id`",
        "$F4",
        "~",
        "!x",
    ),
    *("*", "?", "[a-z]", "[", "]", "\\1", "\\g<0>", "\\", "<UDIM>", "<f>", "'", '"', ";", "&", "|"),
    *("#", "é", " ", "--", "-x", "=", "@", ",", "a", "_", "1"),
)
NAME = "a {parent} {0} %04d %s $HOME [x] ~ `id` {{Param.Frame}} é"
"""Of a file or folder, with what may stand there."""

ECHO = """#!/usr/bin/env python3
import json, sys
sys.stdout.buffer.write(b"told: " + json.dumps(sys.argv[1:]).encode() + b"\\n")
"""

texts = st.lists(st.sampled_from(MARKS), max_size=6).map("".join)


def _can_be_a_name(text: str) -> bool:
    try:
        check_segment(text)
    except UnsafePathError:
        return False
    return len(text) < 100


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.fixed_dictionaries(
        {
            "scene": texts,
            "view_layer": texts,
            "camera": texts,
            "output_prefix": texts.filter(_can_be_a_name),
        }
    )
)
def test_a_program_is_told_what_the_user_wrote(
    tmp_path_factory: pytest.TempPathFactory, given: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("texts") / NAME
    program = folder / "bin" / "blender"
    program.parent.mkdir(parents=True)
    program.write_text(ECHO)
    program.chmod(0o755)
    scene = folder / "project" / NAME / f"{NAME}.blend"
    scene.parent.mkdir(parents=True)
    scene.write_bytes(b"BLENDER-v400")
    farm = run_job(
        folder,
        "blender",
        [Renderer("blender", "4.0", "blender", (str(program),), "on the PATH")],
        "render",
        f"{NAME}/{NAME}.blend",
        [[1]],
        {"frames": "1", **given},
    )
    (line,) = [each for each in farm.log.splitlines() if "told: " in each]
    told = json.loads(line.partition("told: ")[2])
    for option, parameter in (
        ("scene-name", "scene"),
        ("view-layer", "view_layer"),
        ("camera", "camera"),
        ("prefix", "output_prefix"),
    ):
        assert f"--{option}={given[parameter]}" in told
    (path,) = [each for each in told if each.startswith("--scene=")]
    assert path.endswith(f"/show/{NAME}/{NAME}.blend")


@pytest.mark.parametrize("product", ["maya", "c4d", "vray"])
def test_files_of_driven_programs_get_the_names_that_are_asked_for(
    tmp_path: Path, product: str
) -> None:
    program = install(tmp_path / "bin", product)[product]
    (tmp_path / "project" / NAME).mkdir(parents=True)
    scene = write_scene(tmp_path / "project" / NAME, product)
    scene = scene.rename(scene.with_name(f"{NAME}{scene.suffix}"))
    farm = run_job(
        tmp_path,
        product,
        program,
        "render",
        f"{NAME}/{scene.name}",
        [[1, 2]],
        {"frames": "1 2", "output_prefix": f"{NAME}/{NAME}_", "output_format": "PNG"},
    )
    assert {end.outcome for end in farm.finishes.values()} == {Outcome.COMPLETED}, farm.log
    assert [files[0] for files in names(farm).values()] == [
        f"{NAME}/{NAME}_{frame:04d}.png" for frame in (1, 2)
    ]


def test_blender_writes_the_names_that_are_asked_for(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]], output_prefix=f"{NAME}/{NAME}_")
    assert rig.run(farm) == 0
    assert names(farm) == {1: [f"{NAME}/{NAME}_0001.png"]}, farm.log


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg on the PATH")
def test_a_film_is_called_as_asked_wherever_it_is_made(tmp_path: Path) -> None:
    desk = Desk(tmp_path / NAME)
    desk.draw(1, 2, name=f"{NAME}_")
    farm = desk.run(f"{NAME}_####.png", frames="1 2", output_prefix=NAME, claim=1)
    assert {end.outcome for end in farm.finishes.values()} == {Outcome.COMPLETED}, farm.log
    assert [path.path for done in farm.frames.values() for path in done.outputs] == [
        f"show/render_results/out/{NAME}.mp4"
    ]


@pytest.mark.parametrize(
    ("app", "parameter", "text"),
    [
        ("maya", "camera", 'persp"; system("id"); "'),
        ("maya", "render_layer", "`ls`"),
        ("hou", "disk_output_path", "`system('id')`.$F4.exr"),
        ("hou", "disk_output_ext", "`id`"),
    ],
)
def test_what_a_program_would_execute_is_refused(app: str, parameter: str, text: str) -> None:
    template = BUILT_IN.load(app, "render")
    assert template is not None
    checked = template.validate({"frames": "1", parameter: text})
    assert list(checked.errors) == [parameter]
    named = {"camera": "|set|a:persp1", "disk_output_path": "beauty.$OS.$F4.exr"}
    good = {name: value for name, value in named.items() if name == parameter}
    assert not template.validate({"frames": "1", **good}).errors
