"""Runners that live keep their claims, whatever the farm and the clock do; others are noticed."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from farm.db import claims as claim_rows
from farm.db import job_rows, ledger, runners
from farm_protocol.jobs import Budget, BudgetAction, JobState
from farm_protocol.runner import (
    CLAIM_TIMEOUT_SECONDS,
    HEARTBEAT_SECONDS,
    IDLE_TIMEOUT_SECONDS,
    Finish,
    Outcome,
    RunnerCommand,
)
from messages import saying
from scheduler.world import Crash, Place, Process, World

NOTICED_SECONDS = 15
BUDGET_SECONDS = 5


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worlds have a clock of their own, but rests after a pass take real time."""
    monkeypatch.setattr("farm.scheduler.loop.REST_SHARE", 0.0)


@pytest.fixture
def world(place: Place) -> Iterator[World]:
    world = World(place, slots=1)
    yield world
    with world.database.read() as connection:
        assert ledger.faults(connection) == []
    world.close()


def begun(world: World, **changes: object) -> Process:
    """Return a runner that has just claimed frames and told of itself."""
    world.submit(0, [{"id": "a", "frames": 3, "instances": 1, **changes}])
    world.scheduler.tick()
    ((reference, process),) = world.engine.processes.items()
    assert world.claim(reference) is not None
    world.beat(process)
    return process


def is_open(world: World) -> bool:
    with world.database.read() as connection:
        return bool(claim_rows.open_claims(connection))


def credits(world: World, process: Process) -> int:
    with world.database.read() as connection:
        return int(job_rows.row(connection, process.request.job_id).credits_micros) // 10**6


@pytest.mark.parametrize("seconds", [13, 290, 8 * 3600, -3600])
@pytest.mark.parametrize("restarted", [True, False])
def test_who_lives_keeps_its_claim_over_a_pause_and_a_jump(
    world: World, seconds: float, restarted: bool
) -> None:
    process = begun(world)
    world.pass_time(seconds)
    if restarted:
        world.crash()
    world.scheduler.tick()
    for _ in range(8):  # Its call comes late, but it comes.
        world.pass_time(1)
        world.scheduler.tick()
    assert world.beat(process) is RunnerCommand.CONTINUE
    for _ in range(30):
        world.pass_time(HEARTBEAT_SECONDS)
        world.scheduler.tick()
        world.beat(process)
    world.done(process, 1)
    paid = 8 + 30 * HEARTBEAT_SECONDS if seconds < 0 else CLAIM_TIMEOUT_SECONDS + 60
    assert credits(world, process) <= paid


@pytest.mark.parametrize("pause", [None, 13, 8 * 3600, -3600])
@pytest.mark.parametrize("restarted", [True, False])
def test_who_fell_silent_is_noticed_in_time(
    world: World, pause: float | None, restarted: bool
) -> None:
    process = begun(world)
    world.scheduler.tick()
    if pause is not None:
        world.pass_time(pause)
    if restarted:
        world.crash()
    since = world.now
    world.run(lambda: not is_open(world))
    assert (world.now - since).total_seconds() <= NOTICED_SECONDS
    assert credits(world, process) == 0  # Nothing was heard of it after its first sign of life.


def test_who_could_not_be_heard_is_not_taken_for_silent_when_another_one_is_gone(
    place: Place,
) -> None:
    world = World(place, slots=3)
    try:
        world.submit(0, [{"id": "a", "frames": 9, "instances": 3}])
        world.scheduler.tick()
        gone, works, gets_ready = list(world.engine.processes)
        assert world.claim(gone) is not None
        assert world.claim(works) is not None
        world.scheduler.tick()
        world.engine.stop(gone)
        # The farm stood still, which the loss of one does not make good.
        world.pass_time(2 * IDLE_TIMEOUT_SECONDS)
        world.scheduler.tick()
        processes = world.engine.processes
        assert world.beat(processes[works]) is RunnerCommand.CONTINUE
        assert world.ready_soon(processes[gets_ready]) is RunnerCommand.CONTINUE
    finally:
        world.close()


def test_who_could_not_be_heard_while_the_database_failed_keeps_its_claim(world: World) -> None:
    process = begun(world)
    world.database.fuse = 1  # And at each commit after that.
    until = world.now + timedelta(seconds=60)
    world.run(lambda: world.now >= until)
    world.database.fuse = 0
    until += timedelta(seconds=8)
    world.run(lambda: world.now >= until)
    assert world.beat(process) is RunnerCommand.CONTINUE


def test_who_gives_way_before_its_first_claim_has_not_failed(place: Place) -> None:
    world = World(place, slots=2)
    try:
        (job,) = world.submit(0, [{"id": "a", "frames": 3, "instances": 2}]).jobs
        world.scheduler.tick()
        world.slots = 1
        world.crash()
        world.scheduler.tick()
        with world.database.read() as connection:
            living = runners.live_runners(connection)
        (surplus,) = (each.reference for each in living if each.yielding)
        assert surplus is not None
        world.engine.stop(surplus)
        world.scheduler.tick()
        with world.database.read() as connection:
            assert job_rows.row(connection, job.id).message == ""
    finally:
        world.close()


def test_failures_to_start_count_until_a_quiet_time_has_passed(world: World) -> None:
    world.submit(0, [{"id": "a", "frames": 9, "instances": 1}])
    world.scheduler.tick()

    def seconds_to_the_next() -> float:
        before, since = world.engine.launched, world.now
        world.engine.stop(launched(world))
        world.run(lambda: world.engine.launched > before)
        return (world.now - since).total_seconds()

    seconds = [seconds_to_the_next() for _ in range(6)]
    assert seconds[-1] > 4 * seconds[0]
    process = world.engine.processes[launched(world)]
    assert world.claim(launched(world)) is not None
    world.finish(process, Finish(outcome=Outcome.STOPPED))
    world.engine.stop(launched(world))
    world.pass_time(10 * seconds[-1])
    world.scheduler.tick()
    assert seconds_to_the_next() == seconds[0]


def test_who_is_gone_is_believed_to_be_at_once(world: World) -> None:
    process = begun(world)
    world.engine.stop(launched(world))
    world.scheduler.tick()
    assert not is_open(world)
    assert credits(world, process) == 0


def launched(world: World) -> str:
    """Return the reference of the one runner that lives."""
    (reference,) = world.engine.processes
    return reference


def test_who_hangs_before_its_first_claim_is_noticed(world: World) -> None:
    job = world.submit(0, [{"id": "a", "frames": 1, "instances": 1}]).jobs[0].id
    world.scheduler.tick()
    first, since = launched(world), world.now
    world.run(lambda: world.engine.launched == 2)
    assert IDLE_TIMEOUT_SECONDS < (world.now - since).total_seconds() < IDLE_TIMEOUT_SECONDS + 15
    assert launched(world) != first
    with world.database.read() as connection:
        message = job_rows.row(connection, job).message
    assert message == saying("another-one-started", saying("runner-not-heard-minutes", 5))
    assert world.claim(launched(world)) is not None
    with world.database.read() as connection:
        assert job_rows.row(connection, job).message == ""


@pytest.fixture
def unrecorded(world: World) -> str:
    """Return the reference of a runner whose farm died before it could write that down."""
    world.submit(0, [{"id": "a", "frames": 3, "instances": 1}])
    for commit in itertools.count(1):
        world.database.fuse = commit
        with suppress(Crash):
            world.scheduler.tick()
        world.crash()
        if world.engine.processes:
            return launched(world)
    raise AssertionError


def test_who_was_launched_by_a_farm_that_died_meanwhile_may_still_come(
    world: World, unrecorded: str
) -> None:
    until = world.now + timedelta(seconds=1.5 * CLAIM_TIMEOUT_SECONDS)
    world.run(lambda: world.now >= until)
    assert world.claim(unrecorded) is not None
    assert world.engine.launched == 1


def test_who_died_with_the_farm_that_launched_it_is_noticed(world: World, unrecorded: str) -> None:
    world.engine.stop(unrecorded)
    since = world.now
    world.run(lambda: world.engine.launched == 2)
    waited = (world.now - since).total_seconds()
    assert waited <= 2 * CLAIM_TIMEOUT_SECONDS + NOTICED_SECONDS
    assert world.claim(launched(world)) is not None


def test_who_gets_ready_for_long_and_says_so_is_left_alone(world: World) -> None:
    world.submit(0, [{"id": "a", "frames": 1, "instances": 1}])
    world.scheduler.tick()
    process = world.engine.processes[launched(world)]
    for _ in range(6):
        until = world.now + timedelta(seconds=60)
        world.run(lambda: world.now >= until)  # noqa: B023 - called in this round
        assert world.ready_soon(process) is RunnerCommand.CONTINUE
    assert world.engine.launched == 1
    world.crash()  # Nor after a pause: it could not be heard.
    world.pass_time(2 * IDLE_TIMEOUT_SECONDS)
    world.scheduler.tick()
    world.pass_time(8)
    assert world.ready_soon(process) is RunnerCommand.CONTINUE
    until = world.now + timedelta(seconds=60)
    world.run(lambda: world.now >= until)
    assert world.engine.launched == 1


def test_who_gets_ready_is_left_alone_when_another_one_could_not(place: Place) -> None:
    world = World(place, slots=3)
    try:
        job = world.submit(0, [{"id": "a", "frames": 9, "instances": 3}]).jobs[0].id
        world.scheduler.tick()
        first, *others = list(world.engine.processes)
        world.engine.stop(first)
        for _ in range(3):
            world.pass_time(1)
            world.scheduler.tick()
            for each in others:
                command = world.ready_soon(world.engine.processes[each])
                assert command is RunnerCommand.CONTINUE
        assert set(others) < set(world.engine.processes)
        assert world.claim(others[0]) is not None
        # Somebody renders: that another one could not is no news for its user.
        world.engine.stop(others[1])
        world.scheduler.tick()
        with world.database.read() as connection:
            assert job_rows.row(connection, job).message == ""
    finally:
        world.close()


def test_who_hangs_while_another_one_works_is_noticed_and_nobody_else(place: Place) -> None:
    world = World(place, slots=2)
    try:
        world.submit(0, [{"id": "a", "frames": 9, "instances": 2}])
        world.scheduler.tick()
        hangs, works = list(world.engine.processes)
        assert world.claim(works) is not None
        since = world.now
        while hangs in world.engine.processes:
            world.pass_time(HEARTBEAT_SECONDS)
            assert world.beat(world.engine.processes[works]) is RunnerCommand.CONTINUE
            world.scheduler.tick()
            assert (world.now - since).total_seconds() < IDLE_TIMEOUT_SECONDS + 15
        assert works in world.engine.processes
    finally:
        world.close()


def test_who_hangs_after_its_last_claim_is_noticed(world: World) -> None:
    process = begun(world)
    world.done(process, 1)
    world.finish(process, Finish(outcome=Outcome.STOPPED))
    reference, since = launched(world), world.now
    world.run(lambda: reference not in world.engine.processes)
    assert (world.now - since).total_seconds() < IDLE_TIMEOUT_SECONDS + 15


def test_a_clock_that_is_set_back_a_little_delays_by_as_much(world: World) -> None:
    begun(world)
    world.scheduler.tick()
    world.pass_time(-20)
    since = world.now
    world.run(lambda: not is_open(world))
    assert (world.now - since).total_seconds() <= 20 + NOTICED_SECONDS


def test_two_pauses_in_a_row_are_two(world: World) -> None:
    process = begun(world)
    world.scheduler.tick()
    for _ in range(3):
        world.pass_time(11)
        world.scheduler.tick()
    assert world.beat(process) is RunnerCommand.CONTINUE


@pytest.mark.parametrize(
    ("action", "state"),
    [(BudgetAction.STOP, JobState.STOPPING), (BudgetAction.SUSPEND, JobState.SUSPENDED)],
)
def test_a_budget_acts_within_five_seconds(
    world: World, action: BudgetAction, state: JobState
) -> None:
    process = begun(world, budget=Budget(value=Decimal(30), action=action))
    began = world.now

    def second() -> bool:
        if (world.now - began).total_seconds() % HEARTBEAT_SECONDS == 0:
            world.beat(process)
        return world.state(process.request.job_id) is state

    world.run(second)
    assert 30 <= (world.now - began).total_seconds() <= 30 + BUDGET_SECONDS
