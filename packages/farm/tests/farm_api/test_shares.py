"""Where no plan gives a number, results leave others their part of the disk as uploads do."""

import os
from pathlib import Path

import httpx
import pytest
from messages import says

from .conftest import Farm
from .runners import at_work, job_of
from .test_storage import KB, QUOTA_EXCEEDED, digest, put, refused, wait_for_state

DISK = 1000 * KB


class Disk:
    """What a small disk says of itself that holds nothing but blobs."""

    def __init__(self, blobs: Path) -> None:
        sizes = (
            os.stat(Path(folder) / name).st_size
            for folder, _, names in os.walk(blobs)
            for name in names
        )
        self.total, self.used = DISK, sum(sizes)
        self.free = DISK - self.used


@pytest.fixture(autouse=True)
def disk(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Disk(farm.data_dir / "blobs"))


def send_result(runner: httpx.Client, data: bytes) -> httpx.Response:
    return runner.put(f"/v1/runner/blobs/{digest(data)}", content=data)


def test_no_further_frame_begins_of_an_account_that_has_its_share(farm: Farm) -> None:
    ann, bob = farm.user("ann@example.com"), farm.user("bob@example.com")
    runner = at_work(farm, ann)
    assert runner.done(1, data=b"1" * (400 * KB)).status_code == 204
    farm.engine.wait_for_looks(2, farm.wakeup)
    assert job_of(ann)["state"] == "running"
    # More than half, but this frame had begun.
    assert runner.done(2, data=b"2" * (200 * KB)).status_code == 204
    job = wait_for_state(farm, ann, "suspended")
    assert says(job["message"], "suspended-storage-used-up")
    assert runner.beat() == "yield"
    assert put(bob, b"b" * (100 * KB)).status_code == 201


def test_results_that_no_frame_names_do_not_fill_a_disk_of_several(farm: Farm) -> None:
    ann, bob = farm.user("ann@example.com"), farm.user("bob@example.com")
    runner = at_work(farm, ann)
    sent = [send_result(runner.http, bytes([n]) * (150 * KB)) for n in range(4)]
    assert [each.status_code for each in sent] == [201] * 4
    answer = send_result(runner.http, b"x" * (150 * KB))
    assert refused(answer) == QUOTA_EXCEEDED
    assert says(answer.json()["message"], "account-storage-used-up")
    # What is there needs no room, and can be delivered.
    assert runner.done(1, data=bytes([1]) * (150 * KB)).status_code == 204
    assert put(bob, b"b" * (150 * KB)).status_code == 201


def test_one_artist_alone_has_all_of_the_disk(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    runner = at_work(farm, ann)
    for frame in range(1, 4):
        assert runner.done(frame, data=bytes([frame]) * (300 * KB)).status_code == 204
    farm.engine.wait_for_looks(2, farm.wakeup)
    assert job_of(ann)["state"] == "running"
