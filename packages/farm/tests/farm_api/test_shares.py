"""Where no plan gives a number, results leave others their part of the disk as uploads do."""

import os
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest
from answers import heard
from farm.db.tables import accounts
from messages import says
from sqlalchemy import func, select

from .conftest import Farm
from .runners import at_work, job_of
from .test_storage import (
    KB,
    QUOTA_EXCEEDED,
    announce,
    digest,
    put,
    refused,
    wait_for_state,
)

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


def test_results_of_several_that_arrive_at_once_do_not_fill_a_disk(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each was begun when there was enough for it: not all of them end."""
    monkeypatch.setattr("farm.api.transfer.LOOK_BYTES", 10 * KB)
    monkeypatch.setattr("farm.stores.room.AHEAD_BYTES", 10 * KB)
    users = [farm.user(f"{name}@example.com") for name in ("ann", "bob")]
    runners = [at_work(farm, user, number) for number, user in enumerate(users, 1)]
    data = bytes(500 * KB)
    with ExitStack() as stack:
        made = [
            stack.enter_context(
                closing(announce(farm, each.http, len(data), b"\0", data, path="/v1/runner/blobs"))
            )
            for each in runners
        ]
        while farm.room._coming.total() != 2 * (10 * KB - 1):
            pass
        for begin in range(1, len(data), 10 * KB):
            for each in made:
                with suppress(OSError):
                    each.sendall(data[begin : begin + 10 * KB])
        answers = [heard(each, b"\r\n\r\n") for each in made]
    assert b"509" in [each.split()[1] for each in answers]
    assert put(farm.user("eve@example.com"), b"e" * (50 * KB)).status_code == 201


def stored(farm: Farm) -> int:
    with farm.database.read() as connection:
        return int(connection.execute(select(func.max(accounts.c.stored_bytes))).scalar_one())


def test_logs_and_messages_of_runners_count_as_stored(farm: Farm) -> None:
    """As the bytes that they are."""
    farm.user("bob@example.com")
    runner = at_work(farm, farm.user("ann@example.com"))
    before = stored(farm)
    assert runner.post("log", {"offset": 0, "text": "\U0001f600" * 1000}).status_code == 204
    assert stored(farm) == before + 4000
    # Sent again, it is not stored again.
    assert runner.post("log", {"offset": 0, "text": "\U0001f600" * 1000}).status_code == 204
    assert stored(farm) == before + 4000
    answer = runner.post("log", {"offset": 1000, "text": "x" * (800 * KB)})
    assert refused(answer)[0] == 400
    assert says(answer.json()["errors"]["text"][0], "account-storage-used-up")
    assert stored(farm) == before + 4000
    assert runner.done(1).status_code == 204
    between = stored(farm)
    runner.finish("failed", message="\u00e9" * 1000)
    assert stored(farm) == between + 2000


def test_one_artist_alone_has_all_of_the_disk(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    runner = at_work(farm, ann)
    for frame in range(1, 4):
        assert runner.done(frame, data=bytes([frame]) * (300 * KB)).status_code == 204
    farm.engine.wait_for_looks(2, farm.wakeup)
    assert job_of(ann)["state"] == "running"
