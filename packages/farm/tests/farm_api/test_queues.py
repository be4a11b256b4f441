"""Engines with a queue: it delays, loses and lies, and no work is lost by that."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from farm.db import tables
from sqlalchemy import update

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of, wait_for

BUSY = "All machines of the queue are busy."


@pytest.fixture
def queue(farm: Farm) -> Farm:
    """Return a farm whose engine is a queue."""
    farm.engine.queues = BUSY
    farm.engine.certain = False
    farm.engine.outlives_farm = True
    return farm


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"a scene")
    return client


def an_hour_later(farm: Farm) -> None:
    """Let all runners be an hour older, and the scheduler look at them some times."""
    then = datetime.now(UTC) - timedelta(hours=1)
    known = tables.runners.c.heard_at.is_not(None)
    with farm.database.write() as connection:
        connection.execute(update(tables.runners).values(created_at=then))
        connection.execute(update(tables.runners).where(known).values(heard_at=then))
    farm.engine.wait_for_looks(3, farm.wakeup)


def test_who_waits_for_a_machine_does_not_hang(queue: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(queue)
    wait_for(ann, lambda job: BUSY in job["message"])

    an_hour_later(queue)

    assert not queue.engine.stopped
    assert len(queue.engine.launched) == 1
    queue.engine.queue.clear()
    assert runner.claim() == [1, 2, 3, 4]
    wait_for(ann, lambda job: BUSY not in job["message"])


def test_who_has_left_the_queue_and_says_nothing_does(queue: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(queue)
    queue.engine.queue.clear()
    queue.engine.wait_for_looks(2, queue.wakeup)

    an_hour_later(queue)

    wait_for(ann, lambda _: f"fake:{runner.request.runner_id}" in queue.engine.stopped)


def test_one_that_the_queue_has_lost_is_launched_again(queue: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    FakeRunner(queue)

    queue.engine.living.clear()
    queue.wakeup.notify()

    queue.engine.queues = ""
    assert FakeRunner(queue, 2).claim() == [1, 2, 3, 4]


def test_a_queue_that_calls_a_runner_gone_is_not_believed_against_its_own_word(
    queue: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(queue)
    assert runner.claim() == [1, 2, 3, 4]

    queue.engine.liar = True
    for frame in (1, 2):
        runner.beat(frame)
        queue.engine.wait_for_looks(2, queue.wakeup)
        runner.done(frame)

    assert runner.beat(3) == "continue"
    assert job_of(ann)["frames_done"] == 2


def test_a_certain_engine_is_believed_at_once(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    runner.claim()

    farm.engine.living.clear()
    farm.wakeup.notify()

    assert FakeRunner(farm, 2).claim() == [1, 2, 3, 4]


def test_a_queue_that_does_not_answer_loses_nobody(queue: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(queue)
    assert runner.claim() == [1, 2, 3, 4]

    queue.engine.mute = True
    queue.engine.wait_for_looks(3, queue.wakeup)

    assert runner.beat(1) == "continue"
    assert len(queue.engine.launched) == 1


def test_all_runners_of_a_pass_are_launched_by_one_call(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=2))
    farm.engine.wait_for(2)

    assert farm.engine.calls == 1
