"""Whatever users, runners, the clock and crashes do: nothing is lost, nothing done twice.

Random submissions with random graphs, actions, failures, lost and frozen runners, clock jumps,
crashes, budgets and empty accounts, on the real scheduler and database. After every step the
invariants hold; in the end everybody works on, and everything must come to an end.
"""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from farm.accounts.credits import available, grant
from farm.db import accounts, ledger, metering
from farm.db import claims as claim_rows
from farm.db import jobs as job_rows
from farm.db.tables import claims, frames, job_dependencies, jobs, runners
from farm.errors import ClaimLostError, ConflictError, InsufficientCreditsError
from farm.jobs.dependencies import find_cycle
from farm.scheduler import actions
from farm.scheduler.actions import Action
from farm_protocol.jobs import Budget, BudgetAction, JobChange, JobState
from farm_protocol.runner import EndedClaim, Finish, Outcome, RunnerCommand
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from scheduler import world
from sqlalchemy import select

LOST = {JobState.FAILED, JobState.STOPPED, JobState.BLOCKED}
pick = st.integers(0, 1000)


budgets = st.none() | st.builds(
    Budget, value=st.integers(1, 20).map(Decimal), action=st.sampled_from(BudgetAction)
)


@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A few jobs in any order, each needing some of the others, without a circle."""
    count = draw(st.integers(1, 5))
    made = [
        {
            "id": f"j{number}",
            "dependencies": [f"j{n}" for n in range(number) if draw(st.booleans())],
            "frames": draw(st.integers(1, 9)),
            "instances": draw(st.integers(0, 4)),
            "test_frames_first": draw(st.booleans()),
            "budget": draw(budgets),
        }
        for number in range(count)
    ]
    return draw(st.permutations(made))


class Farm(RuleBasedStateMachine):
    """What can happen to a farm."""

    @initialize(slots=st.integers(1, 5), hosts=st.integers(1, 3))
    def begin(self, slots: int, hosts: int) -> None:
        self.world = world.World(slots, hosts)
        self.delivered: Counter[tuple[str, int]] = Counter()
        self.started_over: set[str] = set()
        self.used: Counter[str] = Counter()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.everybody_works_on()
        finally:
            self.world.close()

    # Users

    @rule(user=st.integers(0, 2), graph=graphs())
    def submit(self, user: int, graph: list[dict[str, Any]]) -> None:
        try:
            self.world.submit(user, [dict(job) for job in graph])
        except InsufficientCreditsError:
            assert self.available(user) <= 0

    def available(self, user: int) -> int:
        with self.world.database.read() as connection:
            account = accounts.by_id(connection, self.world.users[user].id)
            return available(connection, account)[0]

    @rule(user=st.integers(0, 2), credits=st.sampled_from([-5000, -1000, -5, 5, 1000, 5000]))
    def move_credits(self, user: int, credits: int) -> None:
        before = self.available(user)
        with self.world.database.write() as connection:
            grant(connection, self.world.users[user].id, Decimal(credits), "moved")
        assert self.available(user) == before + credits * 1_000_000

    def job_ids(self) -> list[str]:
        # In an order that is the same each time: ids are random.
        with self.world.database.read() as connection:
            return job_rows.ids(connection)

    @rule(which=pick, action=st.sampled_from(list(Action)))
    def act(self, which: int, action: Action) -> None:
        ids = self.job_ids()
        if not ids:
            return
        job_id = ids[which % len(ids)]
        for click in range(2):  # The second one changes nothing.
            before = self.rows()
            try:
                with self.world.database.write() as connection:
                    actions.act(connection, job_id, action, self.world.now)
            except ConflictError:
                assert self.rows() == before
            self.note_started_over(before)
            if click:
                assert self.rows() == before

    @rule(action=st.sampled_from(list(Action)), which=pick)
    def act_on_everything_of_a_user(self, action: Action, which: int) -> None:
        before = self.rows()
        user = self.world.users[which % 3]
        ids = [job_id for job_id, row in before.items() if row["account_id"] == user.id]
        with self.world.database.write() as connection:
            actions.act_on_many(connection, ids, action, self.world.now)
        self.note_started_over(before)

    def note_started_over(self, before: dict[str, Any]) -> None:
        """Frames of a job that was started over may be delivered once more."""
        for job_id, row in self.rows().items():
            if row["frames_done"] < before[job_id]["frames_done"]:
                self.started_over.add(job_id)
                for key in [key for key in self.delivered if key[0] == job_id]:
                    del self.delivered[key]

    @rule(which=pick, priority=st.integers(0, 100), instances=st.integers(0, 5))
    def change(self, which: int, priority: int, instances: int) -> None:
        ids = self.job_ids()
        if ids:
            asked = JobChange(priority=priority, instances=instances)
            with self.world.database.write() as connection:
                actions.change(connection, [ids[which % len(ids)]], asked, 3)

    # The farm

    @rule()
    def tick(self) -> None:
        self.world.scheduler.tick()
        # Nobody is left at work whose account is empty, and nobody waits for credits who has some.
        has_credits = {user.id: self.available(n) > 0 for n, user in enumerate(self.world.users)}
        with self.world.database.read() as connection:
            metered = metering.by_job(connection)
        for job_id, row in self.rows().items():
            if row["state"] in (JobState.READY, JobState.RUNNING):
                assert has_credits[row["account_id"]]
                spent = row["credits_micros"] + metered.get(job_id, 0)
                assert row["budget_acted"] or not 0 < row["budget_micros"] <= spent
            if row["state"] == JobState.SUSPENDED and row["suspended_for"]:
                assert not has_credits[row["account_id"]]

    @rule(seconds=st.sampled_from([0.1, 2, 13, 50, 100, 2000, -20]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(slots=st.integers(1, 5))
    def crash(self, slots: int) -> None:
        self.world.slots = slots
        self.world.crash()

    # Runners

    def process(self, which: int) -> tuple[str, Any]:
        processes = self.world.engine.processes
        reference = sorted(processes)[which % len(processes)]
        return reference, processes[reference]

    def some(self) -> bool:
        return bool(self.world.engine.processes)

    @precondition(some)
    @rule(which=pick, steps=st.integers(1, 8))
    def work(self, which: int, steps: int) -> None:
        """A runner does the next things that it has to do."""
        reference, process = self.process(which)
        for _ in range(steps):
            if not process.frozen and reference in self.world.engine.processes:
                self.step(reference, process)

    @rule()
    def all_work(self) -> None:
        """An ordinary moment: a pass of the farm, and every runner does one thing."""
        self.world.scheduler.tick()
        for reference, process in list(self.world.engine.processes.items()):
            if not process.frozen:
                self.step(reference, process)
        self.world.pass_time(1)

    @precondition(some)
    @rule(which=pick, how=st.sampled_from(["failed", "permanent", "no_licence", "begun"]))
    def fail(self, which: int, how: str) -> None:
        _, process = self.process(which)
        if process.frozen or process.claim is None or not self.world.knows(process):
            return
        report = Finish(
            outcome=Outcome.NO_LICENCE if how == "no_licence" else Outcome.FAILED,
            sentence="It broke.",
            permanent=how == "permanent",
        )
        try:
            if how == "begun":
                self.world.beat(process)
            self.world.finish(process, report)
        except ClaimLostError:
            assert self.claim_is_over(process)
        process.claim = None

    @precondition(some)
    @rule(which=pick)
    def vanish(self, which: int) -> None:
        reference, _ = self.process(which)
        del self.world.engine.processes[reference]

    @precondition(some)
    @rule(which=pick)
    def freeze_or_thaw(self, which: int) -> None:
        _, process = self.process(which)
        process.frozen = not process.frozen

    def claim_is_over(self, process: Any) -> bool:
        with self.world.database.read() as connection:
            query = select(claims.c.ended_at).where(claims.c.id == process.claim.claim_id)
            return connection.execute(query).scalar_one() is not None

    def step(self, reference: str, process: Any) -> None:
        if process.claim is None:
            self.claim(reference, process)
            return
        if not self.world.knows(process):
            del self.world.engine.processes[reference]
            return
        try:
            over = self.claim_is_over(process)
            command = self.world.beat(process)
            assert not over, "a claim that has ended answers nobody"
            if command is RunnerCommand.STOP:
                self.world.finish(process, Finish(outcome=Outcome.STOPPED))
                process.claim = None
                return
            if process.left:
                self.deliver(process)
            if command is RunnerCommand.YIELD:
                self.world.finish(process, Finish(outcome=Outcome.STOPPED))
                process.claim = None
            elif not process.left:
                finish = Finish(outcome=Outcome.COMPLETED)
                ended = EndedClaim(claim_id=process.claim.claim_id, finish=finish)
                self.claim(reference, process, ended)
        except ClaimLostError:
            assert self.claim_is_over(process)
            process.claim = None

    def claim(self, reference: str, process: Any, ended: EndedClaim | None = None) -> None:
        claim = self.world.claim(reference, ended)
        if claim is None:
            return
        row = self.rows()[process.request.job_id]
        assert row["state"] == "running"
        assert (
            row["not_before"] is None
            or row["licence_failures"] == 0
            or (row["not_before"] <= self.world.now)
        )

    def deliver(self, process: Any) -> None:
        frame = process.left.pop(0)
        before = self.rows()[process.request.job_id]["frames_done"]
        try:
            self.world.done(process, frame)
        except world.InvalidRequestError:
            # The frame is no longer this claim's.
            assert process.request.job_id in self.started_over
            return
        if self.rows()[process.request.job_id]["frames_done"] > before:
            self.delivered[process.request.job_id, frame] += 1
            assert self.delivered[process.request.job_id, frame] == 1, "done twice"

    # What must always hold

    def rows(self) -> dict[str, Any]:
        with self.world.database.read() as connection:
            found = connection.execute(select(jobs)).mappings()
            return {row["id"]: dict(row) for row in found}

    @invariant()
    def no_frame_is_lost(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.world.database.read() as connection:
            all_frames = connection.execute(select(frames)).all()
            open_claims = {each.id: each for each in claim_rows.open_claims(connection)}
            living = set(
                connection.execute(
                    select(runners.c.id).where(runners.c.ended_at.is_(None))
                ).scalars()
            )
        rows = self.rows()
        states: dict[str, Counter[str]] = {job_id: Counter() for job_id in rows}
        for frame in all_frames:
            states[frame.job_id][frame.state] += 1
            row = rows[frame.job_id]
            if row["frames_done"] < row["test_frames"] <= frame.position:
                assert frame.state in ("waiting", "failed"), "not before the test frames"
            if frame.state == "running":
                assert open_claims[frame.claim_id].job_id == frame.job_id
        assert {each.runner_id for each in open_claims.values()} <= living
        for job_id, row in rows.items():
            count = states[job_id]
            assert row["frames_total"] == sum(count.values())
            assert row["frames_done"] == count["done"]
            assert row["frames_failed"] == count["failed"]
            assert row["frames_running"] == count["running"]

    @invariant()
    def the_ledger_adds_up(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.world.database.read() as connection:
            assert ledger.faults(connection) == []
            metered = metering.by_job(connection)
            for user in self.world.users:
                account = accounts.by_id(connection, user.id)
                movements = ledger.history(connection, user.id, None, 100_000)
                usage = [each for each in movements if each.kind == ledger.USAGE]
                assert all(each.amount_micros <= 0 for each in usage)
                delivered = Counter(each.reference for each in usage)
                assert set(delivered.values()) <= {1}
                assert account.consumed_micros == -sum(each.amount_micros for each in usage)
        assert all(micros >= 0 for micros in metered.values())

    @invariant()
    def credits_fall_only_by_a_refund_or_a_missing_licence(self) -> None:
        if not hasattr(self, "world"):
            return
        used: Counter[str] = Counter()
        with self.world.database.read() as connection:
            all_claims = {row.id: row for row in connection.execute(select(claims))}
            used.update(metering.by_job(connection))
            posted: Counter[str] = Counter()
            for user in self.world.users:
                for each in ledger.history(connection, user.id, None, 100_000):
                    if each.kind == ledger.GRANT:
                        continue
                    claim = all_claims[each.reference.split(":")[1]]
                    posted[claim.job_id] -= each.amount_micros
                    if each.kind == ledger.REFUND:
                        assert claim.outcome in ("failed", "lost", "completed")
                        used[claim.job_id] += each.amount_micros
        for claim in all_claims.values():
            if claim.outcome == "no_licence":
                used[claim.job_id] += round(claim.unposted_seconds * 10**6)
        for job_id, row in self.rows().items():
            assert row["credits_micros"] == posted[job_id]
            used[job_id] += row["credits_micros"]
            assert used[job_id] >= self.used[job_id] - len(all_claims)  # Each may be rounded.
        self.used = used

    @invariant()
    def states_are_what_the_frames_and_the_graph_say(self) -> None:
        if not hasattr(self, "world"):
            return
        rows = self.rows()
        needs: dict[str, list[str]] = {job_id: [] for job_id in rows}
        with self.world.database.read() as connection:
            for job_id, needed in connection.execute(select(job_dependencies)):
                needs[job_id].append(needed)
        assert not find_cycle(needs)
        for job_id, row in rows.items():
            state = JobState(row["state"])
            needed = [JobState(rows[each]["state"]) for each in needs[job_id]]
            left = row["frames_total"] - row["frames_done"] - row["frames_failed"]
            if state is JobState.BLOCKED:
                assert any(each in LOST for each in needed)
                assert row["sentence"].startswith("Blocked: '")
            elif state is JobState.PENDING:
                assert not any(each in LOST for each in needed)
                assert not all(each is JobState.COMPLETED for each in needed)
                assert row["sentence"].startswith("Waits for '")
            elif state is JobState.COMPLETED:
                assert (left, row["frames_failed"]) == (0, 0)
            elif state is JobState.FAILED:
                assert (left, row["frames_failed"] > 0) == (0, True)
                assert row["sentence"]
            elif state in (JobState.READY, JobState.RUNNING):
                assert left > 0
                if not self.started_over.intersection(needs[job_id]):
                    assert all(each is JobState.COMPLETED for each in needed)

    # The end

    def everybody_works_on(self) -> None:
        """Nobody suspends or fails any more: everything comes to an end.

        Runners that hang with a claim go on hanging: the farm must get rid of them itself.
        """
        for process in self.world.engine.processes.values():
            process.frozen = process.frozen and process.claim is not None
        with self.world.database.write() as connection:
            for user in self.world.users:
                grant(connection, user.id, Decimal(10**6), "enough for everything")
        quiet = 0
        while quiet < 400:  # 3200 s: longer than any pause.
            before = self.rows()
            with self.world.database.write() as connection:
                # Also what a budget suspends meanwhile.
                actions.act_on_many(connection, self.job_ids(), Action.RESUME, self.world.now)
            self.world.scheduler.tick()
            for reference, process in list(self.world.engine.processes.items()):
                if not process.frozen:
                    self.step(reference, process)
            self.world.pass_time(8)  # Longer would be a pause, in which nobody is lost.
            after = self.rows()
            quiet = quiet + 1 if after == before else 0
            if all(JobState(row["state"]).is_final for row in after.values()):
                break
        self.no_frame_is_lost()
        self.states_are_what_the_frames_and_the_graph_say()
        for row in self.rows().values():
            assert JobState(row["state"]).is_final, (row["state"], row["sentence"])


COMMON = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
}

TestFarm = Farm.TestCase
TestFarm.settings = settings(max_examples=30, stateful_step_count=30, **COMMON)


@pytest.mark.long
@pytest.mark.timeout(1800)
class TestFarmLong(Farm.TestCase):
    """The same for longer."""

    settings = settings(max_examples=150, stateful_step_count=80, **COMMON)


def test_ten_thousand_frames_do_not_starve_another_users_one() -> None:
    """The real scheduler with one slot: frames of 10 s, a pass every 2 s."""
    farm = world.World(slots=1)
    with farm.database.write() as connection:
        for user in farm.users:
            grant(connection, user.id, Decimal(10**6), "enough for everything")
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
