"""The outbox, against a real SMTP server on loopback."""

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session
from farm.accounts.users import create
from farm.db import accounts, notices
from farm.db.engine.database import Database
from farm.notices.mail import MOST_AGE, Mailer, Smtp
from farm.wakeup import Wakeup
from farm_protocol.users import NewUser
from waiting import until

Open = Callable[[], Database]


class Inbox:
    """A mail server's handler. ``answers``: what it says next, instead of accepting."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.answers: list[str] = []
        self.refused = ""
        self.sender_refused = ""

    async def handle_MAIL(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.sender_refused:
            return self.sender_refused
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        if self.refused:
            answer, self.refused = self.refused, ""
            return answer
        assert isinstance(envelope.content, bytes)
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def smtp_server(inbox: Inbox, port: int) -> Iterator[Controller]:
    # As many servers still are: addresses are ASCII.
    controller = Controller(inbox, hostname="127.0.0.1", port=port, enable_SMTPUTF8=False)
    yield controller
    if controller.server is not None:
        controller.stop()


class Clock:
    """The farm's clock, in the hands of a test."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Post:
    """A database with one user, and the mailer on it."""

    def __init__(self, database: Database, smtp: Smtp | None) -> None:
        self.database = database
        self.account = create(self.database, NewUser(email="ann@example.com")).id
        self.clock = Clock()
        self.news = Wakeup()
        self.mailer = Mailer(self.database, smtp, self.news, self.clock)
        self.mailer.start()

    def tell(self, subject: str, text: str = "It is done.\n") -> None:
        with self.database.write() as connection:
            notices.add(connection, self.account, subject, text, self.clock())
        self.news.notify()

    def left(self) -> list[notices.Notice]:
        with self.database.read() as connection:
            return list(notices.due(connection, datetime.max.replace(tzinfo=UTC), 100))

    def close(self) -> None:
        self.mailer.stop()


@pytest.fixture
def post(open_again: Open, port: int) -> Iterator[Post]:
    post = Post(open_again(), Smtp("127.0.0.1", port, sender="farm@example.com"))
    yield post
    post.close()


def test_a_notice_arrives_once(post: Post, smtp_server: Controller, inbox: Inbox) -> None:
    smtp_server.start()
    post.tell("'größe' is\r\nBcc: eve@example.com done", "beauty: 24 of 24 frames ☃\n")
    until(lambda: bool(inbox.messages))
    until(lambda: not post.left())
    post.news.notify()
    post.tell("second")
    until(lambda: len(inbox.messages) == 2)
    first = inbox.messages[0]
    assert (first["From"], first["To"]) == ("farm@example.com", "ann@example.com")
    # No line of a job's name becomes a header.
    assert first["Subject"] == "'größe' is Bcc: eve@example.com done"
    assert first["Bcc"] is None
    assert first.get_content().replace("\r\n", "\n") == "beauty: 24 of 24 frames ☃\n"


def test_a_server_that_is_down_is_waited_for(
    post: Post, smtp_server: Controller, inbox: Inbox
) -> None:
    post.tell("early")
    until(lambda: any(notice.attempts for notice in post.left()))
    smtp_server.start()
    post.clock.now += timedelta(minutes=1)
    post.news.notify()
    until(lambda: bool(inbox.messages))
    until(lambda: not post.left())


def test_a_refused_user_does_not_hold_up_others(
    post: Post, smtp_server: Controller, inbox: Inbox
) -> None:
    inbox.answers = ["550 no such user", "450 later"]
    for subject in ("refused", "later", "fine"):
        post.tell(subject)
    smtp_server.start()
    post.clock.now += timedelta(minutes=1)
    post.news.notify()
    until(lambda: len(inbox.messages) == 1)
    assert inbox.messages[0]["Subject"] == "fine"
    until(lambda: [notice.subject for notice in post.left()] == ["later"])
    post.clock.now += timedelta(minutes=1)
    post.news.notify()
    until(lambda: len(inbox.messages) == 2)


def test_a_message_that_is_refused_does_not_hold_up_others(
    post: Post, smtp_server: Controller, inbox: Inbox
) -> None:
    inbox.refused = "554 looks like spam"
    for subject in ("first", "second", "third"):
        post.tell(subject)
    smtp_server.start()
    post.clock.now += timedelta(minutes=1)
    post.news.notify()
    until(lambda: [each["Subject"] for each in inbox.messages] == ["second", "third"])
    until(lambda: not post.left())


def test_a_sender_that_is_refused_costs_no_notice(
    post: Post, smtp_server: Controller, inbox: Inbox
) -> None:
    inbox.sender_refused = "553 no such sender here"
    smtp_server.start()
    for subject in ("first", "second"):
        post.tell(subject)
    until(lambda: [notice.attempts > 0 for notice in post.left()] == [True, True])
    inbox.sender_refused = ""
    post.clock.now += timedelta(minutes=1)
    post.news.notify()
    until(lambda: [each["Subject"] for each in inbox.messages] == ["first", "second"])
    until(lambda: not post.left())


def test_an_address_that_no_server_takes_does_not_hold_up_others(
    post: Post, smtp_server: Controller, inbox: Inbox
) -> None:
    smtp_server.start()
    good = post.account
    with post.database.write() as connection:
        account = accounts.by_id(connection, good)
        # Older farms took such addresses.
        for number, email in enumerate(("größe@example.com", "ann@[")):
            accounts.add(connection, replace(account, id=f"bad{number}", email=email))
    for post.account in ("bad0", "bad1", good):
        post.tell("told")
    until(lambda: len(inbox.messages) == 1)
    until(lambda: not post.left())


def test_old_news_is_given_up(post: Post) -> None:
    post.tell("old")
    until(lambda: any(notice.attempts for notice in post.left()))
    post.clock.now += MOST_AGE + timedelta(minutes=1)
    post.news.notify()
    until(lambda: not post.left())


# A password without encryption is what this one is about.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
def test_signing_in(open_again: Open, inbox: Inbox, port: int) -> None:
    given: list[tuple[bytes, bytes]] = []

    def check(_server: Any, _session: Any, _envelope: Any, _method: Any, data: Any) -> AuthResult:
        given.append((data.login, data.password))
        return AuthResult(success=True)

    server = Controller(
        inbox,
        hostname="127.0.0.1",
        port=port,
        authenticator=check,
        auth_required=True,
        auth_require_tls=False,
    )
    server.start()
    smtp = Smtp("127.0.0.1", port, user="farm", password="pass word")
    assert "pass word" not in repr(smtp)
    post = Post(open_again(), smtp)
    post.tell("signed")
    until(lambda: bool(inbox.messages))
    assert given[0] == (b"farm", b"pass word")
    post.close()
    server.stop()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Return who signs certificates, known to this machine for the length of a test."""
    authority = trustme.CA()
    known = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(known)
    monkeypatch.setenv("SSL_CERT_FILE", str(known))
    return authority


def encrypted(inbox: Inbox, port: int, security: str, authority: trustme.CA) -> Controller:
    """Return a mail server that takes nothing in clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if security == "tls":
        return Controller(inbox, hostname="127.0.0.1", port=port, ssl_context=context)
    return Controller(
        inbox, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True
    )


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_an_encrypted_connection(
    open_again: Open, inbox: Inbox, port: int, security: str, authority: trustme.CA
) -> None:
    server = encrypted(inbox, port, security, authority)
    server.start()
    post = Post(open_again(), Smtp("127.0.0.1", port, security))
    post.tell("secret")
    until(lambda: bool(inbox.messages))
    until(lambda: not post.left())
    post.close()
    server.stop()


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.usefixtures("authority")
def test_a_server_that_nobody_vouches_for_is_told_nothing(
    open_again: Open, inbox: Inbox, port: int, security: str
) -> None:
    server = encrypted(inbox, port, security, trustme.CA())
    server.start()
    post = Post(open_again(), Smtp("127.0.0.1", port, security))
    post.tell("secret")
    until(lambda: any(notice.attempts for notice in post.left()))
    assert inbox.messages == []
    post.close()
    server.stop()


def test_who_wants_no_emails_gets_none(post: Post, smtp_server: Controller, inbox: Inbox) -> None:
    smtp_server.start()
    with post.database.write() as connection:
        accounts.change(connection, post.account, email_notices=False)
    post.tell("unwanted")
    with post.database.write() as connection:
        accounts.change(connection, post.account, email_notices=True)
    post.tell("wanted")
    until(lambda: bool(inbox.messages))
    assert [message["Subject"] for message in inbox.messages] == ["wanted"]


def test_without_a_mail_server_nothing_is_tried(open_again: Open) -> None:
    post = Post(open_again(), None)
    post.tell("nobody hears it")
    assert len(post.left()) == 1
    post.close()
