"""A submission gets the files that were submitted; where it cannot, its warnings say so."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from envoy.process.status_messages import Reason
from envoy_fake_farm import EMAIL, FakeFarm
from envoy_faults import Fault
from envoy_machine import Machine
from envoy_studio import Studio, until
from farm_protocol.files import FileEntry
from messages import says

SCENE = "demo/scene.blend"


def saved_again(path: Path) -> None:
    path.write_bytes(b"scene, later")


def saved_in_place(path: Path) -> None:
    """The same size and the same time: only the kernel's own time differs."""
    status = path.stat()
    path.write_bytes(b"SCENE")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def exchanged(path: Path) -> None:
    """As programs save that write another file first, here with the time of the old one."""
    status = path.stat()
    other = path.with_name("scene.blend@")
    other.write_bytes(b"SCENE")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize("change", [saved_again, saved_in_place, exchanged])
async def test_a_file_that_changes_before_its_upload_is_named(
    studio: Studio, change: Callable[[Path], None]
) -> None:
    studio.write("first.blend")
    _, scene = studio.write("kept.png"), studio.write("scene.blend")
    # Another submission of the project is on its way, so that this one has to wait.
    studio.farm.faults = [Fault("PUT", "/v1/projects/", "hold")]
    await studio.submit(["first.blend", "scene.blend"])
    await until(studio.farm.held.is_set)
    submission = await studio.submit(["kept.png", "scene.blend"])
    change(scene)
    studio.farm.released.set()
    row = await studio.until_state(submission, "submitted")
    # Behind what the check had to say.
    check, warning = row["warnings"]
    assert not says(check, "file-changed")
    assert says(warning, "file-changed", str(scene))
    sent = studio.farm.snapshots[submission][SCENE]
    assert sent.hash == blake3(scene.read_bytes()).hexdigest()
    status = (await studio.http.get("/project-status/demo")).json()
    assert warning in status["Warnings"]


async def test_what_stays_as_it_is_needs_no_warning(studio: Studio) -> None:
    inside, linked = studio.write("tex/wood.png"), studio.project / "link.png"
    linked.symlink_to(inside)
    submission = await studio.submitted(
        project_files={"localRoot": str(studio.project), "remoteRoot": "/demo"}
    )
    assert len((await studio.of(submission))["warnings"]) == 1  # The check's.


def put_by_another(farm: FakeFarm) -> None:
    """Another Envoy of the account sends its own scene of the same name."""
    data = b"another machine's scene"
    name = blake3(data).hexdigest()
    farm.blobs[EMAIL, name] = data
    other = FileEntry(path=SCENE, hash=name, size=len(data))
    farm.change_files(EMAIL, "demo", {SCENE: other})


def assert_own(farm: FakeFarm, submission: str) -> None:
    assert farm.snapshots[submission][SCENE].hash == blake3(b"scene").hexdigest()


async def test_another_envoy_changes_a_file_before_the_submission(studio: Studio) -> None:
    studio.write("scene.blend")
    studio.farm.faults = [
        Fault("POST", "/v1/submissions/check", "pass"),
        Fault("POST", "/v1/submissions", "hold"),
    ]
    submission = await studio.submit()
    await until(studio.farm.held.is_set)
    put_by_another(studio.farm)
    studio.farm.released.set()
    row = await studio.until_state(submission, "submitted")
    assert_own(studio.farm, submission)
    assert len(row["warnings"]) == 1  # The check's.


async def test_another_envoy_changes_a_file_between_two_batches(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envoy.upload.transfer.BATCH_FILES", 1)
    studio.write("scene.blend")
    studio.write("wood.png")
    studio.farm.faults = [
        Fault("PUT", "/v1/projects/", "pass"),
        Fault("PUT", "/v1/projects/", "hold"),
    ]
    submission = await studio.submit(["scene.blend", "wood.png"])
    await until(studio.farm.held.is_set)
    put_by_another(studio.farm)
    studio.farm.released.set()
    await studio.until_state(submission, "submitted")
    assert_own(studio.farm, submission)


async def test_another_envoy_changes_a_file_while_this_one_is_dead(machine: Machine) -> None:
    async with machine.studio() as studio:
        await studio.sign_in()
        studio.write("scene.blend")
        farm = studio.farm
        farm.faults = [
            Fault("POST", "/v1/submissions/check", "pass"),
            Fault("POST", "/v1/submissions", "drop", 10**6),
        ]
        submission = await studio.submit()

        async def asked() -> bool:
            return farm.count("POST", "/v1/submissions") > 1

        await until(asked)
    await machine.end()
    put_by_another(farm)
    farm.faults = []
    await machine.start()
    async with machine.studio() as studio:
        await studio.until_state(submission, "submitted")
    assert_own(farm, submission)


def refuse(studio: Studio, times: int) -> None:
    """Let the project have changed whenever the scene is submitted, so many times."""
    studio.write("scene.blend")
    studio.farm.faults = [
        Fault("POST", "/v1/submissions/check", "pass"),
        Fault("POST", "/v1/submissions", "project_changed", times),
    ]


async def test_a_project_that_never_rests_is_taken_with_a_warning(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envoy.upload.worker.MOST_ATTEMPTS", 3)
    refuse(studio, 2)
    submission = await studio.submit()

    async def waits() -> bool:
        return bool((await studio.activity())["waits_for"] == Reason.PROJECT_CHANGED)

    await until(waits)
    row = await studio.until_state(submission, "submitted")
    assert says(row["warnings"], "project-kept-changing", "demo")
    assert studio.farm.specs[submission].revision is None


async def test_an_older_farm_is_not_told_a_revision(studio: Studio) -> None:
    studio.farm.is_older = True
    assert_own(studio.farm, await studio.submitted())


async def test_a_farm_that_never_has_enough_is_given_up(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envoy.upload.worker.MOST_ATTEMPTS", 2)
    refuse(studio, 10**6)
    await studio.until_state(await studio.submit(), "failed")
