"""Houdini jobs through the real runner: hython is a strict stand-in."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from farm.products import BUILT_IN
from farm_protocol.runner import Outcome
from pydantic import JsonValue
from stand_ins_houdini import install

from .fake_farm import FakeFarm
from .in_process import end, names, run_job

MANTRA = {"type": "ifd", "parms": {"vm_picture": "$HIP/render/shot.$F4.png"}}
CAMERA = {"type": "cam", "parms": {"resx": 64, "resy": 36}}
CACHE = {"type": "geometry", "parms": {"sopoutput": "$HIP/geo/smoke.$F4.bgeo.sc"}}


def run(
    folder: Path,
    nodes: Mapping[str, Any],
    claims: list[list[int]],
    operation: str = "render",
    stand_in: Mapping[str, Any] | None = None,
    yields: bool = False,
    taken: Collection[int] = (),
    **params: JsonValue,
) -> FakeFarm:
    scene = folder / "project" / "shot.hip"
    scene.parent.mkdir()
    scene.write_text(json.dumps({"nodes": nodes, "stand_in": stand_in or {}}))
    hython = install(folder / "bin")["hython"]
    given: dict[str, JsonValue] = {"frames": "1 10", **params}
    return run_job(folder, "hou", hython, operation, scene.name, claims, given, yields, taken=taken)


def test_a_render_splits_and_delivers_frame_by_frame(tmp_path: Path) -> None:
    nodes = {"/out/mantra1": MANTRA, "/obj/cam1": CAMERA}
    farm = run(tmp_path, nodes, [[1, 2, 3], [7]], rop_nodepath="/out/mantra1", rop_nodetype="ifd")
    assert {each.outcome for each in farm.finishes.values()} == {Outcome.COMPLETED}, farm.log
    assert names(farm) == {frame: [f"shot.{frame:04d}.png"] for frame in (1, 2, 3, 7)}


@pytest.mark.parametrize("operation", ["sim", "batch"])
def test_a_simulation_is_one_piece_of_work(tmp_path: Path, operation: str) -> None:
    # The farm knows one frame; the range is the job's own.
    farm = run(tmp_path, {"/out/cache": CACHE}, [[1]], operation, frames="1 5")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert list(farm.frames) == [1]
    assert names(farm)[1] == [f"smoke.{frame:04d}.bgeo.sc" for frame in range(1, 6)]


def test_a_simulation_that_breaks_delivers_nothing(tmp_path: Path) -> None:
    farm = run(tmp_path, {"/out/cache": CACHE}, [[1]], "sim", frames="1 5", stand_in={"fail_at": 3})
    assert end(farm).outcome is Outcome.FAILED
    assert farm.frames == {}


def test_a_simulation_whose_files_another_job_has_written_fails_for_good(tmp_path: Path) -> None:
    farm = run(tmp_path, {"/out/cache": CACHE}, [[1]], "sim", frames="1 3", taken=[1])
    assert end(farm).outcome is Outcome.FAILED
    assert end(farm).message == "Another job has written it."
    assert end(farm).permanent


def test_the_documented_parameters_reach_houdini(tmp_path: Path) -> None:
    farm = run(
        tmp_path,
        {"/out/mantra1": MANTRA, "/obj/cam1": CAMERA},
        [[2]],
        disk_output_path="beauty it's.$F4.png",
        disk_output_ext="exr",
        output_upload=["*.exr"],
        project_env={"JOB": "/show"},
        project_param={"/obj/cam1/resx": 48},
    )
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert names(farm)[2] == ["beauty it's.0002.exr"]


def test_the_longest_list_reaches_houdini(tmp_path: Path) -> None:
    nodes = {"/out/mantra1": MANTRA, "/obj/cam1": CAMERA}
    longest: JsonValue = ["*" * 90 + ".png"] * 1_000
    farm = run(tmp_path, nodes, [[2]], output_upload=longest)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"output_upload": ["*.png"] * 12_000}, "output_upload"),
        ({"project_param": {"/obj/geo1/points": [0.5] * 60_000}}, "project_param"),
        ({"project_env": {"JOB": "é" * 17_000}}, "project_env"),
        ({"output_upload": {"a": 1}}, "output_upload"),
        ({"project_env": ["JOB"]}, "project_env"),
        ({"project_param": "no json"}, "project_param"),
    ],
)
def test_wrong_structures_are_named(params: dict[str, JsonValue], field: str) -> None:
    template = BUILT_IN.load("hou", "render")
    assert template is not None
    assert list(template.validate({"frames": "1", **params}).errors) == [field]


@pytest.mark.parametrize(
    ("orders", "outcome"),
    [
        ({"licence": True}, Outcome.NO_LICENCE),
        ({"fail_at": 2}, Outcome.FAILED),
        ({"lie_at": 2}, Outcome.FAILED),
        ({"truncate": 2}, Outcome.FAILED),
        ({"crash_at": 2}, Outcome.FAILED),
        ({"no_devices": True}, Outcome.FAILED),
    ],
)
def test_what_goes_wrong_is_noticed(
    tmp_path: Path, orders: dict[str, object], outcome: Outcome
) -> None:
    nodes = {"/out/mantra1": MANTRA, "/obj/cam1": CAMERA}
    farm = run(tmp_path, nodes, [[1, 2, 3]], stand_in=orders)
    assert end(farm).outcome is outcome, farm.log
    assert 2 not in farm.frames


def test_a_simulation_does_not_yield(tmp_path: Path) -> None:
    """All of it would be lost: the next claim would begin anew."""
    farm = run(tmp_path, {"/out/cache": CACHE}, [[1]], "sim", yields=True, frames="1 5")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert list(farm.frames) == [1]
