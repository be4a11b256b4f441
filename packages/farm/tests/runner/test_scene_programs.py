"""A scene's own programs do not run: real scenes, real Blender, and no sandbox to catch them."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from blenders import Blender
from farm import products
from farm.confine import probe
from farm_protocol.runner import Outcome
from messages import of_scene, saying, says

from .conftest import Rig
from .fake_farm import FakeFarm

EVIL = '\',exec(__import__("bpy").data.texts[0].as_string()))#'


def lines_lack(scene: str) -> saying:
    return saying("freestyle-script-not-run", "ViewLayer", scene, "style.py")


def renamed(kind: str) -> saying:
    names = (f"x?{EVIL}", f"x_{EVIL}")
    return saying("name-would-run-as-python", kind, names[0], "Scene", names[1])


BARE = """
import sys
import bpy
bpy.ops.wm.open_mainfile(filepath=sys.argv[-1], use_scripts=False)
try:
    import farm_missing
except ImportError:
    pass
bpy.context.scene.render.filepath = sys.argv[-2]
bpy.context.scene.frame_set(1)
bpy.ops.render.render(write_still=True)
"""
"""What renders a scene with nothing but Blender's own switches."""


@pytest.fixture(scope="session")
def runs_bare(
    blender: Blender, scenes: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], bool]:
    """Return a function that tells whether a scene's program runs in bare Blender."""
    folder = tmp_path_factory.mktemp("bare")
    script = folder / "bare.py"
    script.write_text(BARE)

    def ask(name: str) -> bool:
        mark = scenes / "programs" / "mark"
        mark.unlink(missing_ok=True)
        # The name of a view layer that is a program is no name of a view layer: Blender crashes.
        with contextlib.suppress(subprocess.CalledProcessError):
            blender.run(script, str(folder / "frame"), str(scenes / "programs" / name))
        ran = mark.exists()
        mark.unlink(missing_ok=True)
        return ran

    return ask


def run(rig: Rig, name: str, *arguments: str, files: tuple[str, ...] = ()) -> FakeFarm:
    """Render a scene, without a sandbox unless the arguments say otherwise; return the farm."""
    farm = rig.farm(f"programs/{name}", [[1]], files=list(files))
    rig.run(farm, *(arguments or ("--sandbox", "off")))
    return farm


@pytest.mark.every_blender
def test_bare_blender_runs_what_is_tested_here(
    blender: Blender, runs_bare: Callable[[str], bool]
) -> None:
    """Blender 4 and newer refuse style modules themselves, Blender 5 the names as well."""
    names = ["layer", "lineset"] if blender.major < 5 else []
    if blender.major < 4:
        names += ["style", "animated", "strip", "linked"]
    assert [name for name in names if not runs_bare(f"{name}.blend")] == []


@pytest.mark.every_blender
@pytest.mark.sample(4)
@pytest.mark.parametrize(
    ("name", "files", "warning"),
    [
        ("style.blend", (), lines_lack("Scene")),
        ("animated.blend", (), lines_lack("Scene")),
        ("strip.blend", (), lines_lack("other")),
        ("linked.blend", ("programs/library.blend",), lines_lack("other")),
        ("layer.blend", (), renamed("view layer")),
        ("lineset.blend", (), renamed("line set")),
        ("register.blend", (), saying("scenes-python-texts-not-run", "'register.py'")),
        ("module.blend", (), None),
    ],
)
def test_a_scenes_program_does_not_run(
    rig: Rig, name: str, files: tuple[str], warning: saying | None
) -> None:
    farm = run(rig, name, files=files)
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED, farm.log
    assert farm.frames.keys() == {1}
    assert "Traceback" not in farm.log
    told = of_scene(farm.requests[-1].warnings)
    assert told == ([warning] if warning else [])
    assert warning is None or says(farm.log, warning)


@pytest.mark.every_blender
def test_a_driver_that_is_a_program_fails_the_job(rig: Rig) -> None:
    farm = run(rig, "driver.blend")
    assert says(farm.finishes["c1"].message, "scene-animated-by-expression")


@pytest.mark.every_blender
@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["style.blend", "layer.blend", "lineset.blend", "strip.blend"])
def test_nothing_is_written(rig: Rig, scenes: Path, tmp_path: Path, name: str) -> None:
    """The marker, made absolute: nobody cleans up where it would be."""
    there = tmp_path / "there"
    there.mkdir(mode=0o777)
    there.chmod(0o777)
    mark = there / "mark"
    own = tmp_path / "own"
    (own / "programs").mkdir(parents=True)
    absolute = f"open({str(mark)!r}, 'w').close()\n"
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nimport bpy\nbpy.ops.wm.open_mainfile(filepath=sys.argv[-1])\n"
        "for text in bpy.data.texts:\n text.clear()\n"
        f" text.write({absolute!r})\n"
        f"bpy.ops.wm.save_as_mainfile(filepath={str(own / 'programs' / name)!r})"
    )
    rig.blender.run(script, str(scenes / "programs" / name))
    rig.scenes = own
    farm = run(rig, name)
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED, farm.log
    assert not mark.exists()


@pytest.fixture
def without_bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with Blender and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "blender").symlink_to(str(shutil.which("blender")))
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.usefixtures("without_bwrap")
def test_shaders_that_are_programs_need_a_sandbox(rig: Rig) -> None:
    farm = run(rig, "shader.blend", "--sandbox", "auto")
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent) == (Outcome.FAILED, False)
    assert says(finish.message, "scene-uses-shaders-osl-which")


@pytest.mark.usefixtures("without_bwrap")
def test_nor_do_they_run_where_they_are_only_switched_on_later(rig: Rig) -> None:
    farm = run(rig, "switched.blend", "--sandbox", "auto", files=("programs/program.osl",))
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.permanent) == (Outcome.FAILED, False)
    assert says(finish.message, "scene-uses-shaders-osl-which")


SWITCHED_OFF = """
import sys
import bpy
sys.path[:0] = sys.argv[-4:-2]
import farm_programs
from farm_events import SceneError
bpy.ops.wm.open_mainfile(filepath=sys.argv[-1], use_scripts=False)
try:
    farm_programs.switch_off()
except SceneError as error:
    print("failed:", error)
    sys.exit()
for frame in (1, 2):
    bpy.context.scene.frame_set(frame)
    bpy.ops.render.render()
print("rendered")
"""
"""What a runner's script does where there is no sandbox, in a Blender that any account may read."""


@pytest.mark.every_blender
@pytest.mark.parametrize("name", ["plain", "keyframe", "driver", "left"])
def test_nor_do_cameras_that_are_programs_whatever_makes_them_such(
    blender: Blender, scenes: Path, tmp_path: Path, name: str
) -> None:
    scene = scenes / "programs" / f"camera-{name}.blend"
    if not scene.exists():
        pytest.skip("this Blender's cameras are no programs")
    script = tmp_path / "switched_off.py"
    script.write_text(SWITCHED_OFF)
    own = Path(products.__file__).parent
    folders = (str(own / each) for each in ("blender/scripts", "shared"))
    told = blender.run(script, *folders, str(tmp_path), str(scene))
    assert "OSL runs" not in told
    if name == "left":  # Its program is not used, and goes without a word.
        assert "rendered" in told
    else:
        assert says(told.partition("failed: ")[2].strip(), "scene-uses-shaders-osl-which")


@pytest.mark.parametrize("mode", ["off", "required"])
def test_shaders_that_are_programs_render_where_they_may(rig: Rig, mode: str) -> None:
    if mode == "required" and probe():
        pytest.skip(probe())
    farm = run(rig, "shader.blend", "--sandbox", mode)
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED, farm.log
