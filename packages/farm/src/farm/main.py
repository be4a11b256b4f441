"""The composition root of the farm: the only file that names concrete parts.

Read it from top to bottom and you know what a farm consists of.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from farm_protocol.announcement import AnnouncedMachines, Announcement, ReadyLine
from farm_protocol.outputs import note, tell
from farm_protocol.proof import Identity
from farm_protocol.runner import report_of
from http_gate.connections import Limits
from http_gate.descriptors import connections_within, raise_limit

from farm.accounts.audit import Audit
from farm.api.app import create_app
from farm.api.context import Context
from farm.api.runner_job import FileLists
from farm.catalogue import Catalogue
from farm.catalogue.definitions import CatalogueError, load_definitions
from farm.catalogue.hardware import local_machines
from farm.catalogue.machines import Machines, with_definitions
from farm.catalogue.products import Installed, listed, merged, product_rows
from farm.config import Settings
from farm.confine import AccountError, UndecidedError, borrowed, probe
from farm.confine.policy import SandboxPolicy, is_reached
from farm.confine.readers import Readers
from farm.confine.removal import remove_tree
from farm.db import accounts, hosts
from farm.db.engine.database import Database
from farm.db.memory import BLOBS
from farm.engines.local import LocalEngine
from farm.engines.port import Engine
from farm.notices.mail import Mailer, Smtp
from farm.process.data_folder import StartError, open_own, owned
from farm.process.server import FarmServer, listen, quiet_signals
from farm.products import Library
from farm.renderers import Discovery
from farm.runner.limits import cgroups
from farm.runner.limits.usage import this_machine_holds
from farm.runner.sandbox.confinement import complaint
from farm.scheduler.loop import Scheduler
from farm.stores.disk import DiskStore
from farm.stores.port import Store
from farm.stores.room import Room
from farm.stores.wrappers import Retrying
from farm.submissions.missing_files import AssetChecks
from farm.version import __version__
from farm.wakeup import Wakeup

logger = logging.getLogger(__name__)

EngineMaker = Callable[[Callable[[], None]], Engine]
"""Creates an engine, given a function to call whenever a runner may have ended."""


@dataclass(frozen=True, slots=True)
class Farm:
    """An assembled farm that does nothing yet.

    Attributes:
        server: the API, with the scheduler in it.
        beside: parts with their own threads while the server runs.
    """

    server: FarmServer
    database: Database
    beside: Sequence[Audit | Mailer]

    def run(self, listener: socket.socket) -> None:
        """Work until the server is told to end, then close everything.

        Raises:
            StartError: another farm has taken the database.
        """
        for each in self.beside:
            each.start()
        self.server.run(sockets=[listener])
        for each in reversed(self.beside):
            each.stop()
        self.database.close()
        if self.server.has_lost_database:
            raise StartError(
                "Another farm has taken the database of FARM_DATABASE_URL while its server was "
                "started again, so this one has ended. Stop the other one, then start this one."
            )


def serve(
    settings: Settings,
    *,
    engine: EngineMaker | None = None,
    catalogue: Catalogue | None = None,
    store: Store | None = None,
) -> None:
    """Run a farm until it is told to end.

    Parameters:
        engine, catalogue, store: as of `assemble`.

    Raises:
        StartError: the data folder or the database is in use or unusable, the port is taken, or
            the studio's catalogue or a setting is wrong.
    """
    with owned(settings.data_dir):
        try:
            listener = listen(settings.host, settings.port, settings.data_dir)
        except OSError as error:
            raise StartError(
                f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
                "Choose another port with --port."
            ) from error
        url = f"http://{settings.host}:{listener.getsockname()[1]}"
        farm = assemble(settings, url, engine=engine, catalogue=catalogue, store=store)
        if settings.embedded:
            quiet_signals()
            threading.Thread(target=farm.server.watch_parent, daemon=True).start()
        farm.run(listener)


def assemble(
    settings: Settings,
    url: str,
    *,
    engine: EngineMaker | None = None,
    catalogue: Catalogue | None = None,
    store: Store | None = None,
) -> Farm:
    """Assemble a farm: read this from top to bottom and you know its parts.

    Parameters:
        settings: of a data folder that this process owns.
        url: where the farm will be reached.
        engine: starts the runners; None: as processes of this machine.
        catalogue: what jobs may request; None: what is found on this machine.
        store: keeps the blobs; None: the data folder.

    Raises:
        StartError: as of `serve`.
    """
    identity = Identity(url, settings.data_dir)
    database = open_own(settings.data_dir, settings.database_url, new_folder=False)
    store = store or Retrying(DiskStore(settings.data_dir / BLOBS))
    room = Room(settings.data_dir, store.folder(), settings.reserve)
    catalogue = catalogue or find_catalogue(settings)
    policy = SandboxPolicy(settings.sandbox, is_reached(settings.host, settings.proxies))
    _complain(database, policy, settings)
    _remember_programs(database, catalogue, settings)
    work, changes = Wakeup(), Wakeup()
    scratch = _empty(settings.data_dir / "scratch")
    scheduler = Scheduler(
        database,
        engine(work.notify) if engine else _local_engine(settings, catalogue, work.notify),
        {machine.id: machine.slots for machine in catalogue.machines},
        work,
        changes,
        farm_url=url,
        disk_is_full=room.is_full,
        disk_left=lambda: room.left,
    )
    app = create_app(
        Context(
            database=database,
            store=store,
            room=room,
            catalogue=catalogue,
            work=work,
            changes=changes,
            expect_work=scheduler.expect_work,
            assets=_asset_checks(settings, database, store, catalogue, changes, scratch, room),
            version=__version__,
            identity=identity,
            unlicensed_seconds=settings.unlicensed_seconds,
            sandbox=policy,
            limits_mode=settings.limits,
            file_lists=FileLists(scratch, room.check_passing),
        )
    )
    server = FarmServer(
        app,
        database,
        scheduler,
        changes,
        on_ready=lambda: _announce(settings, identity, catalogue.machines),
        proxies=settings.proxies,
        limits=_limits(settings),
        only_own_user=settings.embedded and not is_reached(settings.host, settings.proxies),
    )
    return Farm(
        server, database, (Audit(database), Mailer(database, _mail_server(settings), changes))
    )


def _asset_checks(
    settings: Settings,
    database: Database,
    store: Store,
    catalogue: Catalogue,
    changes: Wakeup,
    scratch: Path,
    room: Room,
) -> AssetChecks:
    return AssetChecks(
        database,
        store,
        catalogue.definitions,
        settings.missing_files,
        changes.notify,
        Readers(settings.sandbox or "auto", scratch, room.check_passing, room.granted),
    )


def _local_engine(settings: Settings, catalogue: Catalogue, on_exit: Callable[[], None]) -> Engine:
    return LocalEngine(
        work_dir=settings.data_dir / "work",
        log_dir=settings.data_dir / "logs",
        programs=configured_programs(settings, catalogue.definitions.library.programs),
        products=settings.products,
        on_exit=on_exit,
        render_user=settings.render_user,
    )


def _empty(folder: Path) -> Path:
    """Return a folder for temporary files, without those of a farm that was killed."""
    remove_tree(folder)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def _limits(settings: Settings) -> Limits:
    return Limits(
        connections=connections_within(raise_limit(), settings.connections),
        per_address=settings.connections_per_address,
        trusted=frozenset(settings.proxies),
    )


def migrate(settings: Settings) -> str:
    """Make a farm's database, or bring it to this version; returns that.

    Raises:
        StartError: a farm works on the data folder or the database, or the latter is unusable.
    """
    with owned(settings.data_dir):
        open_own(settings.data_dir, settings.database_url, new_folder=True).close()
    return Database.newest_version()


def configured_programs(settings: Settings, programs: Collection[str]) -> dict[str, list[str]]:
    """Return product -> paths that the settings name.

    Parameters:
        programs: products whose programs can be looked for.

    Raises:
        StartError: a product that is none of these.
    """
    for product in settings.programs:
        if product not in programs:
            known = ", ".join(programs)
            raise StartError(
                f"FARM_PROGRAMS names an unknown product, '{product}'. Known products: {known}."
            )
    named = {"blender": [settings.blender]} if settings.blender else {}
    return {**settings.programs, **named}


def find_catalogue(settings: Settings) -> Catalogue:
    """Return what this machine can run, and on which machine types.

    Raises:
        StartError: the studio's catalogue is wrong, or FARM_PROGRAMS.
    """
    try:
        definitions = load_definitions(settings.catalogue, Library(settings.products))
    except CatalogueError as error:
        raise StartError(str(error)) from error
    library = definitions.library
    configured = configured_programs(settings, library.programs)
    renderers, problems = Discovery(configured, library=library).all()
    for message in problems.values():
        logger.error("%s", message)
    for each in renderers:
        logger.info("found %s %s (%s)", each.app, each.version, each.how_found)
    installed = [Installed(each.app, each.version, each.plugins) for each in renderers]
    products = merged(
        [*product_rows(installed, definitions), *product_rows(listed(definitions), definitions)]
    )
    missing = "No renderer was found: install Blender, or set FARM_BLENDER to its path."
    if not products:
        logger.warning("%s", missing)
    price = settings.credits_per_hour
    return Catalogue(
        products=products,
        machines=with_definitions(local_machines(settings.local_slots, price), definitions, price),
        missing="" if products else " ".join(problems.values()) or missing,
        definitions=definitions,
        problems=problems,
        installed=installed,
    )


def _complain(database: Database, policy: SandboxPolicy, settings: Settings) -> None:
    """Warn the operator of what this machine lacks. Raises StartError: there is no such account."""
    with database.read() as connection:
        alone = accounts.is_alone(connection)
    for trouble in (
        complaint(policy.now(alone=alone)),
        cgroups.complaint(settings.limits, alone),
    ):
        if trouble:
            logger.warning("%s", trouble)
    try:
        with borrowed(settings.render_user):
            pass
    except AccountError as error:
        if settings.render_user:
            raise StartError(f"FARM_RENDER_USER: {error}") from error
        logger.error("%s", error)  # noqa: TRY400 - a message, not a bug


def _remember_programs(database: Database, catalogue: Catalogue, settings: Settings) -> None:
    """Report this machine as runners report theirs, so that `farm workers` shows it."""
    found = [report_of(each.app, each.version, each.plugins) for each in catalogue.installed]
    try:
        held = this_machine_holds(sandbox=settings.sandbox != "off" and not probe())
    except UndecidedError:
        held = this_machine_holds(sandbox=False)  # Its runners will report.
    with database.write() as connection:
        hosts.start_over(connection, socket.gethostname()[:255], found, held, datetime.now(UTC))


def _mail_server(settings: Settings) -> Smtp | None:
    if not settings.smtp_host:
        return None
    return Smtp(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        user=settings.smtp_user,
        password=settings.smtp_password.get_secret_value(),
        sender=settings.smtp_sender,
    )


def _announce(settings: Settings, identity: Identity, machines: Sequence[Machines]) -> None:
    """Announce where this farm is."""
    kinds = [AnnouncedMachines(id=each.id, gpu=each.gpu, slots=each.slots) for each in machines]
    who = Announcement(
        url=identity.url,
        pid=os.getpid(),
        version=__version__,
        machines=kinds,
        secret=identity.secret,
    )
    who.write(settings.data_dir)
    if settings.embedded:
        line = ReadyLine(event="ready", url=who.url, pid=who.pid, version=who.version)
        tell(line.model_dump_json())
    else:
        note(f"The farm listens on {identity.url}; its data is in {settings.data_dir}.")
