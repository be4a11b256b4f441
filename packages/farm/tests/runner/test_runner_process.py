"""A real runner process, a real Blender, a fake farm."""

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import psutil
import pytest
from farm_protocol.runner import Outcome
from memory_store import MemoryStore
from messages import saying, says
from waiting import until_dead

from .conftest import Rig
from .fake_farm import FakeFarm


def decode(farm: FakeFarm, frame: int, tmp_path: Path) -> tuple[str, tuple[int, int]]:
    (output,) = farm.frames[frame].outputs
    path = tmp_path / Path(output.path).name
    path.write_bytes(farm.blobs[output.hash])
    image = oiio.ImageBuf(str(path))
    assert image.read(0, 0, True)
    return output.path, (image.spec().width, image.spec().height)


@pytest.mark.every_blender
def test_renders_reports_and_cleans_up(rig: Rig, tmp_path: Path) -> None:
    farm = rig.farm("texture.blend", [[-3, 1], [5]], files=["textures/wood.png"])
    assert rig.run(farm) == 0
    assert farm.finishes.keys() == {"c1", "c2"}
    assert all(finish.outcome is Outcome.COMPLETED for finish in farm.finishes.values())
    found = {frame: decode(farm, frame, tmp_path) for frame in farm.frames}
    assert found == {
        -3: ("show/results/frame_-0003.png", (64, 36)),
        1: ("show/results/frame_0001.png", (64, 36)),
        5: ("show/results/frame_0005.png", (64, 36)),
    }
    assert farm.frames[-3].seconds > farm.frames[1].seconds, "the first one includes the start-up"
    first, second, third = farm.requests
    assert first.startup_seconds is None
    assert second.startup_seconds is not None
    assert second.startup_seconds > 0.2
    assert second.frame_seconds is not None
    assert third.frame_seconds is not None
    assert "frame_0005.png" in farm.log
    assert list(rig.work_dir.iterdir()) == []


@pytest.mark.every_blender
@pytest.mark.parametrize(
    ("file_format", "name"),
    [("jpg", "a/b_0002.jpg"), ("exr", "a/b_0002.exr"), ("TIFF", "a/b_0002.tif")],
)
def test_formats_and_prefix(rig: Rig, tmp_path: Path, file_format: str, name: str) -> None:
    params: dict[str, Any] = {
        "output_format": file_format,
        "output_prefix": "a/b_",
        "engine": "cycles",
    }
    farm = rig.farm("plain.blend", [[2]], on_disk=False, **params)
    assert rig.run(farm) == 0
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED
    assert decode(farm, 2, tmp_path) == (f"show/results/{name}", (64, 36))


@pytest.mark.every_blender
@pytest.mark.parametrize("name", ["filenode", "animated_filenode"])
def test_file_output_nodes_land_beside_the_frames(rig: Rig, name: str) -> None:
    farm = rig.farm(f"{name}.blend", [[1]])
    assert rig.run(farm) == 0
    # Blender 5 puts the scene's name before it, and no number behind it unless it is told to.
    file = f"{name}Image_0001.png" if rig.blender.major >= 5 else "Image0001.png"
    assert [output.path for output in farm.frames[1].outputs] == [
        "show/results/frame_0001.png",
        f"show/results/frame_File_Output/{file}",
    ]


@pytest.mark.every_blender(always=True)
def test_nothing_of_several_file_output_nodes_is_lost(rig: Rig) -> None:
    farm = rig.farm("many_filenodes.blend", [[1]])
    assert rig.run(farm) == 0
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED
    paths = [output.path.removeprefix("show/results/") for output in farm.frames[1].outputs]
    # A folder for each of the five nodes, and a file for each of their slots: no two alike.
    assert len({path.casefold() for path in paths}) == len(paths), paths
    folders = Counter(path.rpartition("/")[0] for path in paths)
    # Of three nodes that may be called AOV_1, one without a usable name, and one with four slots.
    assert len(paths) == 1 + 4 + 4, paths
    assert sum("aov_1" in folder.casefold() for folder in folders) == 3


def elsewhere(farm: FakeFarm) -> MemoryStore:
    """Let a store have the job's files, and no longer the farm."""
    store = MemoryStore()
    store.blobs = {("ann", blob): data for blob, data in farm.blobs.items()}
    farm.blobs.clear()
    return store


def test_files_are_fetched_where_their_tickets_lead(rig: Rig) -> None:
    farm = rig.farm("texture.blend", [[2]], files=["textures/wood.png"], on_disk=False)
    store = elsewhere(farm)
    farm.elsewhere = lambda hashes: store.tickets("ann", hashes)
    with store.giving_tickets():
        assert rig.run(farm) == 0
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED
    assert len(store.served) == 2


def test_a_ticket_that_is_too_old_is_asked_for_again(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[2]], on_disk=False)
    store = elsewhere(farm)

    def tickets(hashes: list[str]) -> Mapping[str, str]:
        urls = store.tickets("ann", hashes)
        if not store.served:
            store.given.clear()
        return urls

    farm.elsewhere = tickets
    with store.giving_tickets():
        assert rig.run(farm) == 0
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED
    assert len(store.served) == 2


def test_a_ticket_that_stays_wrong_fails_the_claim_with_what_the_store_said(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[2]], on_disk=False)
    store = elsewhere(farm)
    with store.giving_tickets():
        farm.elsewhere = lambda hashes: dict.fromkeys(hashes, f"{store.tickets_url}/nothing")
        assert rig.run(farm) == 1
    finish = farm.finishes["c1"]
    assert finish.outcome is Outcome.FAILED
    assert not finish.permanent
    refused = saying("store-answered-with-status", 403)
    assert says(finish.message, "cannot-fetched", "plain.blend", refused)
    assert len(store.served) == 2


def test_each_frame_is_reported_while_the_next_one_renders(rig: Rig) -> None:
    farm = rig.farm("slow.blend", [[1, 2, 3]])
    runner = rig.start(farm)
    farm.wait(lambda: 1 in farm.frames)
    assert not farm.finishes
    assert runner.wait(60) == 0
    assert sorted(farm.frame_times.values()) == [farm.frame_times[f] for f in (1, 2, 3)]
    assert farm.beats


@pytest.mark.every_blender
@pytest.mark.parametrize(
    ("scene", "files", "said"),
    [
        ("texture.blend", [], saying("scene-needs-file-missing", "show/textures/wood.png")),
        (
            "linked.blend",
            ["textures/wood.png"],
            saying("scene-needs-file-missing", "show/library.blend"),
        ),
        (
            "linked.blend",
            ["library.blend"],
            saying("scene-needs-file-missing", "show/textures/wood.png"),
        ),
        (
            "corrupt.blend",
            [],
            saying("blender-cannot-open-file-damaged", "show/corrupt.blend"),
        ),
        ("nocamera.blend", [], saying("scene-no-camera-so-nothing")),
    ],
)
def test_a_broken_scene_fails_for_good_with_its_reason(
    rig: Rig, scene: str, files: list[str], said: saying
) -> None:
    farm = rig.farm(scene, [[1, 2]], files=files)
    assert rig.run(farm) == 0
    finish = farm.finishes["c1"]
    assert finish.outcome is Outcome.FAILED
    assert finish.permanent
    assert finish.exit_code == 3
    assert says(finish.message, said)
    assert finish.message in farm.log
    assert not farm.frames


def test_a_job_without_gpu_machine_says_so(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]], gpu=True)
    rig.run(farm)
    assert says(farm.finishes["c1"].message, "job-asks-gpu-but-machine")
    assert not farm.finishes["c1"].permanent


@pytest.mark.every_blender
def test_a_killed_renderer_fails_the_claim_and_the_next_one_works(
    rig: Rig, renderers_of: Callable[[int], list[int]]
) -> None:
    farm = rig.farm("slow.blend", [[1, 2, 3, 4, 5, 6], [9]])
    runner = rig.start(farm)
    farm.wait(lambda: 1 in farm.frames)
    for pid in renderers_of(runner.pid):
        os.kill(pid, signal.SIGKILL)
    assert runner.wait(60) == 0
    finish = farm.finishes["c1"]
    assert finish.outcome is Outcome.FAILED
    assert not finish.permanent
    assert finish.exit_code == -signal.SIGKILL
    assert "SIGKILL" in finish.message
    assert 6 not in farm.frames
    assert farm.finishes["c2"].outcome is Outcome.COMPLETED
    assert 9 in farm.frames


def test_no_renderer_outlives_its_runner(
    rig: Rig, renderers_of: Callable[[int], list[int]]
) -> None:
    farm = rig.farm("slow.blend", [list(range(1, 100))])
    runner = rig.start(farm)
    farm.wait(lambda: 1 in farm.frames)
    renderers = [psutil.Process(pid) for pid in renderers_of(runner.pid)]
    assert renderers
    for renderer in renderers:
        environment = renderer.environ()
        assert "SECRET_OF_THE_HOST" not in environment
        assert not any("TOKEN" in name for name in environment)
    runner.kill()
    until_dead(renderers)


def test_the_farm_may_be_away_for_a_while(rig: Rig) -> None:
    farm = rig.farm("slow.blend", [[1, 2, 3]])
    runner = rig.start(farm)
    farm.wait(lambda: 1 in farm.frames)
    farm.down()
    threading.Timer(3.0, farm.up).start()
    assert runner.wait(60) == 0
    assert farm.frames.keys() == {1, 2, 3}
    assert farm.finishes["c1"].outcome is Outcome.COMPLETED
    assert all(f"frame_000{frame}.png" in farm.log for frame in (1, 2, 3))


def test_stop_kills_the_renderer_and_finishes(
    rig: Rig, renderers_of: Callable[[int], list[int]]
) -> None:
    farm = rig.farm("slow.blend", [list(range(1, 100))])
    runner = rig.start(farm)
    farm.wait(lambda: 1 in farm.frames)
    # It never gets to the end of its frame, nor of itself.
    for renderer in renderers_of(runner.pid):
        os.kill(renderer, signal.SIGSTOP)
    farm.stop = True
    assert runner.wait(60) == 0
    assert farm.finishes["c1"].outcome is Outcome.STOPPED
    assert 99 not in farm.frames


def test_a_runner_that_yields_finishes_its_frame_and_asks_again(rig: Rig) -> None:
    farm = rig.farm("slow.blend", [list(range(1, 100)), [200]])
    runner = rig.start(farm)
    farm.wait(lambda: 1 in farm.frames)
    farm.yields = True
    farm.wait(lambda: "c1" in farm.finishes)
    farm.yields = False
    assert runner.wait(60) == 0
    finish = farm.finishes["c1"]
    assert (finish.outcome, finish.message) == (Outcome.STOPPED, "")
    rendered = sorted(frame for frame in farm.frames if frame != 200)
    assert rendered == list(range(1, len(rendered) + 1))
    assert 1 <= len(rendered) < 99
    assert 200 in farm.frames


def test_a_lost_claim_is_forgotten_and_another_one_asked_for(rig: Rig) -> None:
    farm = rig.farm("slow.blend", [list(range(1, 100)), [200]])
    runner = rig.start(farm)
    farm.wait(lambda: 1 in farm.frames)
    farm.lost.add("c1")
    assert runner.wait(60) == 0
    assert farm.finishes.keys() == {"c2"}
    assert 200 in farm.frames


@pytest.mark.every_blender
def test_sigterm_stops_quickly_and_leaves_nothing(
    rig: Rig, renderers_of: Callable[[int], list[int]]
) -> None:
    farm = rig.farm("slow.blend", [list(range(1, 100))])
    runner = rig.start(farm)
    farm.wait(lambda: 1 in farm.frames)
    renderers = [psutil.Process(pid) for pid in renderers_of(runner.pid)]
    runner.terminate()
    assert runner.wait(60) == 0
    assert farm.finishes["c1"].outcome is Outcome.STOPPED
    assert list(rig.work_dir.iterdir()) == []
    until_dead(renderers)


def test_a_blob_that_the_store_lost(rig: Rig, tmp_path: Path) -> None:
    farm = rig.farm("plain.blend", [[1]])
    for blob in (tmp_path / "store").glob("*/*"):
        blob.unlink()
    assert rig.run(farm) == 1
    assert says(farm.finishes["c1"].message, "farms-store-lost-bytes", "show/plain.blend")


def test_what_could_not_be_staged_is_gone_before_anybody_is_told(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be what fills the farm's disk, on which the farm is to write down what it is told."""
    farm = rig.farm("plain.blend", [[1]], files=["slow.blend"])
    lost = farm.job.files[-1].hash
    (tmp_path / "store" / lost[:2] / lost).unlink()
    answer, seen = farm.answer, list[Path]()

    def looking(method: str, path: str, body: bytes) -> tuple[int, str | bytes]:
        if (method, path) == ("POST", "claims"):
            seen.extend(rig.work_dir.iterdir())
        return answer(method, path, body)

    monkeypatch.setattr(farm, "answer", looking)
    assert rig.run(farm) == 1
    assert farm.finishes["c1"].permanent
    assert seen == []


def test_a_configured_blender_that_is_not_one(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]])
    assert rig.run(farm, "--blender", "/bin/true") == 1
    assert says(farm.finishes["c1"].message, "configured-does-not-answer-does", "/bin/true")


def test_a_runner_tells_of_the_programs_that_it_had_to_ask(rig: Rig, tmp_path: Path) -> None:
    broken = tmp_path / "Nuke15.1"
    broken.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    broken.chmod(0o755)
    farm = rig.farm("plain.blend", [[1], [2]])
    assert rig.run(farm, "--program", f"nuke={broken}") == 0
    first, *others = [request.programs for request in farm.requests]
    assert [each.app for each in first] == ["blender"]
    assert first[0].version.count(".") == 2
    assert len(others) == 2
    assert not any(others)
    assert not (tmp_path / "started").exists()


def test_a_product_that_nobody_knows_is_wrong_use(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]])
    assert rig.run(farm, "--program", "paint=/bin/true") == 2


def test_a_wrong_token_ends_the_runner(rig: Rig) -> None:
    farm = rig.farm("plain.blend", [[1]])
    assert rig.start(farm, token="another").wait(60) == 0
    assert not farm.requests


def test_the_runner_needs_nothing_of_the_server(rig: Rig) -> None:
    import sys

    # Before the first use, nothing heavy either: a runner's start counts for every claim.
    code = (
        "import sys, farm.runner.__main__; heavy = {'fastapi', 'sqlalchemy', 'openjd', 'uvicorn',"
        " 'OpenImageIO', 'farm.api', 'farm.scheduler', 'farm.db'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
