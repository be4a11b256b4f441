"""What jobs cost: metering, and the ledger's own rules."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from farm.accounts.credentials import authenticate
from farm.accounts.credits import MOST_CREDITS, check_amount, check_movement, refund
from farm.db import accounts, ledger
from farm.db.tables import accounts as account_table
from farm.db.tables import claims, jobs, ledger_entries, ledger_postings
from farm.errors import InvalidRequestError
from farm.jobs.licences import FREE_SECONDS_OF_A_DAY, FREE_SECONDS_OF_A_TRY
from farm.jobs.pricing import FREE_ENDING_SECONDS, FREE_WAITING_SECONDS
from farm_protocol.runner import CLAIM_TIMEOUT_SECONDS
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from .conftest import Farm, send, spec
from .paying import adds_up, heard, money, started, top_up, worked
from .runners import FakeRunner, job_of, wait_for
from .test_storage import fill

# The machine costs one credit a second.


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def test_time_counts_from_the_heartbeat_on_and_is_posted_with_the_frame(
    farm: Farm, ann: httpx.Client
) -> None:
    runner = started(farm, ann)
    worked(farm, 30)
    runner.beat(1)
    assert job_of(ann)["credits"] == pytest.approx(30, abs=5)
    available, consumed = money(ann)
    assert consumed == pytest.approx(30, abs=5)
    assert available == pytest.approx(100 - consumed)
    with farm.database.read() as connection:
        posted = select(ledger_entries.c.id).where(ledger_entries.c.kind == "usage")
        assert connection.execute(posted).all() == []
    runner.done(1)
    runner.finish("failed")
    assert job_of(ann)["credits"] == pytest.approx(30, abs=5)
    assert money(ann)[1] == pytest.approx(job_of(ann)["credits"])
    adds_up(farm)


def test_while_a_runner_only_waits_for_the_farm_its_time_is_free(
    farm: Farm, ann: httpx.Client
) -> None:
    runner = started(farm, ann)
    worked(farm, 30)
    heard(farm, 10)
    assert runner.post("heartbeat", {"waiting_seconds": 6}).status_code == 200
    assert job_of(ann)["credits"] == pytest.approx(34, abs=3)
    heard(farm, 10)
    # It cannot have waited for longer than it was silent: what was metered before stays.
    assert runner.done(1, waiting_seconds=10_000).status_code == 204
    assert job_of(ann)["credits"] == pytest.approx(34, abs=3)
    adds_up(farm)


@pytest.mark.parametrize(("full", "cost"), [(False, 40), (True, 30)])
def test_only_a_full_disk_lets_a_runner_wait_for_long(
    farm: Farm, ann: httpx.Client, full: bool, cost: float
) -> None:
    runner = started(farm, ann)
    with farm.database.write() as connection:
        # So much of its time was free before, and what is metered comes on top.
        begun = datetime.now(UTC) - timedelta(seconds=FREE_WAITING_SECONDS + 45)
        connection.execute(update(claims).values(created_at=begun))
    worked(farm, 30)
    heard(farm, 10)
    if full:
        fill(farm)
    assert runner.post("heartbeat", {"waiting_seconds": 10}).status_code == 200
    assert job_of(ann)["credits"] == pytest.approx(cost, abs=3)
    assert runner.done_refused(1).status_code == 400
    adds_up(farm)


@pytest.mark.parametrize(
    ("outcome", "cost"), [("failed", 30), ("stopped", 30), ("completed", 30), ("no_licence", 0)]
)
def test_time_is_paid_whatever_came_of_it_but_not_waiting_for_a_licence(
    farm: Farm, ann: httpx.Client, outcome: str, cost: float
) -> None:
    runner = started(farm, ann)
    worked(farm, 30)
    runner.beat(1)
    assert job_of(ann)["credits"] == pytest.approx(30, abs=5)
    runner.finish(outcome, message="So it ended.")
    assert job_of(ann)["credits"] == pytest.approx(cost, abs=5 if cost else 0)
    assert money(ann)[1] == pytest.approx(job_of(ann)["credits"])
    kinds = {each["kind"] for each in ann.get("/v1/me/credits").json()["movements"]}
    assert kinds == ({"grant", "usage"} if cost else {"grant"})
    adds_up(farm)


@pytest.mark.parametrize("delivers", [True, False])
def test_only_a_short_time_without_a_licence_is_free(
    farm: Farm, ann: httpx.Client, delivers: bool
) -> None:
    runner = started(farm, ann)
    worked(farm, 10)
    if delivers:
        runner.done(1)
    worked(farm, 600 - 10 * (not delivers))
    runner.beat(2)
    runner.finish("no_licence", message="It lost its licence.")
    job = job_of(ann)
    # Who has delivered a frame had a licence: all of it is paid.
    paid = 610 if delivers else 600 - FREE_SECONDS_OF_A_TRY
    assert job["credits"] == pytest.approx(paid, abs=5)
    assert money(ann)[1] == pytest.approx(job["credits"])
    # But nobody is blamed.
    assert (job["frames_failed"], job["frames_done"]) == (0, int(delivers))
    assert ann.get(f"/v1/jobs/{job['id']}/tasks").json()["tasks"][0]["outcome"] == "no_licence"
    adds_up(farm)


@pytest.mark.parametrize(("used", "cost"), [(0, 0), (12.5, 12.5), (30, 30), (900, 30)])
def test_what_a_renderer_computed_is_paid_also_without_a_licence(
    farm: Farm, ann: httpx.Client, used: float, cost: float
) -> None:
    runner = started(farm, ann)
    worked(farm, 30)
    runner.beat(1)
    runner.finish("no_licence", message="None left.", processor_seconds=used)
    # What the renderer did not compute counts by the wall clock.
    assert job_of(ann)["credits"] == pytest.approx(cost, abs=5 if cost else 0)
    assert money(ann)[1] == pytest.approx(job_of(ann)["credits"])
    adds_up(farm)


@pytest.mark.parametrize("hours_ago", [1, 25])
def test_without_a_licence_a_day_of_an_account_has_its_limit_whatever_its_jobs(
    farm: Farm, ann: httpx.Client, hours_ago: int
) -> None:
    runner = started(farm, ann)
    job_id = job_of(ann)["id"]
    with farm.database.write() as connection:
        # As if another job of the account had tried for long.
        job = connection.execute(select(jobs)).mappings().one()
        over = {"id": "another", "client_id": "another", "state": "stopped", "frames_running": 0}
        over["position"] = 1
        connection.execute(insert(jobs).values(**(dict(job) | over)))
        row = connection.execute(select(claims)).mappings()
        ended = {
            "id": "earlier",
            "job_id": "another",
            "outcome": "no_licence",
            "ended_at": datetime.now(UTC) - timedelta(hours=hours_ago),
            "unposted_seconds": FREE_SECONDS_OF_A_DAY - 10,
        }
        connection.execute(insert(claims).values(**(dict(row.one()) | ended)))
    worked(farm, 30)
    runner.beat(1)
    runner.finish("no_licence", message="None left.")
    paid = 20 if hours_ago < 24 else 0
    job = ann.get(f"/v1/jobs/{job_id}").json()
    assert job["credits"] == pytest.approx(paid, abs=5 if paid else 0)
    adds_up(farm)


def test_what_a_user_is_told_of_credits_is_of_one_moment(
    farm: Farm, ann: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = started(farm, ann)
    worked(farm, 130)

    def authenticate_slowly(connection: Connection, secret: str) -> accounts.AccountRow:
        """Let a frame be posted between who asks and what is answered."""
        account = authenticate(connection, secret)
        runner.done(1)
        return account

    monkeypatch.setattr("farm.api.context.authenticate", authenticate_slowly)
    assert money(ann) == pytest.approx((-30, 130), abs=5)


def test_the_end_of_a_claim_is_charged_once(farm: Farm, ann: httpx.Client) -> None:
    runner = started(farm, ann)
    worked(farm, 10)
    runner.done(1)
    worked(farm, 20)
    assert [runner.finish("failed").status_code for _ in range(2)] == [204, 410]
    moved = ann.get("/v1/me/credits").json()["movements"][:2]
    assert [each["reference"].split(":")[0] for each in moved] == ["rest", "frame"]
    assert [float(each["credits"]) for each in moved] == pytest.approx([-20, -10], abs=5)
    assert job_of(ann)["credits"] == pytest.approx(money(ann)[1])
    adds_up(farm)


@pytest.mark.parametrize(
    ("paid", "ending", "charged"),
    [(60, FREE_ENDING_SECONDS - 10, 0), (60, 100, 100 - FREE_ENDING_SECONDS), (5, 20, 15)],
    ids=["soon", "late", "longer-than-its-frames"],
)
def test_a_renderer_that_has_delivered_everything_ends_for_nothing_but_soon(
    farm: Farm, ann: httpx.Client, paid: float, ending: float, charged: float
) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": "1 40 1"})).raise_for_status()
    runner = FakeRunner(farm)
    frames = runner.claim()
    worked(farm, paid)
    for frame in frames:
        runner.done(frame)
    cost = job_of(ann)["credits"]
    worked(farm, ending)
    overdue = ending > FREE_ENDING_SECONDS
    assert runner.beat() == ("stop" if overdue else "continue")
    # It counts while the renderer goes on, and when it has ended.
    for _ in range(2):
        assert job_of(ann)["credits"] == pytest.approx(cost + charged, abs=4 if charged else 0)
        assert money(ann)[1] == pytest.approx(job_of(ann)["credits"])
        runner.finish("stopped" if overdue else "completed")
    assert job_of(ann)["frames_done"] == len(frames)
    adds_up(farm)


def test_a_lost_runner_costs_what_it_did_up_to_its_last_heartbeat(
    farm: Farm, ann: httpx.Client
) -> None:
    runner = started(farm, ann)
    worked(farm, 10)
    runner.done(1)
    worked(farm, 30)
    runner.beat(2)
    cost = job_of(ann)["credits"]
    farm.engine.living.clear()
    farm.wakeup.notify()
    wait_for(ann, lambda job: job["frames_running"] == 0)
    assert job_of(ann)["credits"] == cost
    assert cost == pytest.approx(40, abs=5)
    adds_up(farm)


def test_a_clock_that_was_set_back_gives_nothing_back(farm: Farm, ann: httpx.Client) -> None:
    runner = started(farm, ann)
    heard(farm, -3600)
    assert money(ann) == (100, 0)
    runner.beat(1)
    assert money(ann) == (100, 0)
    runner.done(1)
    assert job_of(ann)["credits"] == pytest.approx(0, abs=5)  # It goes on from there.
    adds_up(farm)


def test_a_clock_that_jumps_ahead_charges_no_more_than_a_runner_may_be_silent(
    farm: Farm, ann: httpx.Client
) -> None:
    runner = started(farm, ann)
    heard(farm, 8 * 3600)
    runner.beat(1)
    assert job_of(ann)["credits"] == CLAIM_TIMEOUT_SECONDS
    heard(farm, 8 * 3600)
    runner.done(1)
    assert job_of(ann)["credits"] == 2 * CLAIM_TIMEOUT_SECONDS
    heard(farm, 8 * 3600)
    runner.finish("failed")
    assert job_of(ann)["credits"] == 3 * CLAIM_TIMEOUT_SECONDS
    adds_up(farm)


def test_users_read_their_own_movements_page_by_page(farm: Farm, ann: httpx.Client) -> None:
    farm.user("bob@example.com", credits="7")
    runner = started(farm, ann)
    runner.done(1)
    runner.done(2)
    top_up(farm, "ann@example.com", 5)
    first = ann.get("/v1/me/credits", params={"limit": 3}).json()
    assert first["more"]
    last = first["movements"][-1]["id"]
    second = ann.get("/v1/me/credits", params={"limit": 3, "before": last}).json()
    assert not second["more"]
    moved = first["movements"] + second["movements"]
    assert [each["kind"] for each in moved] == ["grant", "usage", "usage", "grant"]
    assert (moved[0]["credits"], moved[0]["reason"]) == ("5", "top-up")
    assert moved[1]["reference"].endswith(":2")
    spent = -sum(Decimal(each["credits"]) for each in moved[1:3])
    assert float(spent) == pytest.approx(job_of(ann)["credits"])
    answer = ann.get("/v1/me/credits", params={"limit": 0})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_the_ledger_only_grows(farm: Farm, ann: httpx.Client) -> None:
    started(farm, ann).done(1)
    for statement in (
        update(ledger_entries).values(reason="never happened"),
        update(ledger_postings).values(amount_micros=0),
        delete(ledger_entries),
        delete(ledger_postings),
    ):
        with (
            pytest.raises(DBAPIError, match="append-only"),
            farm.database.write() as connection,
        ):
            connection.execute(statement)
    adds_up(farm)


def entry(connection: Connection, *amounts: int, kind: str = "grant", reference: str = "x") -> None:
    """Write an entry by hand: its first posting is Ann's, the others are the farm's own."""
    made = {"kind": kind, "reference": reference, "reason": "", "created_at": datetime.now(UTC)}
    written = connection.execute(insert(ledger_entries).values(made)).inserted_primary_key
    assert written is not None
    for number, amount in enumerate(amounts):
        whose = None if number else of_ann(connection).id
        posting = {"entry_id": written[0], "account_id": whose, "amount_micros": amount}
        connection.execute(insert(ledger_postings).values(posting))


def of_ann(connection: Connection) -> accounts.AccountRow:
    found = accounts.by_email(connection, "ann@example.com")
    assert found is not None
    return found


def change(connection: Connection, **values: int) -> None:
    """Change what is kept of Ann's account, or of her jobs, without an entry."""
    table = jobs if "credits_micros" in values else account_table
    whose = jobs.c.account_id if table is jobs else account_table.c.id
    mine = whose == of_ann(connection).id
    connection.execute(update(table).where(mine).values(values))


SPOILT: list[tuple[str, Callable[[Connection], None]]] = [
    ("ann@example.com: the account", lambda found: change(found, balance_micros=1)),
    ("ann@example.com: the account", lambda found: change(found, consumed_micros=1)),
    ("ann@example.com: the account", lambda found: entry(found, 7, -7)),
    ("ann@example.com: the jobs", lambda found: change(found, credits_micros=1)),
    ("entry", lambda found: entry(found, 0, 1)),
    ("entry", lambda found: entry(found, 0, -1)),
    ("entry", lambda found: entry(found, 0, 5, -6)),
    ("entry", lambda found: entry(found, 0)),
    ("entry", entry),
]


def test_what_does_not_add_up_is_named(farm: Farm, ann: httpx.Client) -> None:
    runner = started(farm, ann)
    worked(farm, 10)
    runner.done(1)
    farm.user("bob@example.com")
    with farm.database.write() as connection:
        for named, spoil in SPOILT:
            assert ledger.faults(connection) == []
            before = connection.begin_nested()
            spoil(connection)
            (fault,) = ledger.faults(connection)
            assert named in fault
            before.rollback()


def test_what_was_given_back_was_not_consumed(farm: Farm, ann: httpx.Client) -> None:
    started(farm, ann)
    with farm.database.write() as connection:
        for number, (kind, micros) in enumerate([("usage", -7), ("refund", 3), ("grant", 5)]):
            ledger.post(
                connection,
                account_id=of_ann(connection).id,
                amount_micros=micros,
                kind=kind,
                reference=f"{number}",
                reason="",
                now=datetime.now(UTC),
            )
        change(connection, credits_micros=4)
    assert money(ann) == (100.000001, 0.000004)
    adds_up(farm)


def test_a_refund_is_given_once_and_only_of_what_was_paid(farm: Farm, ann: httpx.Client) -> None:
    runner = started(farm, ann)
    worked(farm, 10)
    runner.finish("failed")
    paid = money(ann)[1]
    with farm.database.write() as connection:
        whose, of = of_ann(connection).id, [str(runner.claim_id), "one that cost nothing"]
        back = [refund(connection, whose, of, datetime.now(UTC)) for _ in range(2)]
        change(connection, credits_micros=0)
    assert back == [round(paid * 10**6), 0]
    assert money(ann) == (100, 0)
    moved = ann.get("/v1/me/credits").json()["movements"]
    assert [each["kind"] for each in moved] == ["refund", "usage", "grant"]
    adds_up(farm)


@given(st.integers(-MOST_CREDITS * 10**6 - 10**4, MOST_CREDITS * 10**6 + 10**4), st.integers(0, 9))
@example(MOST_CREDITS * 10**6, 0)
@example(-MOST_CREDITS * 10**6, 0)
@example(MOST_CREDITS * 10**6 + 1, 0)
@example(0, 0)
def test_amounts_are_whole_millionths_of_a_credit_up_to_a_bound(micros: int, more: int) -> None:
    amount = Decimal(micros).scaleb(-6) + Decimal(more).scaleb(-7)
    fits = more == 0 and abs(micros) <= MOST_CREDITS * 10**6
    for check, also in ((check_amount, True), (check_movement, amount != 0)):
        with nullcontext() if fits and also else pytest.raises(InvalidRequestError) as caught:
            check(amount, "credits")
        assert caught is None or list(caught.value.errors) == ["credits"]


@pytest.mark.parametrize("no_number", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_no_amount(no_number: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_amount(Decimal(no_number), "credits")
    assert list(caught.value.errors) == ["credits"]
