"""What follows from jobs' costs and the state of their accounts: which jobs stop or continue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from farm_protocol.jobs import BudgetAction, JobReason, JobState

_STARTABLE = frozenset({JobState.READY, JobState.RUNNING})
# A waiting job may also have frames in progress: see `farm.jobs.transitions.next_state`.
_STOPPABLE = _STARTABLE | {JobState.SUSPENDED, JobState.PENDING, JobState.BLOCKED}
FOR_CREDITS = JobReason.CREDITS.value
DISABLED = JobReason.DISABLED.value
FOR_STORAGE = JobReason.STORAGE.value
FOR_DISK = JobReason.DISK.value


@dataclass(frozen=True, slots=True)
class AccountState:
    """The state of an account, as far as it matters to jobs.

    Attributes:
        balance: in micros, minus metered time.
        storage: whether it may store more.
        disk: whether the farm's disk has room, for anybody.
    """

    balance: int
    active: bool
    storage: bool = True
    disk: bool = True

    @property
    def obstacle(self) -> str:
        """Why its jobs must be suspended: one of the constants of this module, or ""."""
        if not self.active:
            return DISABLED
        if self.balance <= 0:
            return FOR_CREDITS
        if not self.storage:
            return FOR_STORAGE
        return "" if self.disk else FOR_DISK


@dataclass(frozen=True, slots=True)
class JobMoney:
    """A job that may cost something, or that waits for credits. Amounts in micros.

    Attributes:
        spent: posted and metered.
        budget: 0: none.
        budget_acted: a budget acts once; resuming the job afterwards overrides it.
        suspended_for: an `obstacle`, or "" when its user suspended it or it is not suspended.
    """

    id: str
    account_id: str
    state: JobState
    spent: int
    budget: int
    budget_action: BudgetAction | None
    budget_acted: bool
    suspended_for: str


@dataclass(frozen=True, slots=True)
class Consequences:
    """Jobs whose budget acts; (job, obstacle) to suspend from now on, or for another reason than
    before; jobs to resume.
    """

    budget_reached: tuple[str, ...] = ()
    held: tuple[tuple[str, str], ...] = ()
    released: tuple[str, ...] = ()


def consequences(jobs: Iterable[JobMoney], accounts: Mapping[str, AccountState]) -> Consequences:
    """Return the due consequences.

    Parameters:
        accounts: the accounts of all the jobs.
    """
    reached: list[str] = []
    held: list[tuple[str, str]] = []
    released: list[str] = []
    for job in jobs:
        if 0 < job.budget <= job.spent and not job.budget_acted:
            if job.budget_action is BudgetAction.ALERT:
                reached.append(job.id)
            elif job.state in _STOPPABLE:
                reached.append(job.id)
                continue
        obstacle = accounts[job.account_id].obstacle
        waits = job.state is JobState.SUSPENDED and job.suspended_for != ""
        if obstacle and (job.state in _STARTABLE or (waits and job.suspended_for != obstacle)):
            held.append((job.id, obstacle))
        elif waits and not obstacle:
            released.append(job.id)
    return Consequences(tuple(reached), tuple(held), tuple(released))
