"""Envoy is killed at any moment, as a real process, and goes on where it was."""

import asyncio
import os
import resource
import signal
from functools import partial
from pathlib import Path
from signal import Signals

import pytest
from envoy.process.status_messages import Reason
from envoy_fake_farm import EMAIL
from envoy_faults import Fault
from envoy_machine import Machine
from envoy_studio import Studio, until
from farm_protocol.changes import Output

OUT = "demo/render_results/out"


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/blobs/"), ("PUT", "/v1/projects/"), ("POST", "/v1/submissions")],
)
async def test_killed_while_uploading(machine: Machine, method: str, path: str) -> None:
    async with machine.studio() as studio:
        await studio.sign_in()
        for number in range(20):
            studio.write(f"{number}.png", f"{number}".encode())
        studio.write("scene.blend")
        body = studio.body() | {
            "project_files": {"localRoot": str(studio.project), "remoteRoot": "/demo"}
        }
        farm = studio.farm
        farm.faults = [
            Fault("POST", "/v1/submissions/check", "pass"),
            Fault(method, path, "lose answer" if path == "/v1/submissions" else "hold"),
        ]
        answer = await studio.http.post("/project-submit", json=body)
        await until(farm.held.is_set)
        submission_id = answer.json()["submission_id"]
    await machine.end()
    farm.released.set()
    await machine.start()
    async with machine.studio() as studio:
        row = await studio.until_state(submission_id, "submitted")
        assert len(farm.manifests[EMAIL, "demo"]) == 21
        assert list(farm.submissions) == [submission_id]
        assert [job["name"] for job in row["jobs"]] == ["beauty"]


async def test_killed_while_downloading(machine: Machine) -> None:
    async with machine.studio() as studio:
        farm = studio.farm
        await studio.sign_in()
        submission_id = await studio.submitted()
        farm.output(submission_id, f"{OUT}/first.png", b"first")
        await until((studio.results / "first.png").exists)
        farm.faults = [Fault("GET", "/v1/blobs/", "hold", 3)]
        for number in range(10):
            farm.output(submission_id, f"{OUT}/{number}.png", b"%d" % number)
        await until(farm.held.is_set)
    await machine.end()
    # As if it had been killed in the middle of a write: a rest of the first pending row.
    (studio.results / ".0.png.2.part").write_bytes(b"half")
    farm.output(submission_id, f"{OUT}/while away.png", b"later")
    farm.released.set()
    await machine.start()
    for number in range(10):
        await until(partial(holds, studio.results / f"{number}.png", b"%d" % number))
    await until((studio.results / "while away.png").exists)
    assert list(studio.results.glob(".*")) == []


async def test_killed_again_and_again(machine: Machine) -> None:
    """Wherever the kill falls, nothing is lost and nothing is submitted twice."""
    submissions = []
    farm = machine.farm
    for round_number in range(3):
        async with machine.studio() as studio:
            await studio.sign_in()
            studio.write("scene.blend", os.urandom(300_000))
            submissions.append(await studio.submit())
            for done in list(farm.submissions):
                farm.output(done, f"{OUT}/{done[:8]}-{round_number}.png", os.urandom(100_000))
            await asyncio.sleep(0.03 * round_number)  # The moment of the kill: it varies.
        await machine.end()
        await machine.start()
    async with machine.studio() as studio:
        for submission_id in submissions:
            await studio.until_state(submission_id, "submitted")
        assert sorted(farm.submissions) == sorted(submissions)
        for _, event in list(farm.feed):
            if isinstance(event, Output):
                target = studio.results / event.path.rpartition("/")[2]
                await until(partial(holds, target, farm.blobs[EMAIL, event.hash]))
        assert list(studio.results.glob(".*")) == []


@pytest.mark.sample(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_clean_stop(machine: Machine, number: Signals) -> None:
    # The farm answers no more: an Envoy that waits for that does not end by itself, and says so.
    machine.farm.faults.append(Fault("GET", "/v1/changes", "hold"))
    async with machine.studio() as studio:
        await studio.sign_in()
        await until(machine.farm.held.is_set)
        assert await machine.end(number) == 0


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits other processes")
@pytest.mark.parametrize("path", ["/v1/projects/", "/v1/submissions"])
async def test_a_disk_that_was_full_for_a_moment_holds_up_nothing_for_good(
    machine: Machine, path: str
) -> None:
    """The farm has taken it, and Envoy cannot write that down."""
    async with machine.studio() as studio:
        await studio.sign_in()
        studio.write("scene.blend")
        farm = studio.farm
        farm.faults = [Fault("POST", "/v1/submissions/check", "pass")]
        farm.faults.append(Fault("PUT" if "projects" in path else "POST", path, "hold"))
        ids = [await studio.submit()]
        await until(farm.held.is_set)
        ids.append(await studio.submit())
        pid = machine.process.pid
        no_limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, no_limit[1]))
        refused = await studio.http.post("/project-submit", json=studio.body())
        assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
        farm.released.set()

        async def waits() -> object:
            return (await studio.activity())["waiting_for"]

        await until(waits)
        assert (await studio.activity())["waits_for"] == Reason.JOURNAL
        assert all([(await studio.of(each))["message"] == "" for each in ids])
        resource.prlimit(pid, resource.RLIMIT_FSIZE, no_limit)
        for each in ids:
            await studio.until_state(each, "submitted")
        await until(lambda: _quiet(studio))


def holds(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


async def _quiet(studio: Studio) -> object:
    return (await studio.activity())["waiting_for"] == ""
