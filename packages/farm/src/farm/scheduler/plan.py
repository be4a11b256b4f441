"""Which runners should be started now: a pure function from a snapshot to a list of launches."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobView:
    """A job that has frames waiting, or runners alive, or both.

    Attributes:
        order: place in the queue of equals: the order of submission.
        most_runners: the job's instances, after the user's limit for one job.
        waiting: frames that could be claimed now; 0 when the job may not start any.
        runners: alive, whether they have claimed or not.
        idle_runners: those among them that were launched and have not claimed yet.
    """

    id: str
    account_id: str
    machine_type: str
    priority: int
    order: tuple[int, int]
    most_runners: int
    waiting: int
    runners: int
    idle_runners: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a decision rests on.

    Attributes:
        slots: capacity by machine type.
        max_throughput: most runners by account, over all its jobs.
    """

    jobs: Sequence[JobView]
    slots: Mapping[str, int]
    max_throughput: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Launch:
    """Start ``count`` more runners for a job."""

    job_id: str
    machine_type: str
    count: int


def plan(snapshot: Snapshot) -> list[Launch]:
    """Return the launches that are due: higher priority first, then by time of submission.

    A running job is never pre-empted. Capacity of the machine type, the user's throughput, the
    job's instances and its waiting frames all hold at once.
    """
    on_machine: Counter[str] = Counter()
    of_account: Counter[str] = Counter()
    for job in snapshot.jobs:
        on_machine[job.machine_type] += job.runners
        of_account[job.account_id] += job.runners
    launches = []
    for job in sorted(snapshot.jobs, key=lambda job: (-job.priority, job.order)):
        count = min(
            job.most_runners - job.runners,
            # A runner on its way will claim frames of those that wait.
            job.waiting - job.idle_runners,
            snapshot.slots.get(job.machine_type, 0) - on_machine[job.machine_type],
            snapshot.max_throughput.get(job.account_id, 0) - of_account[job.account_id],
        )
        if count > 0:
            launches.append(Launch(job.id, job.machine_type, count))
            on_machine[job.machine_type] += count
            of_account[job.account_id] += count
    return launches
