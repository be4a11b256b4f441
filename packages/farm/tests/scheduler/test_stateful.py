"""Whatever users, runners, the clock and crashes do: nothing is lost, nothing done twice.

Random submissions with random graphs, actions, failures, lost and frozen runners, clock jumps,
crashes, budgets and empty accounts, on the real scheduler and database. After every step the
invariants hold; in the end everybody works on, and everything must come to an end.
"""

from decimal import Decimal
from typing import Any

import pytest
from farm.accounts.credits import grant
from farm_protocol.jobs import JobState
from farm_protocol.runner import Finish, Outcome, RunnerCommand
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from scheduler import world
from scheduler.random_farm import Farm

from tools.temporary_postgres import TemporaryPostgres

COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


def go_through_it(place: Any, examples: int, steps: int) -> None:
    profile = settings(COMMON, max_examples=examples, stateful_step_count=steps)
    # A function that makes one will do, whatever its type says.
    run_state_machine_as_test(lambda: Farm(place), settings=profile)  # type: ignore[arg-type]


def test_whatever_happens(place: Any, server: TemporaryPostgres | None) -> None:
    go_through_it(place, examples=4 if server else 18, steps=30)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_whatever_happens_for_longer(place: Any) -> None:
    go_through_it(place, examples=150, steps=80)


def test_ten_thousand_frames_do_not_starve_another_users_one(place: Any) -> None:
    """The real scheduler with one slot: frames of 10 s, a pass every 2 s."""
    farm = world.World(place, slots=1)
    with farm.database.write() as connection:
        for user_id in farm.user_ids:
            grant(connection, user_id, Decimal(10**6), "enough for everything")
    try:
        farm.submit(0, [{"id": "endless", "frames": 10_000}])
        farm.scheduler.tick()
        begun: dict[str, Any] = {}

        def seconds(count: int) -> None:
            for _ in range(count):
                farm.pass_time(1)
                if count % 2 == 0:
                    farm.scheduler.tick()
                for reference, process in list(farm.engine.processes.items()):
                    if process.claim is None:
                        farm.claim(reference)
                        begun[reference] = farm.now
                        continue
                    command = farm.beat(process)
                    if (farm.now - begun[reference]).total_seconds() >= 10:
                        farm.done(process, process.left.pop(0))
                        begun[reference] = farm.now
                        if command is RunnerCommand.YIELD or not process.left:
                            farm.finish(process, Finish(outcome=Outcome.STOPPED))
                            process.claim = None

        seconds(120)
        short = farm.submit(1, [{"id": "short", "frames": 1}]).jobs[0].id
        asked = farm.now
        while farm.state(short) is not JobState.COMPLETED:
            seconds(2)
            assert (farm.now - asked).total_seconds() < 40
        seconds(40)
        assert farm.engine.launched == 3  # The first user's renderer was started once more.
    finally:
        farm.close()
