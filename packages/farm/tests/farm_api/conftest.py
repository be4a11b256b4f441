"""A farm's API over real HTTP on a real database, with an engine that starts nothing."""

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from blenders import Blender
from farm.accounts.attempts import Attempts
from farm.accounts.users import create
from farm.api import runner
from farm.api.app import create_app
from farm.api.context import Context
from farm.api.runner_job import FileLists
from farm.catalogue import Catalogue
from farm.catalogue.machines import Machines
from farm.catalogue.products import Installed, product_rows
from farm.confine.readers import Readers
from farm.db import manifests, projects
from farm.db.engine.database import Database
from farm.db.opening import open_database
from farm.db.tables import accounts
from farm.engines.port import EngineError, LaunchRequest, Phase, Sight
from farm.process.server import FarmServer, listen
from farm.scheduler.loop import Scheduler
from farm.stores.disk import DiskStore
from farm.stores.port import Store
from farm.stores.room import Room
from farm.submissions.missing_files import AssetChecks, Mode
from farm.wakeup import Wakeup
from farm_protocol.files import FileEntry
from farm_protocol.hashing import new_hasher
from farm_protocol.proof import Identity
from farm_protocol.runner import LimitsMode
from farm_protocol.users import NewUser, Role
from sqlalchemy import select

MAKER = Path(__file__).parents[1] / "runner" / "make_scenes.py"


class RecordingEngine:
    """Keeps what it was asked for. Strict: a reference that it never gave is an error.

    Attributes:
        queue: why runners wait that it has not started yet, by reference.
        mute: it cannot tell of any runner.
        liar: it says that all are gone.
    """

    def __init__(self) -> None:
        self.host = ""
        self.outlives_farm = False
        self.certain = True
        self.queue: dict[str, str] = {}
        self.queues = ""
        self.mute = self.liar = False
        self.calls = self.looks = 0
        self.launched: list[LaunchRequest] = []
        self.living: set[str] = set()
        self.given: set[str] = set()
        self.stopped: set[str] = set()
        self.changed = threading.Condition()
        self.obedient = False

    def launch(self, requests: Sequence[LaunchRequest]) -> list[str | EngineError]:
        self.calls += 1
        return [self._launch(request) for request in requests]

    def _launch(self, request: LaunchRequest) -> str:
        with self.changed:
            assert request.token
            assert request.farm_url.startswith("http://127.0.0.1:")
            self.launched.append(request)
            reference = f"fake:{request.runner_id}"
            self.given.add(reference)
            self.living.add(reference)
            if self.queues:
                self.queue[reference] = self.queues
            self.changed.notify_all()
            return reference

    def prepare(self) -> None:
        """Nothing to make faster."""

    def close(self) -> None:
        """The farm ends: runners obey at once."""
        self.obedient = True

    def end_all(self) -> None:
        """Let all runners end, and those that are on their way as soon as they are asked to."""
        self.obedient = True
        self.living.clear()

    def stop(self, reference: str) -> None:
        # Asked to end; a real one does so a little later.
        assert reference in self.given
        self.stopped.add(reference)
        if self.obedient:
            self.living.discard(reference)

    def look(self, references: Collection[str]) -> dict[str, Sight]:
        assert self.given.issuperset(references)
        with self.changed:
            self.looks += 1
            self.changed.notify_all()
        if self.mute:
            raise EngineError("The queue does not answer.")
        return {each: self._sight(each) for each in references}

    def _sight(self, reference: str) -> Sight:
        if self.liar or reference not in self.living:
            return Sight(Phase.GONE)
        if reference in self.queue:
            return Sight(Phase.QUEUED, self.queue[reference])
        return Sight(Phase.RUNNING)

    def wait_for_looks(self, count: int, wakeup: Wakeup | None = None) -> None:
        """Wait until the scheduler has looked at its runners so many times more.

        Parameters:
            wakeup: what makes it look; None: it does so anyway.
        """
        for _ in range(count):
            with self.changed:
                seen = self.looks
                if wakeup is not None:
                    wakeup.notify()
                assert self.changed.wait_for(lambda: self.looks > seen, 60)  # noqa: B023

    def wait_for(self, count: int) -> LaunchRequest:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.launched) >= count, 60)
            return self.launched[count - 1]


class Clock:
    """The scheduler's. What runners tell has the real time."""

    def __init__(self) -> None:
        self._ahead = self._step = timedelta(0)

    def __call__(self) -> datetime:
        self._ahead += self._step
        return datetime.now(UTC) + self._ahead

    @contextmanager
    def flies(self) -> Iterator[None]:
        """Let some seconds pass, for the scheduler, between two looks at the clock."""
        self._step = timedelta(seconds=4)
        yield
        self._ahead = self._step = timedelta(0)


def runner_routes() -> set[tuple[str, str]]:
    """Return method and path of everything that runners may ask for."""
    return {
        (method, runner.PREFIX + route.path)
        for route in runner.ROUTES
        for method in (route.methods or set()) - {"HEAD"}
    }


@dataclass
class Farm:
    """A running farm and the ways into it."""

    url: str
    database: Database
    engine: RecordingEngine
    wakeup: Wakeup
    clock: Clock
    data_dir: Path
    identity: Identity
    room: Room
    clients: list[httpx.Client] = field(default_factory=list)

    def routes(self) -> list[tuple[str, str]]:
        """Return method and path of everything that the API answers."""
        paths = httpx.get(f"{self.url}/openapi.json", timeout=60).json()["paths"]
        found = {(method.upper(), path) for path, methods in paths.items() for method in methods}
        return sorted(found | runner_routes())

    def user(
        self,
        email: str,
        credits: str = "100",
        password: str | None = None,
        role: Role = Role.ARTIST,
    ) -> httpx.Client:
        new = NewUser(email=email, password=password, credits=Decimal(credits), role=role)
        return self.client(create(self.database, new).access_key)

    def client(self, secret: str = "") -> httpx.Client:
        """Return a client, closed with the farm, that shows a key; "": none."""
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        # Shorter than the farm keeps an idle connection: none is used that is just being closed.
        limits = httpx.Limits(keepalive_expiry=2.0)
        self.clients.append(
            httpx.Client(
                base_url=self.url,
                headers=headers,
                timeout=60,
                limits=limits,
                # No certificates are wanted, and loading them takes longer than most tests.
                verify=False,
            )
        )
        return self.clients[-1]


@pytest.fixture
def missing_files() -> Mode:
    """FARM_MISSING_FILES. Most scenes of these tests are no scenes, so nobody looks into them."""
    return "off"


@pytest.fixture
def catalogue() -> Catalogue:
    """What the farm offers; a module may have its own."""
    machine = Machines("local-cpu", "Test", gpu=False, slots=2, credits_per_hour=Decimal(3600))
    return Catalogue(
        products=product_rows(
            [
                Installed("blender", "3.4.1"),
                Installed("blender", "4.5.15"),
                Installed("ffmpeg", "5.1"),
            ]
        ),
        machines=[machine],
    )


@pytest.fixture(scope="session")
def scenes(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real scenes."""
    return blender.made_by(MAKER, tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def database(tmp_path: Path, database_url: str | None) -> Database:
    return open_database(tmp_path, database_url)


@pytest.fixture
def store(tmp_path: Path, database: Database) -> Store:
    """Where blobs are kept; a module may have its own. The folder knows its database before."""
    return DiskStore(tmp_path / "blobs")


@pytest.fixture
def limits_mode() -> LimitsMode:
    """The operator's setting; a test may have its own."""
    return "auto"


@pytest.fixture
def farm(
    tmp_path: Path,
    database: Database,
    missing_files: Mode,
    catalogue: Catalogue,
    store: Store,
    limits_mode: LimitsMode,
) -> Iterator[Farm]:
    engine, work, changes, clock = RecordingEngine(), Wakeup(), Wakeup(), Clock()
    slots = {each.id: each.slots for each in catalogue.machines}
    room = Room(tmp_path, store.folder(), reserve=0)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    listener = listen("127.0.0.1", 0, tmp_path)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    scheduler = Scheduler(
        database, engine, slots, work, changes, url, clock, room.is_full, lambda: room.left
    )
    context = Context(
        database=database,
        store=store,
        room=room,
        catalogue=catalogue,
        work=work,
        changes=changes,
        # Pauses after wrong passwords do not end: on a busy machine they would, unseen.
        attempts=Attempts(lambda: 0.0),
        expect_work=scheduler.expect_work,
        assets=AssetChecks(
            database,
            store,
            catalogue.definitions,
            missing_files,
            changes.notify,
            Readers("auto", scratch, room.check_passing, room.granted),
        ),
        limits_mode=limits_mode,
        version="test",
        identity=Identity(url, tmp_path),
        file_lists=FileLists(tmp_path, room.check_passing),
    )
    ready = threading.Event()
    server = FarmServer(create_app(context), database, scheduler, changes, ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    assert ready.wait(120)
    made = Farm(url, database, engine, work, clock, tmp_path, context.identity, room)
    yield made
    server.end()
    thread.join(60)
    assert not thread.is_alive()
    for client in made.clients:
        client.close()
    database.close()


def send(client: httpx.Client, path: str, data: bytes) -> dict[str, object]:
    """Send a file's bytes and put it into its project's manifest, as Envoy does."""
    hasher = new_hasher()
    hasher.update(data)
    entry = {"path": path, "hash": hasher.hexdigest(), "size": len(data), "mtime_ns": 1}
    client.put(f"/v1/blobs/{entry['hash']}", content=data).raise_for_status()
    project = path.split("/")[0]
    client.put(f"/v1/projects/{project}/files", json={"files": [entry]}).raise_for_status()
    return entry


def add_copies(farm: Farm, known: dict[str, object], paths: Iterable[str]) -> None:
    """Give the project "demo" files with the bytes of one that was sent, without a call for each.

    Parameters:
        known: what `send` returned for that one, of the farm's only user.
    """
    entry = {**known, "mtime_ns": 1}
    with farm.database.write() as connection:
        account = connection.execute(select(accounts.c.id)).scalar_one()
        project = projects.find(connection, account, "demo")
        assert project is not None
        files = [FileEntry.model_validate(entry | {"path": path}) for path in paths]
        manifests.add(connection, account, project, files)


def film(path: str, needs: Sequence[str] = (), **params: object) -> dict[str, Any]:
    """Return a job that makes a film."""
    return {
        "id": "film",
        "name": "film",
        "app": "ffmpeg",
        "operation": "transcode",
        "path": path,
        "params": params,
        "dependencies": [*needs],
    }


def spec(**changes: object) -> dict[str, Any]:
    """Return a submission of one job, with changes to that job."""
    job = {
        "id": "j1",
        "name": "beauty",
        "app": "blender",
        "app_version": "3.4.1",
        "operation": "render",
        "path": "demo/scene.blend",
        "params": {"frames": "1 4 1"},
    }
    return {
        "id": uuid4().hex,
        "project": "demo",
        "name": "submission 1",
        "output_folder": "demo/render_results/out",
        "jobs": [job | changes],
    }
