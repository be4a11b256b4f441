"""Broken scenes and full disks: one clear message at the right place, nothing lost."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from messages import says

from .conftest import SAMPLE, Studio

NO_CAMERA = """
import bpy, sys
for camera in [each for each in bpy.data.objects if each.type == "CAMERA"]:
    bpy.data.objects.remove(camera)
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])
"""


def submit(studio: Studio, scene: Path) -> dict[str, Any]:
    project = studio.project(scene, "broken")
    project.add_jobs(studio.job(f"broken/{scene.name}", frames="1 3"))
    studio.client().submit_project(project)
    return studio.wait_for_job("failed")


def test_a_missing_texture_fails_the_job_instead_of_rendering_magenta(studio: Studio) -> None:
    project = studio.project(SAMPLE / "scene.blend", "sample_project")
    library = SAMPLE / "library"
    project.add_files(str(library), project.RemoteRoot + "/library")
    project.gather_files = False
    project.add_jobs(studio.job(frames="1 3"))
    studio.client().submit_project(project)
    job = studio.wait_for_job("failed")
    assert "textures/checker.png" in job["message"]
    assert studio.frames() == []
    # With the file added, the same project renders.
    studio.submit("1 3")
    studio.wait_for_frames(3)


def test_a_missing_library_is_named(studio: Studio) -> None:
    project = studio.project(SAMPLE / "scene.blend", "sample_project")
    project.gather_files = False
    project.add_jobs(studio.job(frames="1 3"))
    studio.client().submit_project(project)
    assert "library/props.blend" in studio.wait_for_job("failed")["message"]


def test_a_corrupt_scene(studio: Studio) -> None:
    scene = studio.folder / "torn" / "torn.blend"
    scene.parent.mkdir()
    scene.write_bytes((SAMPLE / "scene.blend").read_bytes()[:5000])
    job = submit(studio, scene)
    assert "torn.blend" in str(job["message"])
    assert 0 < job["credits"] < 0.1  # Also what fails is machine time.


def test_a_scene_without_a_camera(studio: Studio) -> None:
    scene = studio.folder / "blind" / "blind.blend"
    scene.parent.mkdir()
    shutil.copytree(SAMPLE, scene.parent, dirs_exist_ok=True)
    command = ["blender", "-b", "--factory-startup", str(SAMPLE / "scene.blend"), "--python-expr"]
    subprocess.run([*command, NO_CAMERA, "--", str(scene)], check=True, capture_output=True)
    project = studio.project(scene, "broken")
    project.add_files(str(scene.parent), project.RemoteRoot)
    project.add_jobs(studio.job("broken/blind.blend", frames="1 3"))
    studio.client().submit_project(project)
    assert says(studio.wait_for_job("failed")["message"], "scene-no-camera-so-nothing")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tiny file system needs root")
    folder = tmp_path / "my_results"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"mount is not allowed here: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_keeps_the_results_until_there_is_room(tiny_disk: Path, studio: Studio) -> None:
    ballast = tiny_disk / ".ballast"
    ballast.write_bytes(bytes(60_000))
    studio.submit("1 2")
    studio.wait_for_job("completed")
    message = studio.until(
        lambda: studio.activity()["downloads"]["message"], "Envoy says that the disk is full"
    )
    assert says(message, "disk-full-make-room-downloads", studio.results)
    assert studio.frames() == []
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", tiny_disk], check=True)
    studio.assert_complete(2)
