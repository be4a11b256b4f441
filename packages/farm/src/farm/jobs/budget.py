"""What follows from what jobs have cost: budgets that are used up, accounts that are empty."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from farm_protocol.jobs import BudgetAction, JobState

_STARTABLE = frozenset({JobState.READY, JobState.RUNNING})
_STOPPABLE = _STARTABLE | {JobState.SUSPENDED}
FOR_CREDITS = "credits"


@dataclass(frozen=True, slots=True)
class JobMoney:
    """A job that may cost something, or that waits for credits. Amounts in micros.

    Attributes:
        spent: posted and metered.
        budget: 0: none.
        budget_acted: a budget acts once; whoever resumes its job afterwards means it.
        suspended_for: `FOR_CREDITS`, or "" when its user wanted it so or it is not suspended.
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
    """Ids of the jobs whose budget acts, that stand still for credits, and that go on again."""

    budget_reached: tuple[str, ...]
    out_of_credits: tuple[str, ...]
    credits_back: tuple[str, ...]


def consequences(jobs: Iterable[JobMoney], balances: Mapping[str, int]) -> Consequences:
    """Return what is due now.

    Parameters:
        balances: of each account that has one of the jobs, less what is metered.
    """
    reached, empty, back = [], [], []
    for job in jobs:
        if 0 < job.budget <= job.spent and not job.budget_acted:
            if job.budget_action is BudgetAction.ALERT:
                reached.append(job.id)
            elif job.state in _STOPPABLE:
                reached.append(job.id)
                continue
        if job.state in _STARTABLE and balances[job.account_id] <= 0:
            empty.append(job.id)
        elif (
            job.state is JobState.SUSPENDED
            and job.suspended_for == FOR_CREDITS
            and balances[job.account_id] > 0
        ):
            back.append(job.id)
    return Consequences(tuple(reached), tuple(empty), tuple(back))
