"""kill -9 of the farm at each commit of a day on which everything happens.

Machines fail, runners fall silent and end their claims in the call for the next one; users stop,
suspend, resume and retry; a budget is used up, an account is empty and topped up; an administrator
changes a plan and a user; and of all that users are told by email.
"""

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from farm.db import ledger, metering, notices
from farm.db.opening import open_database
from farm.db.tables import accounts, claims, frames, jobs, ledger_entries
from farm.db.tables import notices as notices_table
from farm_protocol.users import Role
from messages import saying, says
from sqlalchemy import func, select
from waiting import until

from tools.temporary_postgres import TemporaryPostgres

from .house import Farms, House, Reader, Runner, add_user, killed_at_every_commit

SILENCE_SECONDS = 1.0
FRAMES = {"plain": 2, "unlucky": 3, "silent": 2, "acted": 4, "poor": 4}
TOP_UP = 500
"""Credits, of which a second of rendering costs one: however busy this machine is, it lasts."""

# The day has more than a hundred commits; the long test goes through all of them.
SAMPLE = [("after", 45), ("before", 90)]


class Inbox:
    """A mail server's handler."""

    def __init__(self) -> None:
        self.subjects: Counter[str] = Counter()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.subjects[message_from_bytes(envelope.content)["Subject"]] += 1
        return "250 OK"


class Day:
    """What the runners of one day share."""

    def __init__(self) -> None:
        self.gates = {"acted": threading.Event(), "poor": threading.Event()}
        """Until then their runners wait after the first frame."""
        self.delivered = dict.fromkeys(FRAMES, False)
        self.was_silent = False
        self.was_refused = False


class Hand(Runner):
    """Ends each claim in the call for the next one, and does what its job's name asks for."""

    def __init__(self, day: Day, house: House, order: Path) -> None:
        super().__init__(house, order)
        self._day = day

    def run(self) -> None:
        answer = self.house.call(self.token, "GET", "/v1/runner/job")
        if answer.is_success:
            self._claim_after_claim(answer.json()["name"])
        self.order.unlink(missing_ok=True)

    def _claim_after_claim(self, name: str) -> None:
        host = "bad" if name == "unlucky" and not self._day.was_refused else "good"
        ended = None
        while True:
            answer = self.post("claims", {"host": host, "ended": ended})
            if answer.status_code == 401:
                return
            claim = answer.raise_for_status().json()
            if claim["claim_id"] is None:
                self._day.was_refused |= says(claim["reason"], "another-machine-continues-job")
                return
            finish = self._render(name, host, claim)
            ended = finish and {"claim_id": claim["claim_id"], "finish": finish}

    def _render(self, name: str, host: str, claim: dict[str, Any]) -> dict[str, Any] | None:
        """Return how it ended; None: the claim was lost."""
        address = f"claims/{claim['claim_id']}"
        if name == "silent" and not self._day.was_silent:
            self._day.was_silent = True
            # Like a process that hangs: it is killed, and hears nothing. A farm that died before it
            # could record what it had started does not kill it.
            while self.order.exists() and not self.house.is_ending:
                time.sleep(0.02)
            return None
        for frame in claim["frames"]:
            command = self._beat(address, frame)
            if name in self._day.gates and self._day.delivered[name]:
                self._day.gates[name].wait()
                command = self._beat(address, frame)
            if not command:
                return None
            if command == "stop":
                return {"outcome": "stopped"}
            if host == "bad":
                return {"outcome": "failed", "message": "The driver crashed.", "exit_code": 139}
            if not self.deliver(address, frame, name):
                return None
            self._day.delivered[name] = True
            if command == "yield":
                return {"outcome": "stopped"}
        return {"outcome": "completed"}

    def _beat(self, address: str, frame: int) -> str:
        """Return what the farm wants; "": the claim is lost."""
        answer = self.post(f"{address}/heartbeat", {"frame": frame})
        if answer.status_code in (401, 410):
            return ""
        command: str = answer.raise_for_status().json()["command"]
        return command


class User:
    """Somebody with an access key."""

    def __init__(self, house: House, key: str) -> None:
        self._house, self.key = house, key

    def call(self, method: str, path: str, **values: Any) -> Any:
        """Ask; a call that got no answer is repeated, and must then do no harm."""
        answer = self._house.call(self.key, method, path, **values)
        assert answer.is_success, answer.text
        return answer.json()

    def give(self, email: str, credits: str) -> None:
        """Top an account up; whoever gets no answer looks into the history before the next try."""
        path = f"/v1/users/{email}/credits"
        move = {"credits": credits, "reason": "top-up"}
        while "top-up" not in str(self.call("GET", path)):
            with contextlib.suppress(httpx.TransportError):
                self._house.call(self.key, "POST", path, once=True, json=move)

    def submit(self, number: int, *jobs: dict[str, Any]) -> str:
        """Submit jobs and return the submission's id."""
        scene = self._house.send(self.key, "demo/scene.blend", b"BLENDER-v405", "/v1/blobs")
        self._house.call(
            self.key, "PUT", "/v1/projects/demo/files", json={"files": [scene]}
        ).raise_for_status()
        usual = {"app": "blender", "operation": "render", "path": "demo/scene.blend"}
        spec = {
            "id": str(number) * 32,
            "project": "demo",
            "name": f"s{number}",
            "output_folder": "demo/render_results/out",
            "jobs": [
                usual
                | {"id": job["name"], "instances": 1}
                | {
                    "params": {
                        "frames": f"1 {FRAMES[job['name']]}",
                        "output_prefix": f"{job['name']}_",
                    }
                }
                | job
                for job in jobs
            ],
        }
        self.call("POST", "/v1/submissions", json=spec)
        return str(spec["id"])

    def wait(self, name: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Wait, on the feed, until a job is as wanted."""
        cursor = 0
        while True:
            (job,) = [each for each in self.call("GET", "/v1/jobs")["jobs"] if each["name"] == name]
            if wanted(job):
                return
            query = {"after": cursor, "wait": 1}
            cursor = self.call("GET", "/v1/changes", params=query)["cursor"]


@contextlib.contextmanager
def mail_server(inbox: Inbox) -> Iterator[dict[str, Any]]:
    """Yield the farm's settings for it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    yield {"smtp_host": "127.0.0.1", "smtp_port": port}
    server.stop()


def has_outputs(reader: Reader, count: int) -> bool:
    return len(reader.outputs) >= count


def run_day(farms: Farms, folder: Path, url: str | None, when: str, number: int) -> int:
    """Live through it, with a death at one commit, and check all; return how often it died."""
    inbox, day = Inbox(), Day()
    with (
        mail_server(inbox) as mail,
        House(
            farms,
            folder,
            url,
            when,
            number,
            partial(Hand, day),
            settings=mail,
            silence=SILENCE_SECONDS,
        ) as house,
    ):
        house.call("nobody", "GET", "/v1/health")
        root = User(house, add_user(folder, url, "root", "1", Role.ADMIN))
        ann = User(house, add_user(folder, url, "ann"))
        bob = User(house, add_user(folder, url, "bob", "0.000001"))
        readers = [Reader(house, user.key) for user in (ann, bob)]
        ann.submit(
            1,
            {"name": "plain", "budget": {"value": 0.000001, "action": "ALERT"}},
            {"name": "unlucky", "dependencies": ["plain"]},
            {"name": "silent", "dependencies": ["unlucky"]},
        )
        act(ann, day)
        be_poor(root, bob, day)
        for user, names in ((ann, ("plain", "unlucky", "silent", "acted")), (bob, ("poor",))):
            for name in names:
                user.wait(name, lambda job: job["state"] == "completed")
        for reader, count in zip(readers, (11, 4), strict=True):
            reader.follow(partial(has_outputs, reader, count))
            assert set(reader.outputs.values()) == {1}, "an output was told twice"
        all_mails_sent(folder, url)
    assert not house.mishap
    assert day.was_silent
    assert day.was_refused
    check_mails(folder, url, inbox, house.deaths)
    check(folder, url)
    return house.deaths


def act(ann: User, day: Day) -> None:
    """Suspend, resume, stop and retry a job while it is rendered."""
    submission = ann.submit(2, {"name": "acted"})
    ann.wait("acted", lambda job: job["frames_done"] >= 1)
    ann.call("POST", f"/v1/submissions/{submission}/suspend")
    day.gates["acted"].set()
    ann.wait("acted", lambda job: job["state"] == "suspended" and not job["frames_running"])
    ann.call("POST", f"/v1/submissions/{submission}/resume")
    ann.call("POST", f"/v1/submissions/{submission}/stop")
    ann.wait("acted", lambda job: job["state"] in ("stopped", "completed"))
    ann.call("POST", f"/v1/submissions/{submission}/retry")


def be_poor(root: User, bob: User, day: Day) -> None:
    """Run out of credits, be locked out and let in again with a new plan, and go on."""
    bob.submit(3, {"name": "poor"})
    bob.wait("poor", lambda job: job["state"] == "suspended")
    day.gates["poor"].set()
    root.call("PATCH", "/v1/users/bob@example.com", json={"active": False})
    limits = {"job_throughput_limit": 1, "max_throughput": 1}
    root.call("PUT", "/v1/plans/Small", json=limits)
    root.call("PATCH", "/v1/users/bob@example.com", json={"active": True, "plan": "Small"})
    root.give("bob@example.com", str(TOP_UP))


def all_mails_sent(folder: Path, url: str | None) -> None:
    """Wait until no notice is left."""

    def is_empty() -> bool:
        with database.read() as connection:
            return not notices.due(connection, datetime.max.replace(tzinfo=UTC), 1)

    database = open_database(folder, url)
    until(is_empty)
    database.close()


def check_mails(folder: Path, url: str | None, inbox: Inbox, deaths: int) -> None:
    """Each notice arrived; one that was on its way when the farm died perhaps twice."""
    database = open_database(folder, url)
    with database.read() as connection:
        written = Counter(connection.execute(select(notices_table.c.subject)).scalars())
    database.close()
    budget = saying("used-up-budget", "plain")
    assert [written[each] for each in written if each == budget] == [1]
    # The others are of submissions that have ended.
    assert sum(written[each] for each in written if each != budget) >= 3
    assert written <= inbox.subjects
    assert inbox.subjects.total() - written.total() <= deaths


def check(folder: Path, url: str | None) -> None:
    """Every frame is done and was charged once, and nothing is left open."""
    database = open_database(folder, url)
    with database.read() as connection:
        states = connection.execute(select(frames.c.state)).scalars().all()
        assert list(states) == ["done"] * sum(FRAMES.values())
        assert ledger.faults(connection) == []
        assert not any(metering.by_job(connection).values())
        kinds = connection.execute(select(ledger_entries.c.kind, ledger_entries.c.reference)).all()
        usage = [each.reference for each in kinds if each.kind == ledger.USAGE]
        assert len(usage) == len(set(usage))
        rendered = [each for each in usage if each.startswith("frame:")]
        assert len(rendered) == sum(FRAMES.values()), "a frame was charged twice, or not at all"
        spent = connection.execute(select(func.sum(jobs.c.credits_micros))).scalar_one()
        consumed = connection.execute(select(func.sum(accounts.c.consumed_micros))).scalar_one()
        assert spent == consumed
        open_claims = select(func.count()).select_from(claims).where(claims.c.ended_at.is_(None))
        assert connection.execute(open_claims).scalar_one() == 0
        bob = connection.execute(
            select(accounts.c.balance_micros + accounts.c.consumed_micros).where(
                accounts.c.email == "bob@example.com"
            )
        ).scalar_one()
        assert bob == TOP_UP * 1_000_000 + 1, "a top-up was lost, or made twice"
    database.close()


@pytest.mark.parametrize(("when", "number"), SAMPLE)
def test_the_farm_is_killed_on_a_hard_day(
    tmp_path: Path, farms: Farms, empty_url: str | None, when: str, number: int
) -> None:
    assert run_day(farms, tmp_path, empty_url, when, number) == 1


@pytest.mark.long
@pytest.mark.timeout(10_800)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_farm_is_killed_at_every_commit_of_a_hard_day(
    tmp_path: Path, farms: Farms, server: TemporaryPostgres | None, when: str
) -> None:
    def run(folder: Path, url: str | None, number: int) -> int:
        return run_day(farms, folder, url, when, number)

    commits = killed_at_every_commit(run, tmp_path, server)
    assert commits >= max(point for _, point in SAMPLE)
