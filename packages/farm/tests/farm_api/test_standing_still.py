"""Jobs that stand still for want of money: budgets, empty accounts, disabled users."""

from datetime import UTC, datetime

import httpx
import pytest
from farm.db import accounts, notices
from farm.db.tables import accounts as account_table
from farm.db.tables import jobs
from farm_protocol.jobs import JobReason
from messages import saying, says
from sqlalchemy import select, update
from waiting import until

from .conftest import Farm, send, spec
from .paying import adds_up, money, started, top_up, worked
from .runners import FakeRunner, job_of, wait_for

# The machine costs one credit a second.


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def test_a_budget_ends_a_job_that_only_fails(farm: Farm, ann: httpx.Client) -> None:
    runner = started(farm, ann, budget={"value": 50, "action": "STOP"})
    for _ in range(2):
        worked(farm, 26)
        runner.beat(1)
        runner.finish("failed", message="It broke.")
        runner.claim()
    farm.wakeup.notify()
    wait_for(ann, lambda job: job["state"] in ("stopping", "stopped"))
    assert job_of(ann)["credits"] == pytest.approx(52, abs=5)
    adds_up(farm)


@pytest.mark.parametrize(
    ("action", "state", "message"),
    [
        ("STOP", "stopping", saying("stopped-budget-credits-used-up", 20)),
        ("SUSPEND", "suspended", saying("suspended-budget-credits-used-up", 20)),
    ],
)
def test_a_budget_acts_at_the_metered_amount(
    farm: Farm, ann: httpx.Client, action: str, state: str, message: saying
) -> None:
    runner = started(farm, ann, budget={"value": 20, "action": action})
    runner.beat(1)
    assert job_of(ann)["state"] == "running"
    worked(farm, 21)
    runner.beat(1)  # Which wakes nobody: the scheduler looks by itself.
    wait_for(ann, lambda job: job["state"] == state)
    job = job_of(ann)
    assert (job["message"], job["reason"]) == (message, JobReason.BUDGET)
    assert runner.beat(1) == ("stop" if action == "STOP" else "yield")
    assert len(told(farm)) == 1


def test_a_budget_acts_once(farm: Farm, ann: httpx.Client) -> None:
    runner = started(farm, ann, budget={"value": 20, "action": "SUSPEND"})
    worked(farm, 21)
    runner.beat(1)
    farm.wakeup.notify()
    wait_for(ann, lambda job: job["state"] == "suspended")
    ann.post(f"/v1/jobs/{job_of(ann)['id']}/resume").raise_for_status()
    until(lambda: runner.beat(1) == "continue")
    worked(farm, 22)
    runner.beat(1)
    farm.wakeup.notify()
    runner.done(1)
    assert job_of(ann)["state"] in ("ready", "running")
    assert len(told(farm)) == 1


def test_an_alert_tells_and_lets_the_job_go_on(farm: Farm, ann: httpx.Client) -> None:
    runner = started(farm, ann, budget={"value": 20, "action": "ALERT"})
    worked(farm, 21)
    runner.beat(1)
    farm.wakeup.notify()
    wait_for(ann, lambda job: job["reason"] == JobReason.BUDGET)
    assert job_of(ann)["state"] == "running"
    assert runner.beat(1) == "continue"
    (notice,) = told(farm)
    assert notice.email == "ann@example.com"
    assert "20 credits" in notice.text


def told(farm: Farm) -> list[notices.Notice]:
    with farm.database.read() as connection:
        return list(notices.due(connection, datetime.now(UTC), 10))


@pytest.mark.parametrize("value", [0, -5])
def test_a_budget_is_more_than_nothing(ann: httpx.Client, value: float) -> None:
    answer = ann.post("/v1/submissions", json=spec(budget={"value": value, "action": "STOP"}))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_an_empty_account_stands_still_until_a_top_up(farm: Farm) -> None:
    bob = farm.user("bob@example.com", credits="10")
    send(bob, "demo/scene.blend", b"BLENDER-v304")
    by_hand = spec(instances=1)
    bob.post("/v1/submissions", json=by_hand).raise_for_status()
    other = job_of(bob)["id"]
    runner = FakeRunner(farm)
    runner.claim()
    bob.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    bob.post(f"/v1/jobs/{job_of(bob)['id']}/suspend").raise_for_status()
    worked(farm, 30)
    runner.beat(1)
    farm.wakeup.notify()

    def state(job_id: str) -> str:
        return str(bob.get(f"/v1/jobs/{job_id}").json()["state"])

    until(lambda: state(other) == "suspended")
    assert says(bob.get(f"/v1/jobs/{other}").json()["message"], "suspended-no-credits")
    assert runner.beat(1) == "yield"
    runner.done(1)  # What is being rendered may finish.
    assert money(bob)[0] < 0
    assert bob.post("/v1/submissions", json=spec()).json()["code"] == "insufficient_credits"
    top_up(farm, "bob@example.com", 5)
    assert money(bob)[0] < 0  # Repaid first.
    assert state(other) == "suspended"
    top_up(farm, "bob@example.com", 100)
    until(lambda: state(other) != "suspended")
    # What the user suspended is for the user to resume.
    assert job_of(bob)["state"] == "suspended"
    adds_up(farm)


def test_a_top_up_does_not_wake_what_its_user_wants_to_rest(farm: Farm) -> None:
    bob = farm.user("bob@example.com", credits="10")
    send(bob, "demo/scene.blend", b"BLENDER-v304")
    runner = started(farm, bob)
    worked(farm, 30)
    runner.beat(1)
    farm.wakeup.notify()
    wait_for(bob, lambda job: job["state"] == "suspended")
    assert says(job_of(bob)["message"], "suspended-no-credits")
    bob.post(f"/v1/jobs/{job_of(bob)['id']}/suspend").raise_for_status()
    assert job_of(bob)["reason"] == JobReason.USER
    runner.finish("failed")
    top_up(farm, "bob@example.com", 100)
    # A job that was submitted later runs by now, so the scheduler has looked.
    bob.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    assert FakeRunner(farm, 2).claim()
    assert [job["state"] for job in bob.get("/v1/jobs").json()["jobs"]] == ["running", "suspended"]


def test_a_top_up_does_not_wake_what_its_budget_suspended_meanwhile(farm: Farm) -> None:
    bob = farm.user("bob@example.com", credits="10")
    send(bob, "demo/scene.blend", b"BLENDER-v304")
    runner = started(farm, bob, budget={"value": 40, "action": "SUSPEND"})
    worked(farm, 20)
    runner.beat(1)
    farm.wakeup.notify()
    wait_for(bob, lambda job: job["reason"] == JobReason.CREDITS)
    worked(farm, 21)  # Its frame may finish.
    runner.beat(1)
    farm.wakeup.notify()
    wait_for(bob, lambda job: job["reason"] == JobReason.BUDGET)
    runner.finish("stopped")
    top_up(farm, "bob@example.com", 100)
    # A job that was submitted later runs by now, so the scheduler has looked.
    bob.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    assert FakeRunner(farm, 2).claim()
    assert [job["state"] for job in bob.get("/v1/jobs").json()["jobs"]] == ["running", "suspended"]
    assert len(told(farm)) == 1


def test_jobs_of_a_disabled_user_stand_still_until_it_is_enabled(
    farm: Farm, ann: httpx.Client
) -> None:
    runner = started(farm, ann)
    set_active(farm, False)
    assert ann.get("/v1/jobs").status_code == 401
    # Not even the frame that is being rendered may go on.
    until(lambda: runner.beat(1) == "stop")
    runner.finish("stopped")
    assert runner.claim() == []
    set_active(farm, True)
    assert FakeRunner(farm, 2).claim() == [1, 2, 3, 4]


def test_a_user_who_is_enabled_again_without_credits_is_told_so(
    farm: Farm, ann: httpx.Client
) -> None:
    started(farm, ann)
    set_active(farm, False)

    def message() -> str:
        with farm.database.read() as connection:
            said: str = connection.execute(select(jobs.c.message)).scalar_one()
        return said

    until(lambda: message() == saying("suspended-account-disabled"))
    with farm.database.write() as connection:
        connection.execute(update(account_table).values(balance_micros=0))
    set_active(farm, True)
    until(lambda: says(job_of(ann)["message"], "suspended-no-credits"))
    assert job_of(ann)["state"] == "suspended"


def test_a_suspended_job_of_a_disabled_user_does_not_finish_its_frame(
    farm: Farm, ann: httpx.Client
) -> None:
    runner = started(farm, ann)
    ann.post(f"/v1/jobs/{job_of(ann)['id']}/suspend").raise_for_status()
    assert runner.beat(1) == "yield"
    set_active(farm, False)
    assert runner.beat(1) == "stop"


def set_active(farm: Farm, active: bool) -> None:
    with farm.database.write() as connection:
        account = accounts.by_email(connection, "ann@example.com")
        assert account is not None
        accounts.change(connection, account.id, active=active)
    farm.wakeup.notify()
