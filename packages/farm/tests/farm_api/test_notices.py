"""Who is told by email that a submission is over, by a real SMTP server on loopback."""

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from farm.db import notices
from farm.notices.mail import Mailer, Smtp
from farm.wakeup import Wakeup
from messages import says
from waiting import until

from .conftest import Farm, send, spec
from .runners import FakeRunner, jobs_of, wait_for


class Inbox:
    """A mail server's handler that accepts everything."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


class Mail:
    """The farm's mailer and where its messages arrive."""

    def __init__(self, farm: Farm, port: int, inbox: Inbox) -> None:
        self.farm, self.inbox, self.news = farm, inbox, Wakeup()
        self.mailer = Mailer(farm.database, Smtp("127.0.0.1", port), self.news)
        self.mailer.start()

    def told(self) -> list[tuple[str, str]]:
        """Return the subject and text of what has been sent, once all has been."""
        with self.farm.database.write() as connection:
            account = connection.exec_driver_sql("SELECT id FROM accounts").scalar_one()
            notices.add(connection, account, "the last", "", datetime.now(UTC))
        self.news.notify()
        until(lambda: any(each["Subject"] == "the last" for each in self.inbox.messages))
        sent = [each for each in self.inbox.messages if each["Subject"] != "the last"]
        return [(each["Subject"], each.get_content().replace("\r\n", "\n")) for each in sent]


@pytest.fixture
def mail(farm: Farm) -> Iterator[Mail]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    inbox = Inbox()
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    mail = Mail(farm, port, inbox)
    yield mail
    mail.mailer.stop()
    server.stop()


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def submit(ann: httpx.Client, *needs: list[str]) -> None:
    """Submit jobs of one frame, called 0, 1 and so on, each with those that it needs."""
    body = spec(params={"frames": "1"}, instances=1)
    first = body["jobs"][0]
    body["jobs"] = [
        first
        | {"id": f"{number}", "name": f"{number}", "dependencies": each}
        | {"params": {"frames": "1", "output_prefix": f"{number}_"}}
        for number, each in enumerate(needs)
    ]
    ann.post("/v1/submissions", json=body).raise_for_status()


def stopped(farm: Farm, ann: httpx.Client, name: str) -> None:
    ann.post(f"/v1/jobs/{jobs_of(ann)[name]['id']}/stop").raise_for_status()
    farm.engine.end_all()
    farm.wakeup.notify()
    wait_for(ann, lambda _: jobs_of(ann)[name]["state"] == "stopped")


def test_who_submits_is_told_when_all_of_it_is_done(
    farm: Farm, ann: httpx.Client, mail: Mail
) -> None:
    submit(ann, [], ["0"])
    for number in (1, 2):
        runner = FakeRunner(farm, number)
        runner.claim()
        runner.done(1)
        runner.finish()
        assert runner.claim() == []
    ((subject, text),) = mail.told()
    assert "'demo'" in subject
    assert not says(subject, "ended-but-not-all-done")
    assert text.startswith("demo, submission 1:\n0: completed, 1 of 1 ")


def test_a_failure_is_told_with_its_reason(farm: Farm, ann: httpx.Client, mail: Mail) -> None:
    submit(ann, [], ["0"])
    runner = FakeRunner(farm)
    runner.claim()
    runner.finish("failed", message="No camera.", permanent=True)
    ((subject, text),) = mail.told()
    assert says(subject, "ended-but-not-all-done")
    assert "'demo'" in subject
    assert re.search(r"^0: failed, 0 of 1 .* \d\.\d\d .* No camera\.$", text, re.M)
    assert "1: blocked, " in text


def test_what_was_done_is_told_though_the_rest_was_stopped(
    farm: Farm, ann: httpx.Client, mail: Mail
) -> None:
    submit(ann, [], [])
    runner = FakeRunner(farm)
    done = runner.http.get("/v1/runner/job").raise_for_status().json()["name"]
    runner.claim()
    runner.done(1)
    runner.finish()
    stopped(farm, ann, {"0": "1", "1": "0"}[done])
    ((subject, _),) = mail.told()
    assert says(subject, "ended-but-not-all-done")
    assert "'demo'" in subject


def test_who_stops_all_of_it_is_told_nothing(farm: Farm, ann: httpx.Client, mail: Mail) -> None:
    submit(ann, [], ["0"])
    stopped(farm, ann, "0")
    assert jobs_of(ann)["1"]["state"] == "blocked"
    assert mail.told() == []
