from collections import Counter

from farm.scheduler.plan import JobView, Snapshot, plan
from hypothesis import given
from hypothesis import strategies as st


def view(name: str, **changes: object) -> JobView:
    values: dict[str, object] = {
        "id": name,
        "account_id": "ann",
        "machine_type": "cpu",
        "priority": 50,
        "order": (1, 0),
        "most_runners": 5,
        "waiting": 100,
        "runners": 0,
        "idle_runners": 0,
    }
    return JobView(**(values | changes))  # type: ignore[arg-type]


def decide(jobs: list[JobView], slots: int = 10, throughput: int = 30) -> dict[str, int]:
    accounts = {job.account_id: throughput for job in jobs}
    launches = plan(Snapshot(jobs=jobs, slots={"cpu": slots}, max_throughput=accounts))
    return {launch.job_id: launch.count for launch in launches}


def test_limits_of_instances_frames_capacity_and_user() -> None:
    assert decide([view("a")]) == {"a": 5}
    assert decide([view("a", waiting=2)]) == {"a": 2}
    assert decide([view("a", waiting=2, runners=1, idle_runners=1)]) == {"a": 1}
    assert decide([view("a")], slots=3) == {"a": 3}
    assert decide([view("a")], throughput=4) == {"a": 4}
    assert decide([view("a", machine_type="gpu")]) == {}


def test_priority_then_time_and_never_pre_empting() -> None:
    late = view("late", order=(2, 0), runners=3)
    early = view("early", order=(1, 0))
    urgent = view("urgent", order=(3, 0), priority=90, most_runners=4)
    assert decide([late, early, urgent], slots=9) == {"urgent": 4, "early": 2}


views = st.builds(
    JobView,
    id=st.uuids().map(str),
    account_id=st.sampled_from("ab"),
    machine_type=st.sampled_from(["cpu", "gpu"]),
    priority=st.integers(0, 3),
    order=st.tuples(st.integers(0, 50), st.integers(0, 3)),
    most_runners=st.integers(1, 8),
    waiting=st.integers(0, 20),
    runners=st.integers(0, 8),
    idle_runners=st.integers(0, 3),
)


@given(st.lists(views, max_size=12), st.integers(0, 12), st.integers(0, 12), st.integers(1, 12))
def test_no_limit_is_ever_exceeded(
    jobs: list[JobView], cpu: int, gpu: int, throughput: int
) -> None:
    slots = {"cpu": cpu, "gpu": gpu}
    snapshot = Snapshot(jobs, slots, {"a": throughput, "b": throughput})
    started = {launch.job_id: launch.count for launch in plan(snapshot)}
    machines: Counter[str] = Counter()
    accounts: Counter[str] = Counter()
    for job in jobs:
        count = started.get(job.id, 0)
        machines[job.machine_type] += job.runners + count
        accounts[job.account_id] += job.runners + count
        assert not count or job.runners + count <= job.most_runners
        assert not count or count + job.idle_runners <= job.waiting
    for job in jobs:
        if started.get(job.id):
            assert machines[job.machine_type] <= slots[job.machine_type]
            assert accounts[job.account_id] <= throughput


def test_nothing_to_do_launches_nothing() -> None:
    assert plan(Snapshot([], {}, {})) == []
    assert plan(Snapshot([view("a", waiting=0)], {"cpu": 9}, {"ann": 9})) == []
