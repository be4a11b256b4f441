"""Sends notices by email: a thread that reads the outbox, so that nothing ever waits for SMTP.

A notice is stored in the transaction of its event, so none is lost and none is wrong. It is marked
after the server has accepted it: when the farm dies in between, it is sent again.
"""

import logging
import smtplib
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime

from farm_protocol.backoff import BackOff
from farm_protocol.text import escaped

from farm.db import notices
from farm.db.engine.database import Database
from farm.db.notices import Notice
from farm.wakeup import Wakeup

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""Between two regular checks of the outbox."""
CONNECT_SECONDS = 30.0
MOST_AGE = timedelta(days=2)
"""A notice that could not be sent for so long is dropped: it is no longer news."""
BURST_SECONDS = 0.2
"""Notices come in bursts: pause this long after each check."""
_BATCH = 50
_PAUSES = BackOff(10.0, 900.0)


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server. ``security``: "none", "starttls" or "tls"; ``user`` "": no signing in."""

    host: str
    port: int = 25
    security: str = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = "farm@localhost"


class Mailer:
    """Sends what is in the outbox.

    Parameters:
        smtp: None: nothing is sent. Once there is a server, the outbox is sent, unless it is too
            old.
        news: notified whenever something has happened on the farm.
    """

    def __init__(
        self,
        database: Database,
        smtp: Smtp | None,
        news: Wakeup,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._smtp = smtp
        self._news = news
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mail", daemon=True)

    def start(self) -> None:
        """Start sending in a separate thread; without a mail server, only log that."""
        if self._smtp is None:
            logger.info("no FARM_SMTP_HOST: users are not told by email")
        else:
            self._thread.start()

    def stop(self) -> None:
        """End after the message that is being sent; the others go out after the next start."""
        self._stopping.set()
        self._news.notify()
        if self._smtp is not None:
            self._thread.join(CONNECT_SECONDS)

    def _run(self) -> None:
        assert self._smtp is not None
        while not self._stopping.is_set():
            seen = self._news.count
            try:
                self._send_due(self._smtp)
            except Exception:
                logger.exception("the outbox cannot be read; trying again")
            self._news.wait(seen, LOOK_SECONDS)
            self._stopping.wait(BURST_SECONDS)

    def _send_due(self, smtp: Smtp) -> None:
        now = self._clock()
        with self._database.read() as connection:
            due = list(notices.due(connection, now, _BATCH))
        for notice in [each for each in due if now - each.created_at > MOST_AGE]:
            self._settle(notice, "too old")
            due.remove(notice)
        if not due:
            return
        try:
            with _connect(smtp) as server:
                while due and not self._stopping.is_set():
                    self._send(server, smtp.sender, due[0])
                    due.pop(0)
        except (OSError, smtplib.SMTPException) as error:
            self._postpone(due, str(error) or type(error).__name__)

    def _send(self, server: smtplib.SMTP, sender: str, notice: Notice) -> None:
        """Send one; its errors must not block the others.

        Raises:
            OSError, smtplib.SMTPServerDisconnected: the server is gone, for all of them.
        """
        try:
            server.send_message(_message(sender, notice))
        except smtplib.SMTPRecipientsRefused as error:
            self._refused(notice, *next(iter(error.recipients.values())))
        except smtplib.SMTPSenderRefused as error:
            # Not this notice is wrong, but the farm's own address, which can be fixed.
            self._postpone([notice], _reason(error.smtp_code, error.smtp_error))
        except smtplib.SMTPResponseException as error:
            self._refused(notice, error.smtp_code, error.smtp_error)
        except (smtplib.SMTPNotSupportedError, ValueError, LookupError, AttributeError) as error:
            # An address or a text that cannot form a message, or that this server refuses.
            self._settle(notice, f"{type(error).__name__}: {error}")
        else:
            self._settle(notice)

    def _refused(self, notice: Notice, code: int, reply: bytes | str) -> None:
        reason = _reason(code, reply)
        if code < 500:
            self._postpone([notice], reason)
        else:
            self._settle(notice, reason)

    def _settle(self, notice: Notice, error: str = "") -> None:
        if error:
            logger.warning("notice %d to %s is given up: %s", notice.id, notice.email, error)
        with self._database.write() as connection:
            notices.settled(connection, notice.id, self._clock(), error)

    def _postpone(self, due: Sequence[Notice], error: str) -> None:
        now = self._clock()
        for notice in due:
            pause = timedelta(seconds=_PAUSES.after(notice.attempts + 1))
            with self._database.write() as connection:
                notices.postponed(connection, notice.id, now + pause, error)
        logger.warning("%d notices cannot be sent now: %s", len(due), error)


def _reason(code: int, reply: bytes | str) -> str:
    return f"{code} {reply.decode(errors='replace') if isinstance(reply, bytes) else reply}"


def _message(sender: str, notice: Notice) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = notice.email
    # A header has one line, whatever the job's name.
    message["Subject"] = escaped(" ".join(notice.subject.split()))
    message["Date"] = format_datetime(notice.created_at)
    message["Message-ID"] = f"<notice-{notice.id}@{sender.rpartition('@')[2]}>"
    message.set_content(escaped(notice.text, lines=True))
    return message


def _connect(smtp: Smtp) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if smtp.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            smtp.host, smtp.port, timeout=CONNECT_SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(smtp.host, smtp.port, timeout=CONNECT_SECONDS)
    if smtp.security == "starttls":
        server.starttls(context=context)
    if smtp.user:
        server.login(smtp.user, smtp.password)
    return server
