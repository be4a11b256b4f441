"""What a job's renderer finds of its machine, in the sandbox: scripts stand in for programs."""

from pathlib import Path

import OpenImageIO as oiio
import pytest
from farm.renderers import FoundPlugin, Renderer
from farm.runner.sandbox import probe
from farm_protocol.runner import Outcome, PlugInChoice

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
        Renderer("maya", "2025.2", "maya", (str(program),), "given by the test"),
        "render",
        "scene.ma",
        [[1]],
        {"frames": "1", "output_format": "png"},
        app_version=asked,
    )
    told = "A render machine has no maya 2025.3: 2025.2, of the same series, renders there."
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
    found = []
    for version in ("5.3.1", "5.4.0", "5.2.9"):
        folder = tmp_path / f"arnold-{version}"
        folder.mkdir()
        (folder / "mtoa.mod").write_text(f"+ mtoa {version} {folder}\n")
        variables = (("MAYA_MODULE_PATH", (str(folder),)),)
        found.append(FoundPlugin(f"mtoa:{version}", folder, paths=variables))
    farm = run_job(
        tmp_path,
        "maya",
        Renderer("maya", "2025.2", "maya", (str(program),), "given by the test", tuple(found)),
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
    told = (
        "A render machine has no mtoa 5.4.1: 5.4.0 is used there. Ask for 'mtoa:5.4.1' if all "
        "frames must be made with the same one."
    )
    assert farm.requests[0].warnings == [told] * warned
