"""What happens to one user, job or runner changes no row of another: each query says whose."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
from farm.catalogue import Catalogue
from farm.catalogue.machines import Machines
from farm.catalogue.products import Installed, product_rows
from farm.db import claims as claim_rows
from farm.db.tables import accounts, claims, metadata, runners
from farm.scheduler import limits as farm_limits
from farm_protocol.frames import SIGNATURE_CELLS
from farm_protocol.runner import HostLimits
from farm_protocol.users import Role
from messages import says
from sqlalchemy import Select, Table, select

from .conftest import Farm, send, spec
from .runners import FakeRunner, given, jobs_of, wait_for

PASSWORD = "correct horse"
ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def catalogue() -> Catalogue:
    """Room for all of these jobs: none makes way for another."""
    machine = Machines("local-cpu", "Test", gpu=False, slots=9, credits_per_hour=Decimal(3600))
    return Catalogue(products=product_rows([Installed("blender", "3.4.1")]), machines=[machine])


def user(farm: Farm, email: str) -> httpx.Client:
    """Return somebody with a key that is called as everybody's, and a project called the same."""
    client = farm.user(email, password=PASSWORD)
    login(farm, email, PASSWORD)
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def login(farm: Farm, email: str, password: str) -> httpx.Client:
    body = {"email": email, "secret": password, "label": "workstation"}
    answer = httpx.post(f"{farm.url}/v1/login", json=body, timeout=60).raise_for_status().json()
    return farm.client(answer["access_key"])


def submit(client: httpx.Client, name: str) -> tuple[str, str]:
    """Submit a job of six frames; returns its id, and its submission's."""
    body = spec(instances=1, name=name, params={"frames": "1 6"})
    answer = client.post("/v1/submissions", json=body).raise_for_status().json()
    return answer["jobs"][0]["id"], answer["id"]


def at_frame_3(farm: Farm, number: int) -> FakeRunner:
    """Return a runner that has done frame 1, failed with frame 2 and is at frame 3."""
    runner = FakeRunner(farm, number, host=f"node{number}")
    runner.claim(
        warnings=[f"warning {number}"],
        programs=[{"app": "blender", "version": "3.4.1"}],
        limits=dict.fromkeys(HostLimits.model_fields, "watched"),
    )
    runner.post("log", {"offset": 0, "text": "words"}).raise_for_status()
    flag = {"frame": 1, "code": "empty", "certainty": "hint", "message": "Frame 1 is empty."}
    picture = {"signature": [number] * SIGNATURE_CELLS, "emptiness": ""}
    runner.done(1, flags=[flag], picture=picture).raise_for_status()
    runner.finish("failed", message="No.", frame=2).raise_for_status()
    assert runner.claim() == [2, 3, 4, 5, 6]
    assert runner.beat(3) == "continue"
    return runner


def recalled(farm: Farm, job: str) -> list[bool]:
    """Return which of a job's claims were asked back, the oldest first."""
    query = select(claims.c.recalled).where(claims.c.job_id == job)
    with farm.database.read() as connection:
        return list(connection.execute(query.order_by(claims.c.created_at)).scalars())


class Bystanders:
    """Jobs at work, suspended and failed, of Bob and of Ann, which nobody here means."""

    def __init__(self, farm: Farm, ann: httpx.Client, bob: httpx.Client) -> None:
        self._farm = farm
        self._ids: set[object] = set()
        at_work = submit(bob, "at work")
        self._runners = [at_frame_3(farm, 1)]
        suspended = submit(bob, "suspended")
        at_frame_3(farm, 2).finish("stopped")
        bob.post(f"/v1/jobs/{suspended[0]}/suspend").raise_for_status()
        failed = submit(ann, "failed")
        runner = at_frame_3(farm, 3)
        runner.finish("failed", message="Never.", frame=3, permanent=True)
        assert runner.claim() == []
        hers = submit(ann, "hers, at work")
        self._runners.append(at_frame_3(farm, 4))
        for number, each in enumerate((at_work, suspended, failed, hers), 1):
            self._ids.update(each, (f"node{number}",))
        self._ids.update(self._found(select(accounts.c.id).where(accounts.c.email == BOB)))
        for table in (runners, claims):
            self._ids.update(self._found(select(table.c.id).where(table.c.job_id.in_(self._ids))))
        # What the scheduler writes of runners that it has just started is written then.
        farm.engine.wait_for_looks(2, farm.wakeup)

    def _found(self, query: Select[Any]) -> list[str]:
        with self._farm.database.read() as connection:
            return list(connection.execute(query).scalars())

    def _rows(self, table: Table) -> list[tuple[object, ...]]:
        """Return the rows that name one of them."""
        with self._farm.database.read() as connection:
            rows = [tuple(row) for row in connection.execute(select(table))]
        mine = [row for row in rows if any(v in self._ids for v in row if isinstance(v, str))]
        return sorted(mine, key=repr)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Compare everything that the database holds about them."""
        for runner in self._runners:
            assert runner.beat(3) == "continue"  # The farm waits for no sign of life meanwhile.
        before = {table.name: self._rows(table) for table in metadata.sorted_tables}
        yield
        after = {table.name: self._rows(table) for table in metadata.sorted_tables}
        assert after == before


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    return user(farm, ANN)


@pytest.fixture
def others(farm: Farm, ann: httpx.Client) -> Bystanders:
    return Bystanders(farm, ann, user(farm, BOB))


def test_of_a_job(farm: Farm, ann: httpx.Client, others: Bystanders) -> None:
    at_work = set(farm.engine.living)

    def stopped(found: dict[str, Any]) -> bool:
        # Its runners obey, also one that was being started when the job was stopped.
        farm.engine.living &= at_work
        farm.wakeup.notify()
        return bool(found["state"] == "stopped")

    with others.unchanged():
        job, submission = submit(ann, "meant")
        runner = at_frame_3(farm, 5)
        runner.finish("no_licence", message="None left.", frame=3)
    for address in (f"/v1/jobs/{job}", f"/v1/submissions/{submission}"):
        with others.unchanged():
            ann.patch(address, json={"priority": 40}).raise_for_status()
            ann.patch(address, json={"instances": 2}).raise_for_status()
        assert recalled(farm, job) == [False, False]  # They had ended before.
        for action in ("suspend", "resume", "stop", "retry", "stop", "restart_unstarted", "stop"):
            with others.unchanged():
                ann.post(f"{address}/{action}").raise_for_status()
                if action == "stop":
                    wait_for(ann, stopped)
    with others.unchanged():
        ann.post(f"/v1/jobs/{job}/retry_all").raise_for_status()


def test_of_a_runner(farm: Farm, ann: httpx.Client, others: Bystanders) -> None:
    submit(ann, "meant")
    with others.unchanged():
        runner = FakeRunner(farm, 5)
        runner.http.post("/v1/runner/heartbeat", json={}).raise_for_status()
    with others.unchanged():
        runner.claim(startup_seconds=3.0, frame_seconds=2.0, warnings=["Mind the gap."])
    with others.unchanged():
        runner.beat(1)
        runner.post("log", {"offset": 0, "text": "words"}).raise_for_status()
        assert runner.done(1, seconds=1.0).status_code == 204
    with others.unchanged():
        runner.finish("failed", message="No.", frame=2)
        given(farm, runner, 6, [2, 3, 4, 5, 6])
    with others.unchanged():
        farm.engine.living.discard(f"fake:{runner.request.runner_id}")
        farm.wakeup.notify()
        late = FakeRunner(farm, 6)
        assert late.claim() == [2, 3, 4, 5, 6]
    with others.unchanged():
        for frame in (2, 3, 4, 5, 6):
            assert late.done(frame).status_code == 204
        late.finish()
        assert jobs_of(ann)["meant"]["state"] == "completed"
        assert late.claim() == []


def test_of_a_bad_machine(farm: Farm, ann: httpx.Client, others: Bystanders) -> None:
    submit(ann, "meant")
    runner = FakeRunner(farm, 5, host="bad")
    limits = dict.fromkeys(HostLimits.model_fields, "kernel")
    with others.unchanged():
        runner.claim(programs=[{"app": "blender", "version": "3.4.1"}], limits=limits)
        for _ in range(3):
            frames = runner.claim()
            runner.finish("failed", message="The driver crashed.", frame=frames[0])
        assert runner.claim() == []
        assert says(runner.reason, "failed-times-row", "bad", 3)
        assert jobs_of(ann)["meant"]["frames_failed"] == 0


def test_of_a_user(farm: Farm, ann: httpx.Client, others: Bystanders) -> None:
    admin = farm.user("root@example.com", role=Role.ADMIN)
    mine = f"/v1/users/{ANN}"
    with others.unchanged():
        send(ann, "demo/scene.blend", b"BLENDER-v304 another")
        send(ann, "other/scene.blend", b"BLENDER-v304")
    with others.unchanged():
        login(farm, ANN, PASSWORD)
        ann.patch("/v1/me", json={"email_notices": False}).raise_for_status()
    with others.unchanged():
        limits = {"job_throughput_limit": 30, "max_throughput": 30}
        admin.put("/v1/plans/Gold", json=limits).raise_for_status()
        admin.patch(mine, json={"name": "Ann", "plan": "Gold"}).raise_for_status()
        admin.post(f"{mine}/credits", json={"credits": "5", "reason": "gift"}).raise_for_status()
    with others.unchanged():
        admin.post(f"{mine}/password", json={"password": "another horse"}).raise_for_status()
        login(farm, ANN, "another horse")
    with others.unchanged():
        admin.post(f"{mine}/key").raise_for_status()


def test_of_a_larger_plan(farm: Farm, ann: httpx.Client) -> None:
    admin = farm.user("root@example.com", role=Role.ADMIN)
    bob = user(farm, BOB)
    job, _ = submit(ann, "hers")
    hers = at_frame_3(farm, 1)
    submit(bob, "his")
    his = at_frame_3(farm, 2)

    def larger(limit: int) -> None:
        limits = {"job_throughput_limit": limit, "max_throughput": limit}
        admin.put("/v1/plans/Gold", json=limits).raise_for_status()

    larger(98)
    assert hers.beat(3) == his.beat(3) == "continue"
    admin.patch(f"/v1/users/{ANN}", json={"plan": "Gold"}).raise_for_status()
    # What it has not begun is shared anew with those that she may have now.
    assert (hers.beat(3), his.beat(3)) == ("yield", "continue")
    assert recalled(farm, job) == [False, True]
    hers.finish("stopped")
    assert hers.claim()
    larger(99)
    assert recalled(farm, job) == [False, True, True]
    assert (hers.beat(), his.beat(3)) == ("yield", "continue")


def test_what_others_renderers_did_is_not_told_of_a_job(farm: Farm, ann: httpx.Client) -> None:
    bob = user(farm, BOB)
    job, _ = submit(ann, "hers")
    hers = FakeRunner(farm, 1)
    hers.claim()
    hers.finish("failed", message="Hers broke.", frame=2).raise_for_status()
    submit(bob, "his")
    at_frame_3(farm, 2)  # And it has failed since.

    with farm.database.read() as connection:
        assert claim_rows.last_failure(connection, job) == "Hers broke."


def test_frames_at_which_others_are_count_as_never_begun(farm: Farm, ann: httpx.Client) -> None:
    bob = user(farm, BOB)
    job, _ = submit(ann, "hers")
    hers = FakeRunner(farm, 1)
    assert hers.claim() == [1, 2, 3, 4, 5, 6]
    of_hers = set(farm.engine.living)
    submit(bob, "his")
    at_frame_3(farm, 2)
    ann.post(f"/v1/jobs/{job}/stop").raise_for_status()
    farm.engine.living -= of_hers
    farm.wakeup.notify()
    wait_for(ann, lambda found: bool(found["state"] == "stopped"))

    ann.post(f"/v1/jobs/{job}/restart_unstarted").raise_for_status()

    found = jobs_of(ann)["hers"]
    assert (found["frames_failed"], found["state"]) == (0, "ready")


def test_of_another_machine_type(farm: Farm, ann: httpx.Client) -> None:
    job, _ = submit(ann, "hers")
    hers = at_frame_3(farm, 1)
    configured = {"local-cpu": 9, "another": 1}

    def set_slots(machine_type: str) -> None:
        with farm.database.write() as connection:
            farm_limits.set_slots(connection, configured, machine_type, 20)

    set_slots("another")
    assert hers.beat(3) == "continue"
    assert recalled(farm, job) == [False, False]
    set_slots("local-cpu")
    assert recalled(farm, job) == [False, True]
