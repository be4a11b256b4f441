"""What a job's renderer finds of its machine, in the sandbox: scripts stand in for programs."""

from pathlib import Path

import OpenImageIO as oiio
import pytest
from farm.confine import probe
from farm.renderers import FoundPlugin, Renderer
from farm_protocol.runner import Outcome, PlugInChoice
from messages import saying, says

from .in_process import end, run_job

needs_sandbox = pytest.mark.skipif(bool(probe()), reason=probe())

RENDER = """\
#!/bin/sh
case "$1" in -v|-help) echo "Maya 2025.2"; exit;; esac
for each in "$@"; do
  case "$previous" in -rd) folder=$each;; -s) frame=$each;; -proj) project=$each;; esac
  previous=$each
done
[ -e /sys/devices ] && echo "drivers can be seen"
[ -n "$MAYA_MODULE_PATH" ] && grep -H mtoa "$MAYA_MODULE_PATH/mtoa.mod"
cp "$project/picture.png" "$folder/frame.$(printf %04d "$frame").png"
"""


def install_maya(folder: Path) -> Path:
    """Write a program that tells what it sees; return its path."""
    (folder / "project").mkdir()
    (folder / "project" / "scene.ma").touch()
    picture = oiio.ImageBuf(oiio.ImageSpec(8, 8, 3, "uint8"))
    oiio.ImageBufAlgo.checker(picture, 2, 2, 1, (0, 0, 0), (1, 1, 1))
    picture.write(str(folder / "project" / "picture.png"))
    (folder / "maya" / "bin").mkdir(parents=True)
    for name in ("Render", "maya"):
        program = folder / "maya" / "bin" / name
        program.write_text(RENDER)
        program.chmod(0o755)
    return folder / "maya" / "bin" / "Render"


def maya(program: Path, *found: FoundPlugin) -> Renderer:
    return Renderer("maya", "2025.2", "maya", (str(program),), "given by the test", found)


def mtoa(folder: Path, version: str) -> FoundPlugin:
    """Install the plug-in."""
    place = folder / f"arnold-{version}"
    place.mkdir()
    (place / "mtoa.mod").write_text(f"+ mtoa {version} {place}\n")
    return FoundPlugin(f"mtoa:{version}", place, paths=(("MAYA_MODULE_PATH", (str(place),)),))


@needs_sandbox
@pytest.mark.parametrize("gpu", [True, False])
def test_the_gpu_of_the_machine_is_there_for_a_job_that_has_it(tmp_path: Path, gpu: bool) -> None:
    farm = run_job(
        tmp_path,
        "maya",
        install_maya(tmp_path),
        "render",
        "scene.ma",
        [[1]],
        {"frames": "1", "output_format": "png"},
        sandbox="required",
        gpu=gpu,
    )
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert ("drivers can be seen" in farm.log) is gpu


@pytest.mark.parametrize(("asked", "warned"), [("2025.2", False), ("2025.3", True), ("", False)])
def test_another_version_of_the_series_is_told(tmp_path: Path, asked: str, warned: bool) -> None:
    program = install_maya(tmp_path)
    farm = run_job(
        tmp_path,
        "maya",
        [maya(program)],
        "render",
        "scene.ma",
        [[1]],
        {"frames": "1", "output_format": "png"},
        app_version=asked,
    )
    told = saying("render-machine-no-same-series", "maya", "2025.3", "2025.2")
    assert farm.requests[0].warnings == [told] * warned


ALL = PlugInChoice(ranges=["all"], newest="5.4.0")
UPDATED = PlugInChoice(ranges=["all"], newest="5.4.1")
OLDER = PlugInChoice(ranges=["5.2", "5.3"], newest="5.3.1")


@needs_sandbox
@pytest.mark.parametrize(
    ("asked", "choice", "loaded", "warned"),
    [
        ("mtoa:5.3.1", None, "5.3.1", False),
        ("mtoa:5.4.0", None, "5.4.0", False),
        ("mtoa", ALL, "5.4.0", False),
        ("mtoa", OLDER, "5.3.1", False),
        ("mtoa", UPDATED, "5.4.0", True),
    ],
)
def test_the_plug_in_of_the_asked_version_is_loaded_or_the_newest_that_fits(
    tmp_path: Path, asked: str, choice: PlugInChoice | None, loaded: str, warned: bool
) -> None:
    program = install_maya(tmp_path)
    found = [mtoa(tmp_path, version) for version in ("5.3.1", "5.4.0", "5.2.9")]
    farm = run_job(
        tmp_path,
        "maya",
        [maya(program, *found)],
        "render",
        "scene.ma",
        [[1]],
        {"frames": "1", "output_format": "png"},
        sandbox="required",
        plugins=[asked],
        plugin_choices={"mtoa": choice} if choice else {},
    )
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert f"mtoa.mod:+ mtoa {loaded} " in farm.log
    told = saying("render-machine-no-used-ask", "mtoa", "5.4.1", "5.4.0")
    assert farm.requests[0].warnings == [told] * warned


@needs_sandbox
def test_of_two_installations_the_one_is_used_that_has_the_plug_in(tmp_path: Path) -> None:
    program = install_maya(tmp_path)
    farm = run_job(
        tmp_path,
        "maya",
        [maya(program), maya(program, mtoa(tmp_path, "5.4.0"))],
        "render",
        "scene.ma",
        [[1]],
        {"frames": "1", "output_format": "png"},
        sandbox="required",
        app_version="2025.2",
        plugins=["mtoa"],
        plugin_choices={"mtoa": ALL},
    )
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert "mtoa.mod:+ mtoa 5.4.0 " in farm.log
    # The farm is told of both as one: it sends no job away that one of them can do.
    assert [each.plugins for each in farm.requests[0].programs] == [["mtoa:5.4.0"]]


@pytest.mark.parametrize("asked", ["mtoa", "mtoa:5.4.0"])
@pytest.mark.parametrize("unseen", [False, True])
def test_nothing_is_rendered_without_a_plug_in_of_the_job(
    tmp_path: Path, asked: str, unseen: bool
) -> None:
    farm = run_job(
        tmp_path,
        "maya",
        [maya(install_maya(tmp_path))],
        "render",
        "scene.ma",
        [[1]],
        {"frames": "1", "output_format": "png"},
        plugins=[asked],
        plugin_choices={} if ":" in asked else {"mtoa": ALL},
        unseen_plugins=[asked] * unseen,
    )
    if unseen:
        assert end(farm).outcome is Outcome.COMPLETED, farm.log
        return
    assert (end(farm).outcome, end(farm).permanent) == (Outcome.FAILED, False)
    told = saying("render-machines-no-plug-install", "maya", "2025.2", asked)
    assert says(end(farm).message, told)
