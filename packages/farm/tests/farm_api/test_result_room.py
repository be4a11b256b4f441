"""What a runner announces and does not send takes no room from others."""

import shutil
import socket
from contextlib import ExitStack, closing, suppress
from decimal import Decimal

import pytest
from answers import heard
from farm.api.own_turns import RESULTS_AT_A_TIME
from farm.catalogue import Catalogue
from farm.catalogue.definitions import LimitsEntry
from farm.catalogue.machines import Machines
from farm.catalogue.products import Installed, product_rows
from farm.db.tables import outputs
from farm.scheduler.claims import FILES_AT_A_TIME
from farm.stores.room import AHEAD_BYTES
from sqlalchemy import func, select

from .conftest import Farm, send, spec
from .runners import FakeRunner, at_work, job_of
from .test_storage import KB, STORAGE_FULL, announce, digest, fill, put, refused

FILE_BYTES = 3 * AHEAD_BYTES


@pytest.fixture
def catalogue() -> Catalogue:
    """A machine on which a renderer's files have a size."""
    machine = Machines(
        "local-cpu",
        "Test",
        gpu=False,
        slots=2,
        credits_per_hour=Decimal(3600),
        limits=LimitsEntry(file_gb=FILE_BYTES / 2**30),
    )
    return Catalogue(products=product_rows([Installed("blender", "3.4.1")]), machines=[machine])


def announce_result(farm: Farm, runner: FakeRunner, size: int, sent: bytes = b"") -> socket.socket:
    return announce(farm, runner.http, size, sent, path="/v1/runner/blobs")


def test_a_result_that_does_not_come_takes_no_room_from_others(farm: Farm) -> None:
    ann, bob = farm.user("ann@example.com"), farm.user("bob@example.com")
    runner = at_work(farm, ann)
    with ExitStack() as stack:
        for _ in range(RESULTS_AT_A_TIME):
            stack.enter_context(closing(announce_result(farm, runner, FILE_BYTES, b"begun")))
        while farm.room._coming.total() != RESULTS_AT_A_TIME * (AHEAD_BYTES - 5):
            pass
        # One more of the same runner waits for its turn, and takes no room.
        stack.enter_context(closing(announce_result(farm, runner, FILE_BYTES, b"begun")))
        assert put(bob, b"x").status_code == 201
        assert farm.room._coming.total() <= RESULTS_AT_A_TIME * AHEAD_BYTES
    assert runner.done(1).status_code == 204


def test_a_result_ends_where_the_room_does(farm: Farm) -> None:
    """It began when there was enough; meanwhile others have taken it."""
    runner = at_work(farm, farm.user("ann@example.com"))
    data = bytes(2 * AHEAD_BYTES)
    with closing(announce_result(farm, runner, len(data))) as made:
        while not farm.room._coming:
            pass
        fill(farm)
        with suppress(OSError):
            made.sendall(data)
        assert b"storage_full" in heard(made, b"storage_full")
    farm.room._given = 0
    assert not list((farm.data_dir / "blobs" / "tmp").iterdir())
    assert runner.done(1, data=data).status_code == 204


def test_a_result_is_no_larger_than_a_file_of_the_job_may_be(farm: Farm) -> None:
    runner = at_work(farm, farm.user("ann@example.com"))
    assert runner.done(1, data=bytes(FILE_BYTES)).status_code == 204
    with closing(announce_result(farm, runner, FILE_BYTES + 1)) as made:
        assert heard(made, b"invalid_request").startswith(b"HTTP/1.1 400 ")


def test_a_result_whose_claim_has_ended_is_not_received_to_its_end(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.api.transfer.LOOK_SECONDS", 0.0)
    runner = at_work(farm, farm.user("ann@example.com"))
    with closing(announce_result(farm, runner, 100 * KB, b"begun")) as made:
        while farm.room._coming.total() != 100 * KB - 5:
            pass
        runner.finish("stopped").raise_for_status()
        made.sendall(b"more")
        assert heard(made, b"claim_lost").startswith(b"HTTP/1.1 410 ")


def names(first: int, count: int) -> list[dict[str, object]]:
    one = {"hash": digest(b"pixels"), "size": 6}
    path = "demo/render_results/out/frame_{:06}.png"
    return [one | {"path": path.format(number)} for number in range(first, first + count)]


def kept(farm: Farm) -> int:
    with farm.database.read() as connection:
        return connection.execute(select(func.count()).select_from(outputs)).scalar_one()


def test_of_a_frame_that_is_refused_no_names_stay(farm: Farm) -> None:
    runner = at_work(farm, farm.user("ann@example.com"))
    assert runner.done(1).status_code == 204
    before = kept(farm)
    lost = {"path": "demo/render_results/out/lost.png", "hash": "0" * 64, "size": 1}
    files = [*names(0, FILES_AT_A_TIME + 1), lost]
    answer = runner.done(2, outputs=files)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert kept(farm) == before
    assert runner.done(2, outputs=files[:-1]).status_code == 204
    assert kept(farm) == before + FILES_AT_A_TIME + 1


def test_a_frame_has_a_number_of_names_over_all_reports(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.scheduler.claims.FILES_AT_A_TIME", 10)
    monkeypatch.setattr("farm.scheduler.claims.MOST_NAMES_OF_A_FRAME", 50)
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    ann.post("/v1/submissions", json=spec(params={"frames": "1"})).raise_for_status()
    runner = FakeRunner(farm)
    assert runner.claim() == [1]
    assert runner.done(1, outputs=names(0, 30)).status_code == 204
    runner.finish()
    farm.engine.living.clear()
    ann.post(f"/v1/jobs/{job_of(ann)['id']}/retry_all").raise_for_status()
    runner = FakeRunner(farm, 2)
    assert runner.claim() == [1]
    assert runner.done(1, outputs=names(100, 30)).json()["code"] == "invalid_request"
    assert runner.done(1, outputs=[*names(0, 30), *names(100, 20)]).status_code == 204
    assert kept(farm) == 50


def test_names_and_logs_leave_room_for_the_database(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    runner = at_work(farm, ann)
    assert runner.done(1).status_code == 204
    farm.room._given = 8 * shutil.disk_usage(farm.data_dir).total
    before = kept(farm)
    for answer in (
        runner.post("frames", {"frame": 2, "seconds": 0, "outputs": names(0, 1)}),
        runner.post("log", {"offset": 0, "text": "words"}),
        ann.put("/v1/projects/other/files", json={"files": []}),
        ann.post("/v1/submissions", json=spec()),
    ):
        assert refused(answer) == STORAGE_FULL
    assert kept(farm) == before
    # What takes no more room is taken.
    one = {"path": "demo/render_results/out/frame_0001.png", "hash": digest(b"pixels"), "size": 6}
    body = {"frame": 2, "seconds": 0, "outputs": [one]}
    assert runner.post("frames", body).status_code == 204
