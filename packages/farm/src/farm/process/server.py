"""Runs the API and the scheduler in one process, and ends them in the right order."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from farm_protocol import callers
from farm_protocol.announcement import Announcement
from farm_protocol.callers import Acceptor
from farm_protocol.jobs import JobState
from farm_protocol.loops import new_loop
from farm_protocol.sockets import CAN_TELL
from http_gate.accepted import protocols_of
from http_gate.connections import BACKLOG, Limits, protocol
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from farm.db import runners
from farm.db.engine.database import Database
from farm.db.tables import jobs
from farm.engines.port import RUNNER_STOP_SECONDS
from farm.scheduler.loop import Scheduler
from farm.wakeup import Wakeup

logger = logging.getLogger(__name__)

ORPHAN_CHECK_SECONDS = 2.0
"""How often a farm without its Envoy checks whether work is left."""


def listen(host: str, port: int, data_dir: Path) -> socket.socket:
    """Return a listening socket.

    Port 0 means the port of the last run if it is free: runners that survived a crash report to it.
    Raises OSError when a requested port is taken.
    """
    candidates = [port] if port else [_last_port(data_dir), 0]
    for candidate in candidates:
        # Explicit, since asyncio disables Nagle's algorithm only where it knows that this is TCP.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
        except OSError:
            listener.close()
            if candidate == candidates[-1]:
                raise
        else:
            return listener
    raise AssertionError("the last candidate binds or raises")


def _last_port(data_dir: Path) -> int:
    last = Announcement.read(data_dir)
    try:
        return (urlsplit(last.url).port if last else None) or 0
    except ValueError:
        return 0


class FarmServer(uvicorn.Server):
    """A uvicorn server that reports when it is ready and stops the runners before it ends."""

    def __init__(
        self,
        app: ASGIApp,
        database: Database,
        scheduler: Scheduler,
        changes: Wakeup,
        on_ready: Callable[[], None],
        proxies: Sequence[str] = (),
        limits: Limits = Limits(),  # noqa: B008 - frozen
        only_own_user: bool = False,
    ) -> None:
        """Assemble the parts; `run` starts them.

        Parameters:
            limits: limits of connections, and of strangers' requests.
            only_own_user: only programs of this user and of root, on this machine, may connect;
                enforced where the kernel tells who calls.
            proxies: addresses whose ``X-Forwarded-For`` is trusted. From anybody else it would
                bypass the limit of login attempts.
        """
        config = uvicorn.Config(
            app,
            http=protocol(limits),
            ws="none",
            backlog=BACKLOG,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=5,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
        )
        super().__init__(config)
        self._database = database
        self._scheduler = scheduler
        self._changes = changes
        self._on_ready = on_ready
        self._only_own_user = only_own_user and CAN_TELL
        self._acceptor: Acceptor | None = None
        self._loop_thread = threading.Thread(target=self._schedule, name="scheduler")
        self._ending = False

    @property
    def has_lost_database(self) -> bool:
        """Whether it ended because another farm uses its database."""
        return self._scheduler.has_lost_database

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to end, in an event loop that scenes cannot starve."""
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(self.serve(sockets))

    def _schedule(self) -> None:
        self._scheduler.run()
        if self.has_lost_database:
            # At once: jobs and runners belong to the other farm now.
            self._ending = True
            self._changes.close()
            self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open for requests, then start scheduling."""
        await super().startup([] if self._only_own_user else sockets)
        if self._only_own_user and not self.should_exit:
            for each in sockets or []:
                each.listen(callers.BACKLOG)
            self._acceptor = Acceptor(sockets or [], protocols_of(self), _refusal)
        if not self.should_exit:
            self._loop_thread.start()
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, and end when all open requests are answered."""
        if self._acceptor:
            self._acceptor.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ctrl-C or SIGTERM: end in order. A second one ends at once."""
        if self._ending:
            super().handle_exit(sig, frame)
        else:
            self.end()

    def end(self) -> None:
        """End in order, in the background."""
        self._ending = True
        threading.Thread(target=self._end, name="ending").start()

    def _end(self) -> None:
        try:
            # Runners first, while the API still answers: they return their claims.
            self._scheduler.stop()
            self._loop_thread.join()
            self._scheduler.stop_runners()
            until = time.monotonic() + RUNNER_STOP_SECONDS + 2
            while self._scheduler.runners_alive() and time.monotonic() < until:
                time.sleep(0.05)
        except SQLAlchemyError:
            logger.exception("runners are left to end by themselves: the database does not answer")
        finally:
            self._changes.close()
            self.should_exit = True

    def watch_parent(self) -> None:
        """Wait until standard input closes (Envoy is gone), then end as soon as no work is left."""
        # Read from the descriptor: at interpreter exit a reader inside sys.stdin's lock aborts.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        logger.info("Envoy has gone; the farm ends when nothing is left to do")
        while not self._ending:
            if not self._has_work():
                self.end()
                return
            time.sleep(ORPHAN_CHECK_SECONDS)

    def _has_work(self) -> bool:
        unfinished = [JobState.READY.value, JobState.RUNNING.value, JobState.STOPPING.value]
        with self._database.read() as connection:
            waiting = connection.execute(
                select(jobs.c.id).where(jobs.c.state.in_(unfinished)).limit(1)
            ).first()
            return waiting is not None or bool(runners.live_runners(connection))


def _refusal(uid: int | None) -> str:
    if uid is None:
        return "The farm could not find out who is calling, and answers only its own user."
    return (
        "This farm is part of another user's Envoy and answers nobody else (you are user"
        f" {uid}). Start an Envoy of your own: envoy up"
    )


def quiet_signals() -> None:
    """Ignore SIGHUP: Envoy's terminal may close, but the render continues."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
