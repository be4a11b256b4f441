"""kill -9 of the farm at each of its commits: nothing is lost, nothing happens twice."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from farm.accounts.users import create
from farm.db import ledger
from farm.db.opening import open_database
from farm.db.tables import claims, frames, ledger_entries, ledger_postings, runners
from farm.jobs.pricing import to_credits
from farm_protocol.hashing import new_hasher
from farm_protocol.users import NewUser
from sqlalchemy import func, select

from tools.temporary_postgres import TemporaryPostgres

ROOT = Path(__file__).parents[4]
FRAGILE_FARM = Path(__file__).parent / "fragile_farm.py"
PATIENCE_SECONDS = 60.0

# The scenario has some 50 commits; the last of these tests goes through all of them.
SAMPLE = [("before", 1), ("after", 5), ("before", 9), ("after", 14), ("before", 22), ("after", 31)]


class Farms:
    """Starts `fragile_farm.py` farms, one after another."""

    def __init__(self) -> None:
        environment = {key: text for key, text in os.environ.items() if key[:5] != "FARM_"}
        environment["PYTHONPATH"] = str(ROOT)
        self._maker = subprocess.Popen(
            [sys.executable, str(FRAGILE_FARM)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, **order: Any) -> int:
        """Start a farm and return its process id."""
        assert self._maker.stdin is not None
        print(json.dumps(order), file=self._maker.stdin, flush=True)
        return self._number()

    def wait(self) -> int:
        """Return the exit code of the farm that was started last."""
        return self._number()

    def _number(self) -> int:
        assert self._maker.stdout is not None
        return int(self._maker.stdout.readline())

    def close(self) -> None:
        """The last farm has ended."""
        self._maker.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def farms() -> Iterator[Farms]:
    farms = Farms()
    yield farms
    farms.close()


class House:
    """A farm that is started again whenever it dies, its runners, and a reader of its feed."""

    def __init__(self, farms: Farms, folder: Path, url: str | None, when: str, number: int) -> None:
        self.folder = folder
        self.deaths = 0
        self.mishap = ""
        self._farms = farms
        self._order = {"data_dir": str(folder), "database_url": url, "number": number}
        self._when = when
        self._enough = threading.Event()
        self._ending = threading.Event()
        self._running = threading.Event()
        self._pid = 0
        self._keeper = threading.Thread(target=self._keep)
        self._foreman = threading.Thread(target=self._hire)
        self._crew: list[Runner] = []

    def __enter__(self) -> "House":
        self._keeper.start()
        self._foreman.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Runners first: what they still have to say may be the commit at which the farm dies.
        self._enough.set()
        self._foreman.join(PATIENCE_SECONDS)
        self._ending.set()
        told = 0
        while self._keeper.is_alive():
            # Each farm once: a second signal would not let it end in order.
            if self._running.is_set() and self._pid != told:
                told = self._pid
                os.kill(told, signal.SIGTERM)
            self._keeper.join(0.2)

    def _keep(self) -> None:
        while True:
            self._pid = self._farms.start(**self._order, when=self._when)
            self._running.set()
            code = self._farms.wait()
            self._running.clear()
            if code != -signal.SIGKILL:
                self.mishap = "" if self._ending.is_set() and code == 0 else f"ended: {code}"
                return
            self.deaths += 1
            self._when = "never"

    def _hire(self) -> None:
        orders = self.folder / "orders"
        hired: set[Path] = set()
        while not self._enough.wait(0.02):
            for order in set(orders.glob("*.json")) - hired:
                hired.add(order)
                self._crew.append(Runner(self, order))
                self._crew[-1].start()
        for runner in self._crew:
            runner.join(PATIENCE_SECONDS)

    def call(self, key: str, method: str, path: str, **values: Any) -> httpx.Response:
        """Ask the farm; while it is away, ask again, as Envoy and runners do."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError, OSError, ValueError):
                address = json.loads((self.folder / "farm.json").read_text())["url"]
                headers = {"Authorization": f"Bearer {key}"}
                return httpx.request(
                    method, address + path, headers=headers, timeout=40, trust_env=False, **values
                )
            assert not self.mishap, self.mishap
            assert time.monotonic() < until, f"the farm does not answer {method} {path}"
            time.sleep(0.02)

    def send(self, key: str, path: str, data: bytes, where: str) -> dict[str, Any]:
        """Send a blob and return what names it; {} when the farm refuses it."""
        hasher = new_hasher()
        hasher.update(data)
        entry = {"path": path, "hash": hasher.hexdigest(), "size": len(data)}
        answer = self.call(key, "PUT", f"{where}/{entry['hash']}", content=data)
        return entry if answer.is_success else {}


class Runner(threading.Thread):
    """Speaks `farm_protocol.runner`, renders nothing, and outlives the farm like a real one."""

    def __init__(self, house: House, order: Path) -> None:
        super().__init__()
        self._house = house
        self._order = order
        self._token: str = json.loads(order.read_text())["token"]

    def run(self) -> None:
        while self._work():
            pass
        self._order.unlink(missing_ok=True)

    def _work(self) -> bool:
        claim = self._post("claims", {})
        if claim.status_code == 401 or claim.json()["claim_id"] is None:
            return False
        address = f"claims/{claim.json()['claim_id']}"
        steps = [(f"{address}/heartbeat", {"frame": None})]
        steps += [(f"{address}/log", {"offset": 0, "text": "Rendering.\n"})]
        for path, body in steps:
            if self._post(path, body).status_code in (401, 410):
                return True
        for frame in claim.json()["frames"]:
            path = f"demo/render_results/out/frame_{frame:04d}.png"
            file = self._house.send(self._token, path, b"frame %d" % frame, "/v1/runner/blobs")
            if not file:
                return True  # Its token is worth nothing any more; so the next claim will say.
            report = {"frame": frame, "seconds": 0.001, "outputs": [file]}
            answer = self._post(f"{address}/frames", report)
            if answer.status_code in (401, 410):
                return True
            answer.raise_for_status()
        self._post(f"{address}/finish", {"outcome": "completed"})
        return True

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self._house.call(self._token, "POST", f"/v1/runner/{path}", json=body)


class Reader:
    """Follows the feed as Envoy does, cursor in hand."""

    def __init__(self, house: House, key: str) -> None:
        self._house = house
        self._key = key
        self._cursor = 0
        self.outputs: Counter[str] = Counter()
        self.states: dict[str, str] = {}

    def follow(self, enough: Callable[[], bool]) -> None:
        """Read on until it is enough."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not enough():
            assert time.monotonic() < until, f"the feed told only {self.states} {self.outputs}"
            query = {"after": self._cursor, "wait": 1}
            found = self._house.call(self._key, "GET", "/v1/changes", params=query).json()
            self._cursor = found["cursor"]
            self.outputs.update(output["path"] for output in found["outputs"])
            self.states.update((job["id"], job["state"]) for job in found["jobs"])


def submission() -> dict[str, Any]:
    """Two jobs, the second of which needs the first."""
    job = {"id": "a", "name": "a", "app": "blender", "operation": "render", "instances": 2}
    job |= {"path": "demo/scene.blend", "params": {"frames": "1 4"}}
    second = {"id": "b", "name": "b", "params": {"frames": "5 6"}, "dependencies": ["a"]}
    return {
        "id": "5" * 32,
        "project": "demo",
        "name": "s",
        "output_folder": "demo/render_results/out",
        "jobs": [job, job | second],
    }


def run_scenario(farms: Farms, folder: Path, url: str | None, when: str, number: int) -> int:
    """Do everything once, with a death at one commit, and check all; return how many died."""
    with House(farms, folder, url, when, number) as house:
        house.call("nobody", "GET", "/v1/health")
        key = add_user(folder, url)
        scene = house.send(key, "demo/scene.blend", b"BLENDER-v405", "/v1/blobs")
        manifest = {"files": [scene]}
        house.call(key, "PUT", "/v1/projects/demo/files", json=manifest).raise_for_status()
        house.call(key, "POST", "/v1/submissions", json=submission()).raise_for_status()
        reader = Reader(house, key)
        wanted = {f"demo/render_results/out/frame_{frame:04d}.png" for frame in range(1, 7)}
        reader.follow(
            lambda: (
                set(reader.outputs) == wanted
                and list(reader.states.values()) == ["completed", "completed"]
            )
        )
        assert set(reader.outputs.values()) == {1}, "an output was told twice"
        jobs = house.call(key, "GET", "/v1/jobs").json()["jobs"]
        info = house.call(key, "GET", "/v1/me").json()
        fresh = Reader(house, key)
        fresh.follow(lambda: len(fresh.outputs) >= 6)
        assert fresh.outputs == reader.outputs
    assert not house.mishap
    for job in jobs:
        assert (job["state"], job["sentence"]) == ("completed", "")
        assert job["frames_done"] == job["frames_total"]
        assert (job["frames_failed"], job["frames_running"]) == (0, 0)
    assert sorted(job["frames_total"] for job in jobs) == [2, 4]
    consumed = sum(job["credits"] for job in jobs)
    assert info["credits_consumed"] == pytest.approx(consumed)
    assert info["credits_available"] == pytest.approx(100 - consumed)
    check_tables(folder, url, consumed)
    return house.deaths


def add_user(folder: Path, url: str | None) -> str:
    """Do what ``farm users add`` does, beside the running farm."""
    database = open_database(folder, url)
    created = create(database, NewUser(email="ann@example.com", credits=Decimal(100)))
    database.close()
    return created.access_key


def check_tables(folder: Path, url: str | None, consumed: float) -> None:
    """Each frame is done and was charged once, and nothing is left open."""
    database = open_database(folder, url)
    with database.read() as connection:
        states = connection.execute(select(frames.c.state)).scalars().all()
        assert list(states) == ["done"] * 6
        charges = connection.execute(
            select(ledger_entries.c.reference, ledger_postings.c.amount_micros)
            .join(ledger_postings)
            .where(ledger_entries.c.kind == "usage", ledger_postings.c.account_id.is_not(None))
        ).all()
        parts = [each.reference.split(":") for each in charges]
        assert sorted(part[2] for part in parts if part[0] == "frame") == list("123456")
        charged = to_credits(-sum(each.amount_micros for each in charges))
        assert float(charged) == pytest.approx(consumed)
        assert ledger.faults(connection) == []
        left = [
            connection.execute(
                select(func.count()).select_from(table).where(table.c.ended_at.is_(None))
            ).scalar_one()
            for table in (claims, runners)
        ]
        assert left[0] == 0, "a claim is still open"
    database.close()


@pytest.mark.parametrize(("when", "number"), SAMPLE)
def test_the_farm_is_killed(
    tmp_path: Path, farms: Farms, empty_url: str | None, when: str, number: int
) -> None:
    assert run_scenario(farms, tmp_path, empty_url, when, number) == 1


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_farm_is_killed_at_every_commit(
    tmp_path: Path, farms: Farms, server: TemporaryPostgres | None, when: str
) -> None:
    for number in itertools.count(1):
        with server.database() if server else contextlib.nullcontext("") as name:
            folder = tmp_path / str(number)
            url = server.url(name) if server else None
            if run_scenario(farms, folder, url, when, number) == 0:
                break  # There is no such commit: it has been killed at all of them.
    assert number > max(point for _, point in SAMPLE)
