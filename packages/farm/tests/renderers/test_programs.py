"""Finding the programs of every product, on the PATH and in the folders of three platforms."""

import contextlib
import os
from pathlib import Path

import psutil
import pytest
import stand_ins
import stand_ins_houdini
from farm.products import BUILT_IN, Platform
from farm.renderers import (
    UNKNOWN,
    Discovery,
    Places,
    Renderer,
    RendererError,
    choose,
    chosen,
    environment,
)
from messages import saying
from waiting import until_dead

VERSIONS = {
    "nuke": "15.1v3",
    "maya": "2025.2",
    "c4d": "2024.4.1",
    "vray": "6.20.01",
    "hou": "20.5.332",
}
"""What the stand-ins answer."""


def answers(path: Path, prints: str, log: Path | None = None) -> Path:
    """Write a program that says something, and remembers in a file that it was started."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remember = f"echo '{path.name}' >> '{log}'\n" if log else ""
    path.write_text(f"#!/bin/sh\n{remember}echo '{prints}'\n")
    path.chmod(0o755)
    return path


def on_path(folder: Path, **variables: str) -> Places:
    """Return places in which only this folder is on the PATH and nothing is installed."""
    return Places(folder / "nothing", "linux", {"PATH": str(folder), **variables})


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("it's a bin")
    stand_ins.install(folder)
    stand_ins_houdini.install(folder)
    return folder


@pytest.mark.parametrize("app", VERSIONS)
def test_each_product_on_the_path(installed: Path, app: str) -> None:
    discovery = Discovery(places=on_path(installed))
    (found,) = discovery.of(app)
    assert (found.app, found.kind, found.version) == (app, app, VERSIONS[app])
    assert Path(found.command[0]).parent == installed
    assert discovery.found() == [found]  # nothing else was looked for


def test_everything_at_a_time(installed: Path) -> None:
    found, wrong = Discovery(places=on_path(installed)).all()
    assert {each.app: each.version for each in found if each.kind != "bpy"} == VERSIONS
    assert wrong == {}


LINUX = {
    "blender": "opt/blender-4.2.3-linux-x64/blender",
    "c4d": "opt/maxon/cinema4dr2024.400/bin/Commandline",
    "hou": "opt/hfs20.5.332/bin/hython",
    "maya": "usr/autodesk/maya2025/bin/Render",
    "nuke": "usr/local/Nuke15.1v3/Nuke15.1",
    "vray": "usr/ChaosGroup/V-Ray/Standalone_for_linux_x64/bin/vray",
}
WINDOWS = {
    "blender": "Program Files/Blender Foundation/Blender 4.2/blender.exe",
    "c4d": "Program Files/Maxon Cinema 4D 2024/Commandline.exe",
    "hou": "Program Files/Side Effects Software/Houdini 20.5.332/bin/hython.exe",
    "maya": "Program Files/Autodesk/Maya2025/bin/Render.exe",
    "nuke": "Program Files/Nuke15.1v3/Nuke15.1.exe",
    "vray": "Program Files/Chaos/V-Ray/Standalone for x64/bin/vray.exe",
}
MACOS = {
    "blender": "Applications/Blender.app/Contents/MacOS/Blender",
    "c4d": "Applications/Maxon Cinema 4D 2024/Commandline.app/Contents/MacOS/Commandline",
    "hou": "Applications/Houdini/Houdini20.5.332/Frameworks/Houdini.framework/Versions/Current/"
    "Resources/bin/hython",
    "maya": "Applications/Autodesk/maya2025/Maya.app/Contents/bin/Render",
    "nuke": "Applications/Nuke15.1v3/Nuke15.1v3.app/Contents/MacOS/Nuke15.1",
    "vray": "Applications/ChaosGroup/V-Ray/Standalone_for_mac/bin/vray",
}
SAYS = {
    "blender": "Blender 4.2.3 LTS",
    "c4d": "",
    "hou": "Python 3.11.7",  # should hython tell Python's version, the folder tells Houdini's
    "maya": "Maya 2025.2, Cut Number 202407121012",
    "nuke": "15.1v3",
    "vray": "V-Ray Standalone, version 6.20.01 for x64",
}


@pytest.mark.parametrize(
    ("platform", "paths"), [("linux", LINUX), ("windows", WINDOWS), ("macos", MACOS)]
)
def test_vendors_folders(tmp_path: Path, platform: Platform, paths: dict[str, str]) -> None:
    for app, path in paths.items():
        answers(tmp_path / path, SAYS[app])
    suffix = ".exe" if platform == "windows" else ""
    answers((tmp_path / paths["maya"]).with_name(f"maya{suffix}"), SAYS["maya"])
    found, wrong = Discovery(places=Places(tmp_path, platform, {})).all()
    got = {each.app: each for each in found if each.kind != "bpy"}
    assert wrong == {}
    assert {app: each.command for app, each in got.items()} == {
        app: (str(tmp_path / path),) for app, path in paths.items()
    }
    assert {app: each.version for app, each in got.items()} == {
        **VERSIONS,
        "blender": "4.2.3",
        "c4d": "2024.400" if platform == "linux" else "2024",
    }


def test_the_newest_of_several_comes_first_and_a_link_is_no_second_one(tmp_path: Path) -> None:
    for version in ("9.0v2", "15.1v3", "15.1v10"):
        answers(tmp_path / f"usr/local/Nuke{version}/Nuke{version.split('v')[0]}", version)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "Nuke15.1").symlink_to(tmp_path / "usr/local/Nuke15.1v3/Nuke15.1")
    places = Places(tmp_path, "linux", {"PATH": str(tmp_path / "bin")})
    found = list(Discovery(places=places).of("nuke"))
    assert [each.version for each in found] == ["15.1v3", "15.1v10", "9.0v2"]
    assert found[0].how_found == "on the PATH"
    assert choose(found, "nuke", "15.1v7") is found[1]


def test_no_program_is_started_but_those_of_the_product_and_each_once(tmp_path: Path) -> None:
    log = tmp_path / "started"
    answers(tmp_path / "blender", "Blender 3.4.1", log)
    answers(tmp_path / "Nuke15.1", "15.1v3", log)
    answers(tmp_path / "hython", "hython Version 20.5.332", log)
    discovery = Discovery(places=on_path(tmp_path))
    for _ in range(2):
        assert next(discovery.of("nuke")).version == "15.1v3"
    assert log.read_text().split() == ["Nuke15.1"]
    discovery.warm_up()
    assert log.read_text().split() == ["Nuke15.1", "blender"]


def test_ffmpeg_needs_ffprobe(tmp_path: Path) -> None:
    ffmpeg = answers(tmp_path / "ffmpeg", "ffmpeg version 5.1.6-0+deb12u1 Copyright (c)")
    assert list(Discovery(places=on_path(tmp_path)).of("ffmpeg")) == []
    with pytest.raises(RendererError, check=saying("configured-no-beside", "ffmpeg", "ffprobe")):
        list(Discovery({"ffmpeg": [str(ffmpeg)]}, on_path(tmp_path)).of("ffmpeg"))
    answers(tmp_path / "ffprobe", "")
    assert next(Discovery(places=on_path(tmp_path)).of("ffmpeg")).version == "5.1.6"


def test_configured_ones_are_the_only_ones_and_must_answer(tmp_path: Path, installed: Path) -> None:
    other = answers(tmp_path / "other" / "nuke", "14.0v5")
    configured = {"nuke": [str(other), str(installed / "Nuke15.1")], "hou": ["/bin/false"]}
    discovery = Discovery(configured, on_path(installed))
    assert [each.version for each in discovery.of("nuke")] == ["14.0v5", "15.1v3"]
    found, wrong = discovery.all()
    assert {each.app for each in found if each.kind != "bpy"} == set(VERSIONS) - {"hou"}
    assert wrong == {
        "hou": saying("configured-does-not-answer-does", "hou", "/bin/false", "--version", "hou")
    }


def test_a_program_that_hangs_is_given_up_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.renderers.ask.ASK_SECONDS", 2)
    pids = tmp_path / "pids"
    hanging = answers(tmp_path / "Nuke15.1", "")
    hanging.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {pids}\nwait\n")
    assert list(Discovery(places=on_path(tmp_path, PATH=str(tmp_path))).of("nuke")) == []
    with contextlib.suppress(psutil.NoSuchProcess):
        until_dead([psutil.Process(int(pids.read_text()))])


def test_plugins_are_found_by_their_files(tmp_path: Path) -> None:
    answers(tmp_path / "opt/hfs20.5.332/bin/hython", "")
    (tmp_path / "opt/pixar/RenderManForHoudini-26.1").mkdir(parents=True)
    (tmp_path / "usr/redshift/redshift4houdini/20.5.332").mkdir(parents=True)
    (tmp_path / "usr/redshift/redshift4houdini/19.5.1").mkdir(parents=True)
    htoa = tmp_path / "htoa" / "htoa-6.3.0.0_r1_houdini-20.5.332"
    htoa.mkdir(parents=True)
    places = Places(tmp_path, "linux", {"HTOA": str(htoa)})
    (houdini,) = Discovery(places=places).of("hou")
    assert set(houdini.plugins) == {
        "htoa:6.3.0.0",
        f"hou_redshift:{UNKNOWN}",
        "prman:26.1",
    }


@pytest.mark.parametrize(("says", "version"), [("5.4.1.0", "5.4.1.0"), ("any", UNKNOWN)])
def test_versions_of_plugins_from_their_files(tmp_path: Path, says: str, version: str) -> None:
    for year in ("2024", "2025"):
        answers(tmp_path / f"usr/autodesk/maya{year}/bin/Render", "")
        answers(tmp_path / f"usr/autodesk/maya{year}/bin/maya", f"Maya {year}.1, Cut Number 1")
    module = tmp_path / "usr/autodesk/arnold/maya2025/mtoa.mod"
    module.parent.mkdir(parents=True)
    module.write_text(f"+ mtoa {says} /usr/autodesk/arnold/maya2025\nPATH +:= bin\n")
    found = Discovery(places=Places(tmp_path, "linux", {})).of("maya")
    assert {each.version: each.plugins for each in found} == {
        "2025.1": (f"mtoa:{version}",),
        "2024.1": (),
    }


def test_a_plugin_below_the_programs_own_folder(tmp_path: Path) -> None:
    answers(tmp_path / "opt/blender-4.2.3/blender", "Blender 4.2.3")
    addon = tmp_path / "opt/blender-4.2.3/4.2/scripts/addons_core/vray_blender/__init__.py"
    addon.parent.mkdir(parents=True)
    addon.write_text('bl_info = {\n    "version": (6, 20, 1),\n}\n')
    found = next(Discovery(places=Places(tmp_path, "linux", {})).of("blender"))
    assert found.plugins == ("blender_vray:6.20.1",)


@pytest.mark.parametrize(
    ("app", "version", "expected"),
    [
        ("blender", "3.4.1", "3.4"),
        ("blender", "2.79b", "2.79"),
        ("maya", "2025.2", "2025"),
        ("c4d", "R19.024", "R19"),
        ("c4d", "2024.4.1", "2024"),
        ("nuke", "15.1v3", "15.1"),
        ("hou", "20.5.332", "20.5"),
        ("vray", "6.20.01", "6.20"),
        ("ffmpeg", "5.1.6", "5.1"),
        ("maya", "newest", "newest"),
    ],
)
def test_series(app: str, version: str, expected: str) -> None:
    assert BUILT_IN.series(app, version) == expected


def test_every_program_can_be_found_on_every_platform() -> None:
    for program in BUILT_IN.programs.values():
        assert set(program.folders) == {"linux", "windows", "macos"}


def test_a_job_gets_the_plug_in_of_the_version_that_it_asks_for(tmp_path: Path) -> None:
    answers(tmp_path / "opt/hfs20.5.332/bin/hython", "")
    htoa = {v: tmp_path / f"opt/htoa/htoa-{v}_r1_houdini-20.5.332" for v in ("6.2.0", "6.10.0")}
    redshift = tmp_path / "usr/redshift/redshift4houdini/20.5.332"
    for folder in (*htoa.values(), redshift):
        folder.mkdir(parents=True)
    (houdini,) = Discovery(places=Places(tmp_path, "linux", {})).of("hou")
    found = houdini.found

    def path(plugins: list[str], inherited: str = "") -> list[Path]:
        given = environment(found, plugins, {"HOUDINI_PATH": inherited})
        return [Path(part) for part in given["HOUDINI_PATH"].split(os.pathsep)]

    assert path(["htoa:6.2.0"]) == [htoa["6.2.0"], Path("&")]
    assert path(["htoa"]) == [htoa["6.10.0"], Path("&")]
    assert path(["htoa:6.2.0", "hou_redshift"]) == [htoa["6.2.0"], redshift, Path("&")]
    mine = os.pathsep.join(["/studio", str(htoa["6.10.0"]), "&"])
    assert path(["htoa:6.2.0"], mine) == [htoa["6.2.0"], Path("/studio"), Path("&")]
    assert environment(found, ["htoa:1", "prman"], {}) == {}
    assert [each.folder for each in chosen(found, ["htoa"])] == [htoa["6.10.0"]]


@pytest.mark.parametrize(
    ("own", "other"),
    [("hython", "husk"), ("hython3.11", "husk"), ("hython.exe", "husk.exe")],
)
def test_another_program_of_an_installation_lies_beside_the_one_that_was_found(
    tmp_path: Path, own: str, other: str
) -> None:
    found = Renderer("hou", "20.5.332", "hou", (str(tmp_path / own),), "as configured")
    assert found.with_program("") == found
    with pytest.raises(RendererError, check=saying("render-machines-no-beside", "husk")):
        found.with_program("husk")
    answers(tmp_path / other, "husk")
    assert found.with_program("husk").command == (str(tmp_path / other),)
