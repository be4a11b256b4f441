"""Which runners there should be: a pure function from a snapshot to launches and yields.

The rule. All slots are dealt out again in every pass, one by one, as if there were no runners. Each
goes to the job of the highest priority; among the jobs of one priority to the user who has been
dealt the fewest slots of that machine type; among such users, first to one who already has a
runner, then to the one served least recently; among one user's jobs to one that is being rendered,
then to the one submitted first. A user who has had a turn (`farm.jobs.turns`) comes after a user
who has nothing. No limit is exceeded: the machine type's capacity, the user's throughput, the job's
instances, its frames.

A job that was dealt more slots than it has runners gets new runners, as far as there is room. One
with more runners than slots keeps them until each has finished its current frame: they yield, and
are never killed. So with one slot, a waiting user gets it after one turn and one frame.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby


@dataclass(frozen=True, slots=True)
class RunnerView:
    """A living runner.

    Attributes:
        idle: it was launched but has not claimed yet.
        turn_over: it has started a frame, and has worked for as long as a turn.
        yielding: it was told to end after its current frame.
    """

    id: str
    idle: bool = False
    turn_over: bool = False
    yielding: bool = False


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with waiting frames, or living runners, or both.

    Attributes:
        order: position among equals: the order of submission.
        most_runners: the job's instances, after the user's limit for one job.
        waiting: frames that could be claimed now.
        startable: it may be rendered; if not, its runners must end.
        runners: alive, whether they have claimed or not.
    """

    id: str
    account_id: str
    machine_type: str
    priority: int
    order: tuple[int, int]
    most_runners: int
    waiting: int
    startable: bool = True
    runners: Sequence[RunnerView] = ()

    @property
    def useful(self) -> int:
        """Most runners that the job can use now."""
        if not self.startable:
            return 0
        busy = sum(not runner.idle for runner in self.runners)
        return min(self.most_runners, busy + self.waiting)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The input of a decision.

    Attributes:
        slots: capacity by machine type.
        max_throughput: most runners by account, over all its jobs.
        served: when a runner was last started for an account, as a timestamp; absent: never.
    """

    jobs: Sequence[JobView]
    slots: Mapping[str, int]
    max_throughput: Mapping[str, int]
    served: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launch:
    """Start ``count`` more runners for a job."""

    job_id: str
    machine_type: str
    count: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision.

    Attributes:
        yields: ids of the runners that must end after their current frame; all others continue.
    """

    launches: Sequence[Launch]
    yields: frozenset[str]


def plan(snapshot: Snapshot) -> Decision:
    """Return the necessary launches and yields; see the module's text."""
    dealt = _deal(snapshot)
    on_machine: Counter[str] = Counter()
    of_account: Counter[str] = Counter()
    for job in snapshot.jobs:
        on_machine[job.machine_type] += len(job.runners)
        of_account[job.account_id] += len(job.runners)
    jobs = {job.id: job for job in snapshot.jobs}
    launches = []
    for job_id, wanted in dealt.items():
        job = jobs[job_id]
        count = min(
            wanted - len(job.runners),
            snapshot.slots.get(job.machine_type, 0) - on_machine[job.machine_type],
            snapshot.max_throughput.get(job.account_id, 0) - of_account[job.account_id],
        )
        if count > 0:
            launches.append(Launch(job.id, job.machine_type, count))
            on_machine[job.machine_type] += count
            of_account[job.account_id] += count
    yields = frozenset(
        runner.id for job in snapshot.jobs for runner in _surplus(job, dealt.get(job.id, 0))
    )
    return Decision(launches, yields)


def _surplus(job: JobView, dealt: int) -> Sequence[RunnerView]:
    """Return the surplus runners: those that lose least, then those that have worked longest."""
    willing = sorted(job.runners, key=lambda runner: (not runner.idle, not runner.turn_over))
    return willing[: max(0, len(willing) - dealt)]


class _Queue:
    """One user's jobs on one machine type, at one priority, in order."""

    def __init__(self, jobs: Sequence[JobView]) -> None:
        ordered = sorted(jobs, key=lambda job: job.order)
        kept = [(job, min(len(job.runners), job.useful)) for job in ordered]
        more = [(job, job.useful - count) for job, count in kept]
        # Reversed: the head is at the end, where it is cheap to remove.
        self._wanted = [(job, count) for job, count in [*kept, *more] if count > 0][::-1]

    @property
    def head(self) -> JobView | None:
        return self._wanted[-1][0] if self._wanted else None

    def take(self) -> JobView:
        job, count = self._wanted.pop()
        if count > 1:
            self._wanted.append((job, count - 1))
        return job


_Seat = tuple[str, str]
"""A user on a machine type: (account, machine type)."""

_Place = tuple[int, int, float, tuple[int, int], _Seat]
"""Sort key of the next in line: the smallest."""


def _deal(snapshot: Snapshot) -> dict[str, int]:
    """Deal out all slots; return how many each job gets, in the order in which jobs come first."""
    slots = Counter(snapshot.slots)
    throughput = Counter(snapshot.max_throughput)
    held: Counter[_Seat] = Counter()
    in_turn: set[_Seat] = set()
    for job in snapshot.jobs:
        seat = (job.account_id, job.machine_type)
        held[seat] += len(job.runners)
        if any(not runner.turn_over for runner in job.runners):
            in_turn.add(seat)
    dealt: dict[str, int] = {}
    of_seat: Counter[_Seat] = Counter()

    def place(seat: _Seat, head: JobView) -> _Place:
        count = of_seat[seat]
        holds = held[seat] > count
        stands_back = holds and count == 0 and seat not in in_turn
        rank = 2 if stands_back else 0 if holds else 1
        return (count, rank, snapshot.served.get(seat[0], float("-inf")), head.order, seat)

    by_priority = sorted(snapshot.jobs, key=lambda job: -job.priority)
    for _, group in groupby(by_priority, key=lambda job: job.priority):
        of: dict[_Seat, list[JobView]] = {}
        for job in group:
            of.setdefault((job.account_id, job.machine_type), []).append(job)
        queues = {seat: _Queue(jobs) for seat, jobs in of.items()}
        heap = [place(seat, queue.head) for seat, queue in queues.items() if queue.head]
        heapq.heapify(heap)
        while heap:
            seat = heapq.heappop(heap)[-1]
            account, machine = seat
            if slots[machine] <= 0 or throughput[account] <= 0:
                continue
            job = queues[seat].take()
            dealt[job.id] = dealt.get(job.id, 0) + 1
            slots[machine] -= 1
            throughput[account] -= 1
            of_seat[seat] += 1
            if head := queues[seat].head:
                heapq.heappush(heap, place(seat, head))
    return dealt
