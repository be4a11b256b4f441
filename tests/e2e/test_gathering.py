"""A scene whose files lie all over its artist's machine, from the scene alone to its frame."""

import shutil
import subprocess
from pathlib import Path

import OpenImageIO as oiio
import pytest
from farm_protocol.hashing import hash_file
from gridmarkets import Project, WatchFile
from messages import of_scene

from .conftest import ROOT, Studio

MAKE = ROOT / "packages" / "farm" / "tests" / "runner" / "make_mapped.py"
MAKE_ENCODED = ROOT / "packages" / "envoy" / "tests" / "make_encoded.py"
SHADES = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
"""Of the planes that it makes, each of which is named in another way."""


def artists_files(root: Path) -> Path:
    """Make them; return the folder of the project, in which there is only the scene at first."""
    font = next(Path("/usr/share/fonts").rglob("*.ttf"), None)
    if font:
        shutil.copyfile(font, root / "font.ttf")
    line = ["--python-exit-code", "3", "-P", str(MAKE), "--", str(root)]
    subprocess.run(["blender", "-b", "--factory-startup", *line], check=True, capture_output=True)
    film = root / "desk"
    # Of other machines' paths, the ends are those of files that came along.
    (film / "lib").mkdir()
    shutil.move(root / "other" / "windows.png", film / "lib" / "windows.png")
    (film / "share").mkdir()
    shutil.move(root / "other" / "network.png", film / "share" / "network.png")
    return film


def test_the_scene_alone_brings_all_that_it_names(studio: Studio) -> None:
    root = studio.folder / "artist"
    root.mkdir()
    film = artists_files(root)
    before = {path: hash_file(path) for path in root.rglob("*") if path.is_file()}
    project = Project(str(film), name="film", submission_name="s")
    project.add_files("scenes/scene.blend")
    project.add_watch_files(WatchFile(f"{project.remote_output_folder}/.+", str(studio.results)))
    project.add_jobs(studio.job("film/scenes/scene.blend", frames="2"))
    studio.client().submit_project(project)
    job = studio.wait_for_job("completed")
    assert of_scene(job["warnings"]) == []
    studio.wait_for_frames(1)
    image = oiio.ImageBuf(str(studio.frames()[0]))
    shades = [round(image.getpixel(4 * each + 2, 2)[0], 1) for each in range(len(SHADES))]
    assert shades == SHADES
    # The artist's own files are as they were.
    assert {path: hash_file(path) for path in before} == before


@pytest.mark.long
def test_names_that_read_the_same_are_one(studio: Studio) -> None:
    """Whether their accents are composed or not: to macOS both are the same file."""
    root = studio.folder / "artist"
    root.mkdir()
    line = ["--python-exit-code", "3", "-P", str(MAKE_ENCODED), "--", str(root)]
    subprocess.run(["blender", "-b", "--factory-startup", *line], check=True, capture_output=True)
    project = Project(str(root / "desk" / "film"), name="film", submission_name="s")
    project.add_files("scene.blend")
    project.add_watch_files(WatchFile(f"{project.remote_output_folder}/.+", str(studio.results)))
    project.add_jobs(studio.job("film/scene.blend", frames="2"))
    studio.client().submit_project(project)
    job = studio.wait_for_job("completed")
    assert of_scene(job["warnings"]) == []
    studio.wait_for_frames(1)
    image = oiio.ImageBuf(str(studio.frames()[0]))
    shades = [round(image.getpixel(4 * each + 2, 2)[0], 1) for each in range(4)]
    assert shades == [0.9, 0.7, 0.5, 0.3]
