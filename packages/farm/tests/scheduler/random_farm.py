"""What users, runners, the clock and crashes may do to a farm, as rules for hypothesis."""

import contextlib
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from farm.accounts.credits import available, grant
from farm.accounts.plans import STANDARD
from farm.db import accounts, job_rows, metering
from farm.db import jobs as job_table
from farm.db.plans import Plan
from farm.db.tables import claims, job_dependencies
from farm.errors import ClaimLostError, ConflictError, InsufficientCreditsError
from farm.scheduler import actions, limits
from farm.scheduler.actions import Action
from farm_protocol.jobs import Budget, BudgetAction, JobChange, JobState
from farm_protocol.runner import EndedClaim, Finish, Outcome, RunnerCommand
from farm_protocol.users import UserChange
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
)
from scheduler import world
from scheduler.invariants import Invariants
from sqlalchemy import select

pick = st.integers(0, 1000)
SEVERAL_RANGES = ["1 9 2,2 8 2", "9 1 -2,4", "3,1,7", "-2 4 3,1 9", "5 8,1 5"]


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
            "frames": draw(st.integers(1, 9) | st.sampled_from(SEVERAL_RANGES)),
            "instances": draw(st.integers(0, 4)),
            "test_frames_first": draw(st.booleans()),
            "budget": draw(budgets),
        }
        for number in range(count)
    ]
    return draw(st.permutations(made))


class Farm(Invariants):
    """What can happen to a farm."""

    def __init__(self, place: Any) -> None:
        super().__init__()
        self.place = place

    @initialize(slots=st.integers(1, 5), hosts=st.integers(1, 3), unfit=st.integers(0, 2))
    def begin(self, slots: int, hosts: int, unfit: int) -> None:
        self.world = world.World(self.place, slots, hosts, min(unfit, hosts - 1))
        self.delivered: Counter[tuple[str, int]] = Counter()
        self.started_over: set[str] = set()
        self.used: Counter[str] = Counter()
        self.acted: set[str] = set()
        self.computed: dict[str, float] = {}
        self.at_rest: set[str] = set()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.everybody_works_on()
        finally:
            self.world.close()

    def process(self, which: int) -> tuple[str, Any]:
        processes = self.world.engine.processes
        reference = sorted(processes)[which % len(processes)]
        return reference, processes[reference]

    def some(self) -> bool:
        return bool(self.world.engine.processes)

    def may_call(self, process: Any) -> bool:
        """Whether the process lives and has a claim, so far as the farm has not ended it."""
        return not process.frozen and process.claim is not None and self.world.knows(process)

    # Users

    @rule(user=st.integers(0, 2), graph=graphs())
    def submit(self, user: int, graph: list[dict[str, Any]]) -> None:
        if not self.world.account(user).active:
            return  # The key of a disabled user opens nothing.
        try:
            self.world.submit(user, [dict(job) for job in graph])
        except InsufficientCreditsError:
            assert self.available(user) <= 0

    def available(self, user: int) -> int:
        with self.world.database.read() as connection:
            return available(connection, self.world.user_ids[user])[0]

    @rule(user=st.integers(0, 2), credits=st.sampled_from([-5000, -1000, -5, 5, 1000, 5000]))
    def move_credits(self, user: int, credits: int) -> None:
        before = self.available(user)
        with self.world.database.write() as connection:
            grant(connection, self.world.user_ids[user], Decimal(credits), "moved")
        assert self.available(user) == before + credits * 1_000_000

    @precondition(some)
    @rule(which=pick, seconds=st.integers(1, 30), top_up=st.booleans())
    def use_up_all_credits(self, which: int, seconds: int, top_up: bool) -> None:
        """A runner works on its frame although its account is empty."""
        _, process = self.process(which)
        user_id = self.rows()[process.request.job_id]["account_id"]
        user = self.world.user_ids.index(user_id)
        with self.world.database.write() as connection:
            grant(connection, user_id, -Decimal(self.available(user)) / 1_000_000, "all")
        self.tick()
        self.world.pass_time(min(seconds, 10))
        if self.may_call(process):
            with contextlib.suppress(ClaimLostError):
                self.world.beat(process)
        self.tick()
        if top_up:
            self.move_credits(user, 1000)
            self.tick()

    def job_ids(self) -> list[str]:
        # In an order that is the same each time: ids are random.
        with self.world.database.read() as connection:
            return job_table.ids(connection)

    @rule(which=pick, action=st.sampled_from(list(Action)))
    def act(self, which: int, action: Action) -> None:
        ids = self.job_ids()
        if not ids:
            return
        job_id = ids[which % len(ids)]
        self.at_rest.discard(job_id)
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

    @rule(which=pick, action=st.sampled_from(list(Action)))
    def begin_again_what_is_needed(self, which: int, action: Action) -> None:
        """A job that was begun waits again, perhaps while a frame of it is rendered."""
        ids = [each for each in self.job_ids() if self.rows()[each]["state"] == JobState.RUNNING]
        with self.world.database.read() as connection:
            needed = {each: job_rows.needed_by(connection, each) for each in ids}
        ids = [each for each in ids if needed[each]]
        if ids:
            job_id = ids[which % len(ids)]
            self.act_on_many([job_id], Action.SUSPEND)
            self.act_on_many(needed[job_id], Action.RETRY_ALL)
            self.act_on_many([job_id], Action.RESUME)
            self.act_on_many([job_id], action)

    @rule(action=st.sampled_from(list(Action)), which=pick)
    def act_on_everything_of_a_user(self, action: Action, which: int) -> None:
        before = self.rows()
        user_id = self.world.user_ids[which % 3]
        with self.world.database.read() as connection:
            states = actions.candidates(action)
            ids = job_table.ids(connection, account_id=user_id, states=states)
        self.act_on_many(ids, action)
        if action is Action.RETRY:
            after = self.rows()
            for job_id, row in before.items():
                assert row["state"] != JobState.STOPPED or after[job_id] == row, "not a failure"

    @rule(
        which=pick, action=st.sampled_from([Action.RETRY, Action.RETRY_ALL]), few=st.integers(0, 2)
    )
    def act_on_a_large_job(self, which: int, action: Action, few: int) -> None:
        """One of so many frames that they are put back in portions."""
        ids = self.job_ids()
        if not ids:
            return
        job_id = ids[which % len(ids)]
        before = self.rows()
        more = True
        while more:
            with self.world.database.write() as connection:
                more = actions.requeue_some(connection, job_id, action, few)
            self.no_frame_is_lost()
        self.note_started_over(before)
        self.act_on_many([job_id], action)

    @rule(action=st.sampled_from(list(Action)), which=pick)
    def act_on_a_submission(self, action: Action, which: int) -> None:
        ids = self.job_ids()
        if ids:
            submission = self.rows()[ids[which % len(ids)]]["submission_id"]
            with self.world.database.read() as connection:
                ids = job_table.ids(connection, submission_id=submission)
            self.act_on_many(ids, action)

    def act_on_many(self, ids: list[str], action: Action) -> None:
        before = self.rows()
        self.at_rest.difference_update(ids)
        with self.world.database.write() as connection:
            actions.act_on_many(connection, ids, action, self.world.now)
        self.note_started_over(before)
        after = self.rows()
        assert all(after[job_id] == before[job_id] for job_id in set(before) - self.reach(ids))

    def reach(self, ids: list[str]) -> set[str]:
        """Return the jobs whose state can follow from these: those that need them."""
        with self.world.database.read() as connection:
            edges = [tuple(row) for row in connection.execute(select(job_dependencies))]
        reached = set(ids)
        while more := {job for job, needed in edges if needed in reached} - reached:
            reached |= more
        return reached

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
                actions.change(connection, [ids[which % len(ids)]], asked)

    # Administrators

    @rule(job_limit=st.integers(1, 4), most=st.integers(1, 6))
    def change_plan(self, job_limit: int, most: int) -> None:
        plan = Plan(world.PLAN.name, job_throughput_limit=job_limit, max_throughput=most)
        with self.world.database.write() as connection:
            limits.set_plan(connection, plan)

    @rule(
        user=st.integers(0, 2),
        change=st.builds(
            UserChange,
            plan=st.sampled_from([world.PLAN.name, STANDARD]),
            active=st.booleans(),
        ),
    )
    def change_user(self, user: int, change: UserChange) -> None:
        account = self.world.account(user)
        with self.world.database.write() as connection:
            limits.change_user(connection, account, change)

    # The farm

    @rule()
    def tick(self) -> None:
        self.world.scheduler.tick()
        # Nobody is left at work whose account is empty or disabled, and nobody stands still for
        # that whose account is neither.
        may_work = {
            self.world.user_ids[user]: self.available(user) > 0 and self.world.account(user).active
            for user in range(3)
        }
        with self.world.database.read() as connection:
            metered = metering.by_job(connection)
        for job_id, row in self.rows().items():
            if row["state"] in (JobState.READY, JobState.RUNNING):
                assert may_work[row["account_id"]]
                spent = row["credits_micros"] + metered.get(job_id, 0)
                assert row["budget_acted"] or not 0 < row["budget_micros"] <= spent
            if row["state"] == JobState.SUSPENDED and row["suspended_for"]:
                assert not may_work[row["account_id"]]

    @rule(seconds=st.sampled_from([0.1, 2, 13, 50, 100, 2000, -20]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(slots=st.integers(1, 5))
    def crash(self, slots: int) -> None:
        self.world.slots = slots
        self.world.crash()

    @rule(commit=st.integers(1, 12))
    def crash_inside_an_ordinary_moment(self, commit: int) -> None:
        """Before one of its commits: what was committed before it stays."""
        self.crash_inside(self.all_work, commit)

    @rule(user=st.integers(0, 2), graph=graphs())
    def crash_inside_a_submission(self, user: int, graph: list[dict[str, Any]]) -> None:
        before = self.rows()
        self.crash_inside(lambda: self.submit(user, graph))
        assert self.rows() == before

    @rule(which=pick, action=st.sampled_from(list(Action)))
    def crash_inside_an_action(self, which: int, action: Action) -> None:
        before = self.rows()
        self.crash_inside(lambda: self.act(which, action))
        self.crash_inside(lambda: self.act_on_a_submission(action, which))
        assert self.rows() == before

    def crash_inside(self, work: Callable[[], None], commit: int = 1) -> None:
        """Let the farm die before the ``commit``-th commit of something, and start it again."""
        self.world.database.fuse = commit
        with contextlib.suppress(world.Crash):
            work()
        self.world.crash()

    # Runners

    @precondition(some)
    @rule(which=pick, steps=st.integers(1, 8))
    def work(self, which: int, steps: int) -> None:
        """A runner does the next things that it has to do."""
        reference, process = self.process(which)
        for _ in range(steps):
            if not process.frozen and reference in self.world.engine.processes:
                self.step(reference, process)

    @precondition(some)
    @rule(which=pick)
    def get_ready(self, which: int) -> None:
        """A runner that has not claimed yet stages on, or ends when the farm wants that."""
        reference, process = self.process(which)
        if process.frozen or process.claim is not None or not self.world.knows(process):
            return
        if self.world.ready_soon(process) is not RunnerCommand.CONTINUE:
            del self.world.engine.processes[reference]

    @rule()
    def all_work(self) -> None:
        """An ordinary moment: a pass of the farm, and every runner does one thing."""
        self.world.scheduler.tick()
        for reference, process in list(self.world.engine.processes.items()):
            if not process.frozen:
                self.step(reference, process)
        self.world.pass_time(1)

    @rule(rounds=st.integers(2, 8))
    def work_for_a_while(self, rounds: int) -> None:
        for _ in range(rounds):
            self.all_work()

    @precondition(some)
    @rule(
        which=pick,
        how=st.sampled_from(["failed", "permanent", "no_licence", "begun", "lost_licence"]),
        used=st.sampled_from([None, 0.0, 3.0, 1e6]),
    )
    def fail(self, which: int, how: str, used: float | None) -> None:
        _, process = self.process(which)
        if not self.may_call(process):
            return
        report = Finish(
            outcome=Outcome.NO_LICENCE if how.endswith("licence") else Outcome.FAILED,
            message="It broke.",
            permanent=how == "permanent",
            processor_seconds=used,
        )
        assert process.claim is not None
        self.computed[process.claim.claim_id] = used or 0.0
        try:
            if how == "lost_licence" and len(process.left) > 1:
                self.deliver(process)
                self.world.pass_time(5)
            if how in ("begun", "lost_licence"):
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
        has_licence = process.delivered
        claim = self.world.claim(reference, ended)
        if claim is None:
            return
        row = self.rows()[process.request.job_id]
        assert row["state"] == "running"
        assert (
            row["not_before"] is None
            or row["licence_failures"] == 0
            or row["not_before"] <= self.world.now
            or has_licence
        )

    def deliver(self, process: Any) -> None:
        frame = process.left[0]
        before = self.rows()[process.request.job_id]["frames_done"]
        try:
            self.world.done(process, frame)
        except world.InvalidRequestError:
            # The frame is no longer this claim's.
            assert process.request.job_id in self.started_over
            process.left.pop(0)
            return
        process.left.pop(0)
        if self.rows()[process.request.job_id]["frames_done"] > before:
            self.delivered[process.request.job_id, frame] += 1
            assert self.delivered[process.request.job_id, frame] == 1, "done twice"

    # The end

    def everybody_works_on(self) -> None:
        """Nobody suspends or fails any more: everything comes to an end.

        Runners that hang go on hanging: the farm must get rid of them itself.
        """
        with self.world.database.write() as connection:
            for user_id in self.world.user_ids:
                grant(connection, user_id, Decimal(10**6), "enough for everything")
                account = accounts.by_id(connection, user_id)
                limits.change_user(connection, account, UserChange(active=True))
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
            assert JobState(row["state"]).is_final, (row["state"], row["message"])
