"""Products that are not Blender, inside bubblewrap: their stand-ins, through the real runner."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import stand_ins
import stand_ins_houdini
from farm.confine import probe
from farm_protocol.runner import Outcome, PlugInChoice
from farm_protocol.runner import SandboxMode as Mode
from messages import saying, says
from pydantic import JsonValue
from stand_ins.scenes import write_scene

from .fake_farm import FakeFarm
from .in_process import end, names, run_job

needs_sandbox = pytest.mark.skipif(bool(probe()), reason=probe())

VISIBLE = {
    "nuke": "NUKE_PATH",
    "c4d": "REDSHIFT_COREDATAPATH",
    "hou": "HOUDINI_PATH",
    "maya": "MAYA_MODULE_PATH",
    "vray": "VRAY_AUTH_CLIENT_FILE_PATH",
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
    packages = [Path(str(package.__file__)).parent for package in (stand_ins, stand_ins_houdini)]
    paths = os.pathsep.join(map(str, [*packages, sys.prefix, sys.base_prefix]))
    for variable in VISIBLE.values():
        monkeypatch.setenv(variable, paths)


def run(folder: Path, product: str, program: Path, mode: Mode) -> FakeFarm:
    name = scene(folder / "project", product)
    params: dict[str, JsonValue] = {"frames": "1 2"}
    if product == "nuke":
        params["write_nodes"] = "Write1"
    if product == "husk":
        product, program = "hou", program.with_name("hython")
    return run_job(folder, product, program, "render", name, [[1, 2]], params, sandbox=mode)


@needs_sandbox
@pytest.mark.usefixtures("visible")
@pytest.mark.parametrize("product", VISIBLE)
def test_a_product_renders_inside(tmp_path: Path, product: str) -> None:
    program = install(tmp_path / "app" / "bin", product)
    farm = run(tmp_path, product, program, "required")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert list(names(farm)) == [1, 2]
    assert farm.requests[0].warnings == []
    assert "It runs on render." in farm.log


@needs_sandbox
def test_a_product_that_starts_only_outside_is_told_apart(tmp_path: Path) -> None:
    """Nobody shows the sandbox what this Cinema 4D needs beside its own folder."""
    program = install(tmp_path / "app" / "bin", "c4d")
    farm = run(tmp_path, "c4d", program, "auto")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    (warning,) = farm.requests[0].warnings
    assert says(warning, "does-not-start-bubblewrap", program)
    assert "It runs on render." not in farm.log


def run_beside(
    folder: Path,
    program: Path,
    name: str,
    nuke: Path,
    plugins: Sequence[str],
    choice: PlugInChoice,
    mode: Mode = "off",
) -> FakeFarm:
    """Render a frame in Houdini on a machine that has Nuke as well, which may be a plug-in."""
    return run_job(
        folder,
        "hou",
        program,
        "render",
        name,
        [[1]],
        {"frames": "1"},
        sandbox=mode,
        plugins=plugins,
        plugin_choices={"hton": choice},
        others={"nuke": nuke},
    )


USES_NUKE = (
    'echo "Found Nuke $(Nuke15.1 --version)"\necho "Its licence is at $foundry_LICENSE"\nexec '
)


@pytest.mark.usefixtures("visible")
@pytest.mark.parametrize("mode", ["off", pytest.param("required", marks=needs_sandbox)])
@pytest.mark.parametrize("linked", [False, True])
def test_a_plug_in_that_is_another_program_is_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode, linked: bool
) -> None:
    monkeypatch.setenv("foundry_LICENSE", "4101@licences")
    nuke = stand_ins.install(tmp_path / "Nuke15.1v3", "nuke")["nuke"]
    if linked:
        (tmp_path / "links").mkdir()
        link = tmp_path / "links" / nuke.name
        link.symlink_to(nuke)
        nuke = link
    program = install(tmp_path / "app" / "bin", "hou")
    program.write_text(program.read_text().replace("exec ", USES_NUKE, 1))
    name = scene(tmp_path / "project", "hou")
    choice = PlugInChoice(ranges=["14..15"], newest="15.1v3")

    def render(*plugins: str) -> FakeFarm:
        return run_beside(tmp_path, program, name, nuke, plugins, choice, mode)

    farm = render("hton:15.1v3")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert "Found Nuke 15.1v3\nIts licence is at 4101@licences\n" in farm.log
    assert [each.app for each in farm.requests[0].programs] == ["hou", "nuke"]
    assert "Found Nuke 15.1v3\n" in render("hton").log
    assert "Found Nuke \n" in render().log


@pytest.mark.parametrize(
    ("asked", "lacked"),
    [
        ("hton:15.1v4", "nuke 15.1v4"),
        ("hton:15.1", "nuke 15.1"),
        ("hton", "nuke 13 or 14..15.0"),
    ],
)
def test_a_machine_without_the_other_program_says_so(
    tmp_path: Path, asked: str, lacked: str
) -> None:
    nuke = stand_ins.install(tmp_path / "Nuke15.1v3", "nuke")["nuke"]
    program = install(tmp_path / "app" / "bin", "hou")
    name = scene(tmp_path / "project", "hou")
    choice = PlugInChoice(ranges=["13", "14..15.0"], newest="15.0v2")
    farm = run_beside(tmp_path, program, name, nuke, [asked], choice)
    assert end(farm).message == saying("render-machine-no-which-plug", lacked, "hton")
    assert not end(farm).permanent


@needs_sandbox
@pytest.mark.usefixtures("visible")
@pytest.mark.parametrize(
    ("config", "seen"),
    [("config.ocio", {"config.ocio"}), ("colours/config.ocio", {"config.ocio", "table.spi1d"})],
)
def test_what_a_variable_names_opens_no_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, seen: set[str]
) -> None:
    """A colour configuration is shown with its tables, but not with all of somebody's files."""
    home = tmp_path / "home"
    file = home / config
    file.parent.mkdir(parents=True)
    for path in (file, file.with_name("table.spi1d"), home / "key"):
        path.write_text(f"read {path.name}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("OCIO", str(file))
    monkeypatch.setenv("foundry_LICENSE", str(home))
    program = install(tmp_path / "app" / "bin", "nuke")
    reads = f"find {home} {tmp_path}/farm.sqlite -type f -exec cat {{}} +\nexec "
    program.write_text(program.read_text().replace("exec ", reads, 1))
    (tmp_path / "farm.sqlite").write_text("read the farm's accounts\n")
    farm = run(tmp_path, "nuke", program, "required")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert {line[5:] for line in farm.log.splitlines() if line.startswith("read ")} == seen


@needs_sandbox
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
