"""Finding renderers, with small stand-ins that answer as Blender does."""

import shutil
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.renderers import Discovery, FoundPlugin, Renderer, RendererError, choose
from messages import saying


def program(path: Path, prints: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\nexit {code}\n")
    path.chmod(0o755)
    return path


def blenders(configured: str | None = None) -> list[Renderer]:
    return list(Discovery({"blender": [configured]} if configured else None).of("blender"))


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def python_with_bpy(tmp_path: Path) -> Path:
    """A virtual environment in which an empty `bpy` of version 4.5.15 can be imported."""
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "bpy.py").write_text("class app:\n    version_string = '4.5.15 LTS'\n")
    info = site / "bpy-4.5.15.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bpy\nVersion: 4.5.15\n")
    return tmp_path / "venv" / "bin" / "python3"


def test_blender_on_the_path(path_folder: Path) -> None:
    program(path_folder / "blender", "Blender 3.4.1")
    assert blenders()[0] == Renderer(
        "blender", "3.4.1", "blender", (str(path_folder / "blender"),), "on the PATH"
    )


@pytest.mark.parametrize(
    "place", ["bin/3.4/datafiles", "share/blender/datafiles", "share/blender/3.4/datafiles"]
)
def test_the_colours_of_a_blender(path_folder: Path, place: str) -> None:
    program(path_folder / "blender", "Blender 3.4.1")
    assert blenders()[0].colours == ()
    config = path_folder.parent / place / "colormanagement" / "config.ocio"
    config.parent.mkdir(parents=True)
    config.touch()
    assert blenders()[0].colours == (config.resolve(),)


def test_the_colours_of_a_python_with_bpy(tmp_path: Path, python_with_bpy: Path) -> None:
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    with (site / "bpy.py").open("a") as file:
        file.write("class utils:\n    def system_resource(kind, path):\n")
        file.write(f"        return '{tmp_path}/' + path\n")
    (tmp_path / "colormanagement").mkdir()
    assert blenders(str(python_with_bpy))[0].colours == ()
    (tmp_path / "colormanagement" / "config.ocio").touch()
    assert blenders(str(python_with_bpy))[0].colours == (
        tmp_path / "colormanagement" / "config.ocio",
    )


def test_a_python_with_bpy_comes_after_blender(path_folder: Path, python_with_bpy: Path) -> None:
    program(path_folder / "blender", "Blender 3.4.1")
    # A link into a virtual environment is not the environment: use its own name.
    program(path_folder / "python3", "")
    (path_folder / "python3").write_text(f'#!/bin/sh\nexec {python_with_bpy} "$@"\n')
    assert [(r.kind, r.version) for r in blenders()][:2] == [
        ("blender", "3.4.1"),
        ("bpy", "4.5.15"),
    ]


def test_a_bpy_that_does_not_import_is_no_renderer(
    path_folder: Path, python_with_bpy: Path
) -> None:
    next(python_with_bpy.parent.parent.glob("lib/python*/site-packages/bpy.py")).write_text("1/0")
    with pytest.raises(RendererError):
        blenders(str(python_with_bpy))


def test_a_broken_blender_on_the_path_is_passed_over(path_folder: Path) -> None:
    program(path_folder / "blender", "Blender 3.4.1", 1)
    assert [r for r in blenders() if r.kind == "blender"] == []


def test_a_configured_one_is_the_only_one(
    path_folder: Path, tmp_path: Path, python_with_bpy: Path
) -> None:
    program(path_folder / "blender", "Blender 3.4.1")
    other = program(tmp_path / "other" / "blender-4.2", "Blender 4.2.3 LTS")
    (found,) = blenders(str(other))
    assert (found.version, found.command) == ("4.2.3", (str(other),))
    (found,) = blenders(str(python_with_bpy))
    assert (found.version, found.kind) == ("4.5.15", "bpy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/no/such/blender", "configured-not-executable-file"),
        ("/bin/true", "configured-does-not-answer-does"),
    ],
)
def test_a_configured_one_that_does_not_work_is_an_error_each_time(text: str, message: str) -> None:
    discovery = Discovery({"blender": [text]})
    for _ in range(2):
        with pytest.raises(RendererError, check=saying(message, "blender", text)):
            list(discovery.of("blender"))


def test_the_real_one() -> None:
    if shutil.which("blender") is None:
        pytest.skip("needs blender on the PATH")
    found = blenders()[0]
    assert found.version.count(".") == 2
    assert Path(found.command[0]).is_absolute()
    assert sys.executable


def test_choosing() -> None:
    def make(version: str) -> Renderer:
        return Renderer("blender", version, "blender", ("/b",), "")

    have = [make("3.4.1"), make("4.5.1"), make("4.5.15")]
    assert choose(have, "blender", "4.5.15") is have[2]
    assert choose(have, "blender", "4.5.9") is have[2]
    assert choose(have, "blender", "9.9.9") is None
    assert choose(have, "blender", "") is have[0]
    assert choose(have, "maya", "") is None


def test_the_one_is_chosen_that_has_what_the_job_wants() -> None:
    def make(version: str, *plugins: str) -> Renderer:
        found = tuple(FoundPlugin(each, Path("/p")) for each in plugins)
        return Renderer("c4d", version, "c4d", ("/c",), "", found)

    def lacks(renderer: Renderer) -> int:
        return 2 - len(renderer.plugins)

    bare, half, whole = (
        make("2024.1", *(f"{name}:1" for name in names)) for names in ("", "a", "ab")
    )
    old, new = make("2024.0", "a:1"), make("2024.3")
    assert choose([bare, half, whole], "c4d", "2024.1", lacks) is whole
    assert choose([bare, half, old], "c4d", "2024.1", lacks) is half
    assert choose([bare, old, new], "c4d", "2024.1", lacks) is bare
    assert choose([old, new], "c4d", "2024.2", lacks) is old
    assert choose([old, new], "c4d", "2024.2") is new

    def endless() -> Iterator[Renderer]:
        yield whole
        raise AssertionError("it has found what was wanted")

    assert choose(endless(), "c4d", "2024.1", lacks) is whole
