from farm.jobs.budget import DISABLED, FOR_CREDITS, AccountState, JobMoney, consequences
from farm_protocol.jobs import BudgetAction, JobState
from hypothesis import given
from hypothesis import strategies as st

MONEY = st.builds(
    JobMoney,
    id=st.uuids().map(str),
    account_id=st.sampled_from("ab"),
    state=st.sampled_from(JobState),
    spent=st.integers(0, 20),
    budget=st.integers(0, 20),
    budget_action=st.sampled_from(BudgetAction),
    budget_acted=st.booleans(),
    suspended_for=st.sampled_from(["", FOR_CREDITS, DISABLED]),
)


STANDING = st.builds(AccountState, balance=st.integers(-5, 5), active=st.booleans())


@given(st.lists(MONEY, unique_by=lambda job: job.id), STANDING, STANDING)
def test_consequences(jobs: list[JobMoney], a: AccountState, b: AccountState) -> None:
    accounts = {"a": a, "b": b}
    due = consequences(jobs, accounts)
    by_id = {job.id: job for job in jobs}
    for job_id in due.budget_reached:
        job = by_id[job_id]
        assert 0 < job.budget <= job.spent
        assert not job.budget_acted
        # What is over is not stopped any more, but its user may still want to know. Of what is
        # blocked, frames may still be rendered.
        over = job.state.is_final and job.state is not JobState.BLOCKED
        assert job.budget_action is BudgetAction.ALERT or not over
    for job_id, obstacle in due.held:
        standing = accounts[by_id[job_id].account_id]
        job = by_id[job_id]
        if job.state is JobState.SUSPENDED:
            assert job.suspended_for not in ("", obstacle)
        else:
            assert job.state in (JobState.READY, JobState.RUNNING)
        assert obstacle == (FOR_CREDITS if standing.active else DISABLED)
        assert standing.balance <= 0 or not standing.active
    for job_id in due.released:
        standing = accounts[by_id[job_id].account_id]
        assert by_id[job_id].suspended_for
        assert standing.active
        assert standing.balance > 0
    # Nobody goes on who must not, and nobody stands still who need not.
    held = dict(due.held)
    for job in jobs:
        acted = job.id in due.budget_reached and job.budget_action is not BudgetAction.ALERT
        may_work = accounts[job.account_id].active and accounts[job.account_id].balance > 0
        if job.state in (JobState.READY, JobState.RUNNING) and not may_work:
            assert acted or job.id in held
        if job.state is JobState.SUSPENDED and job.suspended_for and may_work:
            assert acted or job.id in due.released
        # And each says why.
        obstacle = accounts[job.account_id].obstacle
        if job.state is JobState.SUSPENDED and job.suspended_for and obstacle:
            assert acted or held.get(job.id, job.suspended_for) == obstacle
