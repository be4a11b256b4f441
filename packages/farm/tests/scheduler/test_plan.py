"""The pure planner: limits, order, fairness, and turns, also over time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from farm.jobs.turns import LONGEST_TURN_SECONDS, TURN_SECONDS, turn_seconds
from farm.scheduler.plan import JobView, RunnerView, Snapshot, plan
from hypothesis import given, settings
from hypothesis import strategies as st


def some(count: int, prefix: str = "r", **values: bool) -> list[RunnerView]:
    return [RunnerView(f"{prefix}{n}", **values) for n in range(count)]


def view(name: str, **changes: object) -> JobView:
    values: dict[str, object] = {
        "id": name,
        "account_id": "ann",
        "machine_type": "cpu",
        "priority": 50,
        "order": (1, 0),
        "most_runners": 5,
        "waiting": 100,
    }
    return JobView(**(values | changes))  # type: ignore[arg-type]


def decide(
    jobs: list[JobView], slots: int = 10, throughput: int = 30, **served: float
) -> tuple[dict[str, int], set[str]]:
    """Return (launches by job, runners that yield)."""
    accounts = {job.account_id: throughput for job in jobs}
    decision = plan(Snapshot(jobs, {"cpu": slots}, accounts, served))
    return {each.job_id: each.count for each in decision.launches}, set(decision.yields)


def launches(jobs: list[JobView], **values: int) -> dict[str, int]:
    started, yielding = decide(jobs, **values)
    assert not yielding
    return started


def test_limits_of_instances_frames_capacity_and_user() -> None:
    assert launches([view("a")]) == {"a": 5}
    assert launches([view("a", waiting=2)]) == {"a": 2}
    assert launches([view("a", waiting=2, runners=some(1, idle=True))]) == {"a": 1}
    assert launches([view("a")], slots=3) == {"a": 3}
    assert launches([view("a")], throughput=4) == {"a": 4}
    assert launches([view("a", machine_type="gpu")]) == {}
    assert launches([view("a", startable=False)]) == {}


def test_priority_then_time() -> None:
    early = view("early", order=(1, 0))
    late = view("late", order=(2, 0))
    urgent = view("urgent", order=(3, 0), priority=90, most_runners=4)
    assert launches([late, early, urgent], slots=11) == {"urgent": 4, "early": 5, "late": 2}


def test_users_of_one_priority_get_equal_parts() -> None:
    ann = [view("a1", order=(1, 0)), view("a2", order=(2, 0))]
    bob = view("b", account_id="bob", order=(3, 0))
    assert launches([*ann, bob], slots=6) == {"a1": 3, "b": 3}
    # What one cannot use, the other gets.
    few = view("b", account_id="bob", order=(3, 0), waiting=1)
    assert launches([*ann, few], slots=6) == {"a1": 5, "b": 1}


def test_of_an_odd_number_of_slots_one_stays_where_it_is() -> None:
    ann = view("a", runners=some(2, "a", turn_over=True))
    bob = view("b", account_id="bob", order=(2, 0), runners=some(1, "b", turn_over=True))
    assert launches([ann, bob], slots=3) == {}


def test_who_has_too_many_yields_to_who_has_too_few() -> None:
    ann = view("a", runners=some(4))
    bob = view("b", account_id="bob", order=(2, 0))
    started, yielding = decide([ann, bob], slots=4)
    assert started == {}  # There is no room before somebody has gone.
    assert len(yielding) == 2
    # Balanced as well as can be: nothing is moved to and fro.
    ann, bob = view("a", runners=some(2)), view("b", account_id="bob", runners=some(1, "b"))
    assert decide([ann, bob], slots=3) == ({}, set())


def test_as_many_start_as_there_is_room_before_the_others_have_gone() -> None:
    ann = view("a", runners=some(2))
    bob, carl = view("b", account_id="bob"), view("c", account_id="carl")
    started, yielding = decide([ann, bob, carl], slots=3)
    assert (sum(started.values()), len(yielding)) == (1, 1)
    # The same for what one user may have.
    late = view("late", priority=10, runners=some(2))
    urgent = [view(name, priority=90, most_runners=1) for name in ("b", "c")]
    started, yielding = decide([late, *urgent], throughput=3)
    assert (sum(started.values()), len(yielding)) == (1, 1)


def test_who_has_a_runner_keeps_it_while_its_turn_lasts() -> None:
    ann, bob = view("a", runners=some(1)), view("b", account_id="bob")
    # Bob has waited longest, and gets the next place, not this one.
    assert decide([ann, bob], slots=1, ann=5.0) == ({}, set())


def test_the_idle_go_first_then_those_whose_turn_is_over() -> None:
    runners = [RunnerView("new"), RunnerView("old", turn_over=True), RunnerView("idle", idle=True)]
    assert decide([view("a", runners=runners)], slots=2) == ({}, {"idle"})
    assert decide([view("a", runners=runners)], slots=1) == ({}, {"idle", "old"})


def test_a_higher_priority_waits_for_the_end_of_a_frame_only() -> None:
    running = view("a", runners=some(2, turn_over=False))
    urgent = view("u", priority=90, order=(9, 0), waiting=1)
    started, yielding = decide([running, urgent], slots=2)
    assert (started, len(yielding)) == ({}, 1)


def test_a_runner_stands_back_after_its_turn_for_a_user_who_has_nothing() -> None:
    bob = view("b", account_id="bob", order=(2, 0), waiting=1)
    assert decide([view("a", runners=some(1)), bob], slots=1) == ({}, set())
    over = view("a", runners=some(1, turn_over=True))
    assert decide([over, bob], slots=1) == ({}, {"r0"})
    # For another job of its own user it does not.
    assert decide([over, view("a2", order=(2, 0))], slots=1) == ({}, set())


def test_limits_that_shrink_end_the_surplus_after_its_frame() -> None:
    assert decide([view("a", most_runners=2, runners=some(5))])[1] == {"r0", "r1", "r2"}
    assert len(decide([view("a", runners=some(5))], slots=1)[1]) == 4
    assert len(decide([view("a", runners=some(5))], throughput=3)[1]) == 2
    # Those that have nothing to do go first.
    mixed = [*some(2), RunnerView("new", idle=True)]
    assert decide([view("a", most_runners=2, runners=mixed)])[1] == {"new"}
    # A job with no frame to give out keeps those that render.
    assert decide([view("a", waiting=0, runners=some(3))]) == ({}, set())


def test_turns_are_as_long_as_starting_is_expensive() -> None:
    assert turn_seconds(None) == turn_seconds(0.1) == TURN_SECONDS
    assert TURN_SECONDS < turn_seconds(20) < LONGEST_TURN_SECONDS
    assert turn_seconds(1e6) == LONGEST_TURN_SECONDS


runners: st.SearchStrategy[list[dict[str, bool]]] = st.lists(
    st.builds(dict, idle=st.booleans(), turn_over=st.booleans()), max_size=6
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    jobs = []
    for number in range(draw(st.integers(0, 10))):
        alive = [RunnerView(f"{number}.{n}", **kind) for n, kind in enumerate(draw(runners))]
        jobs.append(
            JobView(
                id=str(number),
                account_id=draw(st.sampled_from("abc")),
                machine_type=draw(st.sampled_from(["cpu", "gpu"])),
                priority=draw(st.integers(0, 2)),
                order=(draw(st.integers(0, 50)), number),
                most_runners=draw(st.integers(1, 8)),
                waiting=draw(st.integers(0, 20)),
                startable=draw(st.booleans()),
                runners=alive,
            )
        )
    some_number = st.integers(0, 10)
    return Snapshot(
        jobs,
        {"cpu": draw(some_number), "gpu": draw(some_number)},
        {account: draw(some_number) for account in "abc"},
        draw(st.dictionaries(st.sampled_from("abc"), st.floats(0, 9))),
    )


@given(snapshots())
def test_no_limit_is_ever_exceeded(snapshot: Snapshot) -> None:
    started = {launch.job_id: launch.count for launch in plan(snapshot).launches}
    machines: Counter[str] = Counter()
    accounts: Counter[str] = Counter()
    for job in snapshot.jobs:
        count = started.get(job.id, 0)
        machines[job.machine_type] += len(job.runners) + count
        accounts[job.account_id] += len(job.runners) + count
        if count:
            assert job.startable
            assert len(job.runners) + count <= job.most_runners
            assert count + sum(runner.idle for runner in job.runners) <= job.waiting
    for job in snapshot.jobs:
        if started.get(job.id):
            assert machines[job.machine_type] <= snapshot.slots[job.machine_type]
            assert accounts[job.account_id] <= snapshot.max_throughput[job.account_id]


@given(snapshots())
def test_nobody_who_could_work_is_forgotten(snapshot: Snapshot) -> None:
    """Where a job could use a runner, and no limit forbids it, one starts or somebody yields."""
    decision = plan(snapshot)
    started = {launch.job_id: launch.count for launch in decision.launches}
    staying: Counter[str] = Counter()
    of_account: Counter[str] = Counter()
    for job in snapshot.jobs:
        stays = sum(runner.id not in decision.yields for runner in job.runners)
        staying[job.machine_type] += stays + started.get(job.id, 0)
        of_account[job.account_id] += stays + started.get(job.id, 0)
    for job in snapshot.jobs:
        stays = sum(runner.id not in decision.yields for runner in job.runners)
        if stays + started.get(job.id, 0) < job.useful and not decision.yields:
            assert (
                staying[job.machine_type] >= snapshot.slots[job.machine_type]
                or of_account[job.account_id] >= snapshot.max_throughput[job.account_id]
            )


@dataclass
class Shop:
    """A farm of nothing but the planner and a clock: runners, frames of equal length, turns."""

    slots: int
    frame_seconds: float
    waiting: dict[str, int]
    now: float = 0.0
    served: dict[str, float] = field(default_factory=dict)
    rendering: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    done: dict[str, list[float]] = field(default_factory=dict)
    made: int = 0

    def step(self, seconds: float) -> None:
        """One pass of the loop; afterwards, frames that are due end."""
        jobs = []
        for number, (user, waiting) in enumerate(self.waiting.items()):
            alive = [
                RunnerView(runner, turn_over=self.now - since >= TURN_SECONDS)
                for runner, (of, since, _) in self.rendering.items()
                if of == user
            ]
            jobs.append(
                view(
                    user,
                    account_id=user,
                    order=(number, 0),
                    most_runners=9,
                    waiting=waiting,
                    runners=alive,
                )
            )
        limits = dict.fromkeys(self.waiting, 30)
        decision = plan(Snapshot(jobs, {"cpu": self.slots}, limits, self.served))
        for launch in decision.launches:
            for _ in range(launch.count):
                self.made += 1
                self.served[launch.job_id] = self.now
                self.waiting[launch.job_id] -= 1
                self.rendering[f"r{self.made}"] = (launch.job_id, self.now, self.now)
        self.now += seconds
        for runner, (user, since, begun) in list(self.rendering.items()):
            if self.now - begun < self.frame_seconds:
                continue
            self.done.setdefault(user, []).append(self.now)
            if runner in decision.yields or not self.waiting[user]:
                del self.rendering[runner]
            else:
                self.waiting[user] -= 1
                self.rendering[runner] = (user, since, self.now)


def gaps(times: Sequence[float], until: float) -> float:
    """Return the longest time without anything."""
    return max(b - a for a, b in zip([0.0, *times], [*times, until], strict=False))


def test_ten_thousand_frames_do_not_hold_up_one_even_with_one_slot() -> None:
    shop = Shop(1, 10.0, {"ann": 10_000, "bob": 0})
    for _ in range(50):
        shop.step(2.0)
    shop.waiting["bob"] = 1
    asked = shop.now
    while "bob" not in shop.done:
        shop.step(2.0)
    # Ann's turn was over long ago: one frame of hers, and his own.
    assert shop.now - asked <= 2 * shop.frame_seconds + 3 * 2.0
    for _ in range(50):
        shop.step(2.0)
    assert gaps(shop.done["ann"], shop.now) <= 4 * shop.frame_seconds


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(2, 6), st.sampled_from([1.0, 10.0, 100.0]))
def test_every_user_is_served_again_and_again(slots: int, users: int, frame: float) -> None:
    shop = Shop(slots, frame, {f"user{n}": 10_000 for n in range(users)})
    while shop.now < 3000:
        shop.step(2.0)
    # Everybody else has a turn, the frame that is at hand, and the pass that notices.
    longest = users * (TURN_SECONDS + 2 * frame + 4.0)
    for user in shop.waiting:
        assert gaps(shop.done.get(user, []), shop.now) <= longest
    # And the slots were not idle meanwhile.
    assert sum(map(len, shop.done.values())) * (frame + 2.0) >= 0.9 * slots * (3000 - 2 * frame)
