"""The composition root: what Envoy is made of, from top to bottom.

The only module that names concrete parts. `serve` is one Envoy from start to stop; `running` is
the same without signals, for tests and for embedding.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

import uvicorn
from farm_protocol.callers import Acceptor
from farm_protocol.private import (
    FILE_MODE,
    Contents,
    make_folder,
    open_private,
    read_regular,
    reason,
)
from farm_protocol.sockets import CAN_TELL
from farm_protocol.text import EscapingFormatter
from filelock import FileLock, Timeout
from http_gate.accepted import protocols_of
from http_gate.connections import BACKLOG, Limits, protocol
from http_gate.descriptors import connections_within, raise_limit
from starlette.types import ASGIApp

from envoy.config import Settings
from envoy.errors import StartError
from envoy.farm.account import Account
from envoy.farm.client import FarmClient
from envoy.farm.devices import Devices
from envoy.farm.embedded import EmbeddedFarm
from envoy.gather.gatherer import Gatherer
from envoy.gather.tracer import Tracer
from envoy.journal import Journal
from envoy.process import token_file
from envoy.process.ending import Ending, on_signals
from envoy.process.listening import Listener, listen
from envoy.process.threads import in_thread
from envoy.process.waiting import WaitingRoom
from envoy.submissions.projects import Projects
from envoy.upload.hash_cache import HashCache
from envoy.upload.transfer import Transfer
from envoy.upload.worker import Uploader
from envoy.views.jobs import Jobs
from envoy.views.projects import ProjectLists
from envoy.views.status import Status
from envoy.watch.download import Downloader
from envoy.watch.follow import Follower
from envoy.web.app import build_app
from envoy.web.services import Services

CONNECTIONS = 500
"""Limit of concurrent connections. Scripts and plug-ins need a handful."""

DATA = Contents(
    marks=("envoy.lock", "journal.sqlite3"),
    files=(
        *("account.json", "devices.json", "token", "envoy.json", "journal.sqlite3-*"),
        *(".account.json.new", ".devices.json.new", ".token.new"),
    ),
    folders=("farm", "logs", "scene-maps"),
)
LOGS = Contents(marks=("envoy.log", "farm.log"), files=("envoy.log.*", "farm.log.*"))

GRACE_SECONDS = 2
"""How long running requests may take to end when Envoy stops."""


@asynccontextmanager
async def running(
    settings: Settings, listener: Listener, farm_command: Sequence[str] | None = None
) -> AsyncIterator[asyncio.Event]:
    """Run an Envoy; yields an event that is set when somebody asks it to stop.

    Parameters:
        settings: of an Envoy whose data folder is `owned`.
        listener: from `listening.listen`.
        farm_command: how to start the embedded farm; None: as usual.

    Raises:
        TokenFileError: Envoy is to be strict, and its token cannot be used.
    """
    token = token_file.kept(settings.token_path) if settings.strict else None
    stop = asyncio.Event()
    waiting = WaitingRoom()
    journal = Journal(settings.journal_path)
    if settings.rehash:
        journal.hashes.forget()
    farm = FarmClient(settings.farm_url)
    embedded = None
    if not settings.farm_url:
        log_path = settings.logs_dir / "farm.log"
        embedded = EmbeddedFarm(settings.embedded_dir, log_path, farm, waiting, farm_command)

    uploader = Uploader(journal, farm, Transfer(farm, HashCache(journal)), waiting)
    downloader = Downloader(journal, farm, waiting)
    follower = Follower(journal, farm, downloader, waiting)

    async def signed_in() -> None:
        # The follower first: it must not query one account with the key of another.
        follower.start()
        try:
            await downloader.reload()
        finally:
            waiting.wake_all()

    devices = Devices(settings.devices_path, farm.identity)
    account = Account(settings.account_path, farm, devices, signed_in)
    gatherer = await _gatherer(settings, journal)
    projects = Projects(journal, farm, account, uploader, gatherer)
    lists = ProjectLists(journal, farm)
    jobs = Jobs(journal, farm, uploader)
    status = Status(journal, uploader, follower, downloader, waiting)
    services = Services(settings, farm, account, projects, lists, jobs, status, stop.set)
    server = _server(build_app(services, listener.port, token))

    account.load()
    if embedded:
        embedded.start()
    await uploader.resume()
    await downloader.start()
    follower.start()
    serving = asyncio.create_task(server.serve(sockets=listener.sockets))
    serving.add_done_callback(lambda _: stop.set())
    try:
        yield stop
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        await follower.stop()
        await downloader.stop()
        await uploader.stop()
        if embedded:
            await embedded.stop()
        await farm.close()
        journal.close()


def _server(app: ASGIApp) -> "_Server":
    limits = Limits(connections=connections_within(raise_limit(), CONNECTIONS))
    return _Server(
        uvicorn.Config(
            app,
            http=protocol(limits),
            backlog=BACKLOG,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


async def _gatherer(settings: Settings, journal: Journal) -> Gatherer:
    folders = [str(each) for each in settings.gather_folders]
    gatherer = Gatherer(Tracer(), settings.gather, folders, settings.maps_dir)
    if not await in_thread(journal.submissions.unfinished):
        await in_thread(gatherer.forget)
    return gatherer


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run one Envoy until Ctrl-C, SIGTERM or ``POST /envoy/stop``.

    Parameters:
        announce: called with the address once it can be used.

    Raises:
        StartError: the port or the data folder is in use, or something in the folder is unusable.
    """
    if settings.strict:
        # Before others' permissions are removed from the folder: a token that they could read is
        # compromised.
        token_file.read(settings.token_path)
    with listen(settings.port) as listener, owned(settings, listener.port):
        _log_to(settings)
        async with running(settings, listener) as stop:
            ending = Ending(stop)
            on_signals(ending.begin)
            announce(f"http://localhost:{listener.port}")
            await stop.wait()
            ending.begin()
    ending.over()


@contextmanager
def owned(settings: Settings, port: int) -> Iterator[None]:
    """Create the data folder, and hold it for this Envoy alone.

    Raises:
        StartError: another Envoy holds it, or it is not writable.
    """
    try:
        make_folder(settings.data_dir, DATA)
        lock = FileLock(settings.lock_path, timeout=0, mode=FILE_MODE)
        lock.acquire()
        with open(settings.running_path, "w", opener=open_private) as file:
            json.dump({"pid": os.getpid(), "port": port}, file)
    except Timeout:
        raise StartError(
            f"The data folder {settings.data_dir} is in use by another Envoy{_who(settings)}."
            " Stop that one first (envoy stop), or choose another folder (envoy up --data-dir)."
        ) from None
    except OSError as error:
        raise _unusable(settings.data_dir, error) from error
    try:
        yield
    finally:
        with suppress(OSError):
            settings.running_path.unlink()
        lock.release()


def _unusable(folder: Path, error: OSError) -> StartError:
    return StartError(
        f"The data folder {folder} cannot be used: {reason(error, folder)}. Fix that, or"
        " choose another folder (envoy up --data-dir)."
    )


def _who(settings: Settings) -> str:
    try:
        running = json.loads(read_regular(settings.running_path))
        return f" (process {int(running['pid'])}, http://localhost:{int(running['port'])})"
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return ""


def _log_to(settings: Settings) -> None:
    try:
        make_folder(settings.logs_dir, LOGS)
        handler = _PrivateLog(
            settings.logs_dir / "envoy.log", maxBytes=5_000_000, backupCount=2, encoding="utf-8"
        )
    except OSError as error:
        raise _unusable(settings.logs_dir, error) from error
    handler.setFormatter(EscapingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class _PrivateLog(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        stream = open(self.baseFilename, self.mode, encoding=self.encoding, opener=open_private)  # noqa: SIM115
        assert isinstance(stream, TextIOWrapper)
        return stream


class _Server(uvicorn.Server):
    """Leaves signals alone: uvicorn would raise them again after a clean stop.

    Where the kernel tells who calls, it has an `Acceptor` of its own.
    """

    _acceptor: Acceptor | None = None

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if not CAN_TELL:
            await super().startup(sockets)
            return
        await super().startup([])
        self._acceptor = Acceptor(sockets or [], protocols_of(self), _refusal)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._acceptor:
            self._acceptor.close()
        await super().shutdown(sockets)


def _refusal(uid: int | None) -> str:
    if uid is None:
        return "Envoy could not find out who is calling, and answers only its own user. Try again."
    return (
        "This Envoy belongs to another user of this machine and answers nobody else (you are user"
        f" {uid}). Start one of your own, on another port: envoy up --port 8091"
    )
