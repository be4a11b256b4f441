from farm.jobs.budget import FOR_CREDITS, JobMoney, consequences
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
    suspended_for=st.sampled_from(["", FOR_CREDITS]),
)


@given(st.lists(MONEY, unique_by=lambda job: job.id), st.integers(-5, 5), st.integers(-5, 5))
def test_consequences(jobs: list[JobMoney], a: int, b: int) -> None:
    balances = {"a": a, "b": b}
    due = consequences(jobs, balances)
    by_id = {job.id: job for job in jobs}
    for job_id in due.budget_reached:
        job = by_id[job_id]
        assert 0 < job.budget <= job.spent
        assert not job.budget_acted
        # What is over is not stopped any more, but its user may still want to know.
        assert job.budget_action is BudgetAction.ALERT or not job.state.is_final
    for job_id in due.out_of_credits:
        assert by_id[job_id].state in (JobState.READY, JobState.RUNNING)
        assert balances[by_id[job_id].account_id] <= 0
    for job_id in due.credits_back:
        assert by_id[job_id].suspended_for == FOR_CREDITS
        assert balances[by_id[job_id].account_id] > 0
    # Nobody goes on with an empty account, and nobody waits for credits who has some.
    for job in jobs:
        acted = job.id in due.budget_reached and job.budget_action is not BudgetAction.ALERT
        if job.state in (JobState.READY, JobState.RUNNING) and balances[job.account_id] <= 0:
            assert acted or job.id in due.out_of_credits
        if job.state is JobState.SUSPENDED and job.suspended_for and balances[job.account_id] > 0:
            assert acted or job.id in due.credits_back
