"""Products that are not Blender, inside bubblewrap: their stand-ins, through the real runner."""

import json
import os
import sys
from pathlib import Path

import pytest
import stand_ins
import stand_ins_houdini
from farm.runner.sandbox import probe
from farm_protocol.runner import Outcome
from stand_ins.scenes import write_scene

from .conftest import fake_farm
from .in_process import end, names, run_job

pytestmark = pytest.mark.skipif(bool(probe()), reason=probe())

VISIBLE = {
    "nuke": "NUKE_PATH",
    "c4d": "REDSHIFT_COREDATAPATH",
    "hou": "HOUDINI_PATH",
    "husk": "HOUDINI_PATH",  # product hou as well, with a USD scene
}
"""A variable of each product, which names plug-ins that its sandbox shows: here the stand-ins."""
HOUDINI = {"hou": "hython", "husk": "husk"}
HIP = {
    "nodes": {
        "/out/mantra1": {"type": "ifd", "parms": {"vm_picture": "$HIP/render/shot.$F4.png"}},
        "/obj/cam1": {"type": "cam", "parms": {"resx": 64, "resy": 36}},
    }
}


def install(folder: Path, product: str) -> Path:
    """Install a stand-in that also tells the name of the machine on which it runs."""
    if product in HOUDINI:
        program = stand_ins_houdini.install(folder)[HOUDINI[product]]
    else:
        program = stand_ins.install(folder, product)[product]
    lines = program.read_text().replace("exec ", 'echo "It runs on $(uname -n)."\nexec ', 1)
    program.write_text(lines)
    return program


def scene(folder: Path, product: str) -> str:
    folder.mkdir()
    if product == "husk":
        (folder / "shot.usda").write_text("#usda 1.0\n")
        return "shot.usda"
    if product != "hou":
        return write_scene(folder, product).name
    (folder / "shot.hip").write_text(json.dumps(HIP))
    return "shot.hip"


@pytest.fixture
def visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the stand-ins and their Python to each product."""
    packages = [Path(package.__file__).parent for package in (stand_ins, stand_ins_houdini)]
    paths = os.pathsep.join(map(str, [*packages, sys.prefix, sys.base_prefix]))
    for variable in VISIBLE.values():
        monkeypatch.setenv(variable, paths)


def run(folder: Path, product: str, program: Path, mode: str) -> "fake_farm.FakeFarm":
    name = scene(folder / "project", product)
    params = {"frames": "1 2"} | ({"write_nodes": "Write1"} if product == "nuke" else {})
    if product == "husk":
        product, program = "hou", program.with_name("hython")
    return run_job(folder, product, program, "render", name, [[1, 2]], params, sandbox=mode)


@pytest.mark.usefixtures("visible")
@pytest.mark.parametrize("product", VISIBLE)
def test_a_product_renders_inside(tmp_path: Path, product: str) -> None:
    program = install(tmp_path / "app" / "bin", product)
    farm = run(tmp_path, product, program, "required")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert list(names(farm)) == [1, 2]
    assert farm.requests[0].warnings == []
    assert "It runs on render." in farm.log


def test_a_product_that_starts_only_outside_is_told_apart(tmp_path: Path) -> None:
    """Nobody shows the sandbox what this Cinema 4D needs beside its own folder."""
    program = install(tmp_path / "app" / "bin", "c4d")
    farm = run(tmp_path, "c4d", program, "auto")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    (warning,) = farm.requests[0].warnings
    assert f"({program} does not start in bubblewrap: " in warning
    assert "It runs on render." not in farm.log


def test_a_product_that_does_not_start_at_all_stays_inside(tmp_path: Path) -> None:
    program = tmp_path / "app" / "bin" / "Commandline"
    program.parent.mkdir(parents=True)
    program.write_text(
        '#!/bin/sh\n[ "$1" = -version ] && [ ! -e "$0.asked" ] && touch "$0.asked" &&'
        ' echo Cinema 4D 2024.4 && exit\necho "It runs on $(uname -n)."\n'
        "echo Enter the license method\nexit 1\n"
    )
    program.chmod(0o755)
    farm = run(tmp_path, "c4d", program, "auto")
    assert end(farm).outcome is Outcome.NO_LICENCE
    assert farm.requests[0].warnings == []
    assert "It runs on render." in farm.log
