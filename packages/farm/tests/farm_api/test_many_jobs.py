"""What is done to many jobs at once keeps nobody else waiting."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from farm.cli import app
from farm.db import feed, tables
from farm.db import jobs as job_table
from farm.db.engine.database import PORTION, Database
from farm.db.engine.prepared import Prepared
from farm.db.tables import changes
from farm_protocol.jobs import MOST_JOBS
from farm_protocol.users import Role
from sqlalchemy import Connection, func, select
from typer.testing import CliRunner

from .conftest import Farm, send, spec

GUARD_SECONDS = 20
"""Of processor time; it was minutes. A busy machine takes about three."""


def jobs(**changes: object) -> list[object]:
    found = spec(**changes)["jobs"]
    assert isinstance(found, list)
    return found


def test_a_thousand_jobs_are_stopped_and_done_anew_in_seconds(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    for needed in (0, 10):
        body = spec()
        body["jobs"] = [
            each
            for n in range(MOST_JOBS)
            for each in jobs(
                id=f"j{n}",
                params={"frames": "1", "output_prefix": f"{n}_"},
                dependencies=[f"j{other}" for other in range(max(0, n - needed), n)],
            )
        ]
        body["output_folder"] = f"demo/render_results/{needed}"
        ann.post("/v1/submissions", json=body).raise_for_status()
    begin = time.process_time()
    for action in ("stop", "retry_all", "stop"):
        answer = ann.post(f"/v1/jobs/{action}", timeout=300)
        assert answer.is_success
    assert time.process_time() - begin < GUARD_SECONDS
    # Runners of a few may have been asked for meanwhile, and hand back what they do not have.
    assert {each["state"] for each in answer.json()["jobs"]} <= {"stopped", "stopping"}


MANY = 2 * PORTION + 50


def submit_many(farm: Farm, client: httpx.Client, count: int = MANY, needed: int = 0) -> str:
    """Submit jobs, each of which needs the ``needed`` ones before it; returns the submission."""
    send(client, "demo/scene.blend", b"scene")
    body = spec()
    body["jobs"] = [
        each
        for n in range(count)
        for each in jobs(
            id=f"j{n}",
            params={"frames": "1 4", "output_prefix": f"{n}_"},
            dependencies=[f"j{other}" for other in range(max(0, n - needed), n)],
        )
    ]
    client.post("/v1/submissions", json=body).raise_for_status()
    return str(body["id"])


class Turns:
    """All write turns: how many jobs the feed tells of in each.

    Attributes:
        left: turns of requests until the farm dies; None: it does not.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: list[int] = []
        self.left: int | None = None
        real = Database.write

        @contextmanager
        def write(of: Database, account_id: str = "") -> Iterator[Connection]:
            with real(of, account_id) as connection:
                if self.left is not None and threading.current_thread().name != "scheduler":
                    if self.left == 0:
                        raise RuntimeError("the farm dies")
                    self.left -= 1
                before = feed.newest_of_all(connection)
                yield connection
                told = select(func.count(changes.c.job_id.distinct())).where(changes.c.id > before)
                self.jobs.append(connection.execute(told).scalar_one())

        monkeypatch.setattr(Database, "write", write)


@pytest.fixture
def turns(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> Turns:
    farm.engine.obedient = True  # Runners of a job that is stopped end.
    return Turns(monkeypatch)


def states(client: httpx.Client) -> Counter[str]:
    found = client.get("/v1/jobs").raise_for_status().json()["jobs"]
    return Counter(each["state"] for each in found)


def settled(farm: Farm, client: httpx.Client, *wanted: str) -> None:
    """Wait until all jobs are in one of these states."""
    while not states(client).keys() <= set(wanted):
        farm.wakeup.notify()
        client.get("/v1/changes", params={"after": 2**62, "wait": 0.1})


@pytest.mark.parametrize("address", ["jobs", "submissions/{0}"])
def test_others_write_between_a_hundred_jobs(farm: Farm, turns: Turns, address: str) -> None:
    ann = farm.user("ann@example.com")
    path = "/v1/" + address.format(submit_many(farm, ann))
    turns.jobs.clear()
    for action in ("suspend", "resume", "stop", "retry_all", "stop", "restart_unstarted"):
        ann.post(f"{path}/{action}").raise_for_status()
        if action == "stop":
            settled(farm, ann, "stopped")  # That, too, comes to one job after the other.
        assert sum(turns.jobs) >= MANY
    ann.patch(path, json={"priority": 7}).raise_for_status()
    assert max(turns.jobs) <= PORTION


def test_others_write_while_the_administrator_stops_all(
    farm: Farm, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    if farm.database.on_server:
        url = farm.database.url.set(drivername="postgresql")
        monkeypatch.setenv("FARM_DATABASE_URL", url.render_as_string(hide_password=False))
    submit_many(farm, farm.user("ann@example.com"))
    turns.jobs.clear()
    for words in (["stop"], ["retry-all"], ["change", "--priority", "3"]):
        command = ["jobs", *words, "--user", "ann@example.com", "--data-dir", str(farm.data_dir)]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    assert sum(turns.jobs) >= MANY
    assert max(turns.jobs) <= PORTION


def test_others_write_while_the_jobs_of_an_empty_account_are_held_and_let_go(
    farm: Farm, turns: Turns
) -> None:
    """With dependencies: what waits for what was looked at anew for each job that went on."""
    ann, root = farm.user("ann@example.com"), farm.user("root@example.com", role=Role.ADMIN)
    submit_many(farm, ann)
    turns.jobs.clear()
    root.patch("/v1/users/ann@example.com", json={"active": False}).raise_for_status()
    of_farm = farm.database
    while not _all_suspended(of_farm):
        farm.wakeup.notify()
        root.get("/v1/changes", params={"after": 2**62, "wait": 0.1})
    root.patch("/v1/users/ann@example.com", json={"active": True}).raise_for_status()
    settled(farm, ann, "ready", "running")
    assert sum(turns.jobs) >= 2 * MANY
    assert max(turns.jobs) <= PORTION


def _all_suspended(database: Database) -> bool:
    with database.read() as connection:
        found = connection.execute(select(tables.jobs.c.state).distinct()).scalars()
        return set(found) == {"suspended"}


def test_a_farm_that_dies_between_two_portions_has_done_one(farm: Farm, turns: Turns) -> None:
    ann = farm.user("ann@example.com")
    submit_many(farm, ann)
    ann.post("/v1/jobs/suspend").raise_for_status()
    turns.left = 1
    with farm.client(ann.headers["Authorization"].removeprefix("Bearer ")) as client:
        assert client.post("/v1/jobs/stop").status_code == 500
    turns.left = None
    assert states(ann)["suspended"] == MANY - PORTION
    ann.post("/v1/jobs/stop").raise_for_status()
    settled(farm, ann, "stopped")


def test_jobs_are_done_anew_after_those_that_they_need(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    for _ in range(2):
        three = [
            each
            for n, needs in enumerate([["j2"], [], ["j1"]])
            for each in jobs(
                id=f"j{n}", dependencies=needs, params={"frames": "1", "output_prefix": f"{n}"}
            )
        ]
        ann.post("/v1/submissions", json=spec() | {"jobs": three}).raise_for_status()
    found = ann.get("/v1/jobs").json()["jobs"]
    of = {each["id"]: each for each in found}
    with farm.database.read() as connection:
        ordered = job_table.needed_first(connection, [*of, "unknown"])
    assert [of[job_id]["client_id"] for job_id in ordered] == 2 * ["j1", "j2", "j0"]
    assert len({of[job_id]["submission_id"] for job_id in ordered[:3]}) == 1


def test_many_jobs_are_stored_in_as_many_steps_as_few(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = farm.user("ann@example.com")
    steps: list[str] = []
    inside = threading.local()
    real = Database.write

    @contextmanager
    def write(of: Database, account_id: str = "") -> Iterator[Connection]:
        with real(of, account_id) as connection:
            inside.turn = True
            try:
                yield connection
            finally:
                inside.turn = False

    def counted(kind: type, name: str) -> None:
        method = getattr(kind, name)

        def call(*args: Any, **named: Any) -> Any:
            if getattr(inside, "turn", False) and threading.current_thread().name != "scheduler":
                steps.append(name)
            return method(*args, **named)

        monkeypatch.setattr(kind, name, call)

    monkeypatch.setattr(Database, "write", write)
    counted(Connection, "execute")
    counted(Prepared, "run_all")
    counted(Prepared, "rows")
    taken = []
    for count in (3, 50):
        send(ann, "demo/scene.blend", b"scene")
        steps.clear()
        submit_many(farm, ann, count, needed=2)
        taken.append(len(steps))
    assert taken[0] == taken[1]
