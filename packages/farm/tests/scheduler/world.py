"""The real scheduler on a real database, with processes, time and crashes that a test controls."""

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from farm.accounts.credentials import hash_secret
from farm.accounts.plans import set_plan
from farm.accounts.users import create as create_user
from farm.catalogue import Catalogue
from farm.catalogue.definitions import built_in
from farm.catalogue.machines import Machines
from farm.catalogue.products import Installed, product_rows
from farm.db import accounts, files, hosts, job_rows, runners
from farm.db import jobs as job_table
from farm.db.accounts import AccountRow
from farm.db.engine.database import Database
from farm.db.opening import open_database
from farm.db.plans import Plan
from farm.db.runners import Caller
from farm.engines.port import EngineError, LaunchRequest, Phase, Sight
from farm.errors import InvalidRequestError
from farm.products import BUILT_IN
from farm.scheduler import claims
from farm.scheduler.loop import Scheduler
from farm.stores.disk import DiskStore
from farm.submissions.create import create, prepare
from farm.wakeup import Wakeup
from farm_protocol.jobs import JobSpec, JobState, Submission, SubmissionSpec
from farm_protocol.runner import (
    Claim,
    ClaimRequest,
    EndedClaim,
    Finish,
    FrameDone,
    Heartbeat,
    Outcome,
    OutputFile,
    Program,
    RunnerCommand,
)
from farm_protocol.users import NewUser
from sqlalchemy import Connection

from tools.temporary_postgres import TemporaryPostgres

USERS = ("ann@example.com", "bob@example.com", "cid@example.com")
PLAN = Plan("Small", job_throughput_limit=3, max_throughput=4)
BLOB = "ab" * 32
FREE_A_DAY = 60.0
"""Seconds without a licence that cost an account nothing: few, so that they are used up."""
_MEMORY = Path("/dev/shm")


Told = TypeVar("Told")
Report = TypeVar("Report")

__all__ = ["FREE_A_DAY", "PLAN", "Crash", "InvalidRequestError", "Place", "Process", "World"]


class Place:
    """Where worlds get their databases: copies of one that holds three users and a blob.

    Parameters:
        folder: of a farm whose database is new, the SQLite one in there or that of ``url``.
        server: None for SQLite.
    """

    def __init__(self, folder: Path, url: str | None, server: TemporaryPostgres | None) -> None:
        database = open_database(folder, url)
        with database.write() as connection:
            set_plan(connection, PLAN)
        for user in USERS:
            new = NewUser(email=user, credits=Decimal(1000), plan=PLAN.name)
            account_id = create_user(database, new).id
            with database.write() as connection:
                files.add_blob(connection, account_id, BLOB, 3, datetime.now(UTC))
        database.close()
        self._folder, self._server = folder, server
        self._template = database.url.database or ""

    @contextmanager
    def copy(self, folder: Path) -> Iterator[str | None]:
        """Put a copy into an empty folder, or on the server: then its address is yielded."""
        if self._server is None:
            shutil.copytree(self._folder, folder, dirs_exist_ok=True)
            yield None
        else:
            with self._server.database(self._template) as name:
                yield self._server.url(name)


class Crash(Exception):
    """The farm has died before a commit."""


class MortalDatabase(Database):
    """``fuse``: at which commit from now on the farm dies, and all after it; 0: at none."""

    fuse = 0

    @contextmanager
    def write(self, account_id: str = "") -> Iterator[Connection]:
        with super().write(account_id) as connection:
            yield connection
            if self.fuse == 1:
                raise Crash
            self.fuse = max(self.fuse - 1, 0)


@dataclass
class Process:
    """A runner's process, as the engine knows it.

    Attributes:
        delivered: its last claim brought frames, so that it has a licence, and it has not lost it.
    """

    request: LaunchRequest
    host: str
    frozen: bool = False
    delivered: bool = False
    claim: Claim | None = None
    left: list[int] = field(default_factory=list)


class StrictEngine:
    """Starts nothing, but complains about every runner that should not be. Survives the farm."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.processes: dict[str, Process] = {}
        self.launched = 0

    host = ""
    outlives_farm = False
    certain = True

    def prepare(self) -> None:
        """Nothing to make faster."""

    def close(self) -> None:
        """Nothing prepared."""

    def launch(self, requests: Sequence[LaunchRequest]) -> list[str | EngineError]:
        return [self._launch(request) for request in requests]

    def _launch(self, request: LaunchRequest) -> str:
        self.world.check_limits(request)
        self.launched += 1
        reference = f"process {self.launched}"
        host = f"host{self.launched % self.world.hosts}"
        self.processes[reference] = Process(request, host)
        return reference

    def stop(self, reference: str) -> None:
        self.processes.pop(reference, None)

    def look(self, references: Collection[str]) -> dict[str, Sight]:
        return {
            each: Sight(Phase.RUNNING if each in self.processes else Phase.GONE)
            for each in references
        }


class _EnoughError(Exception):
    """The test has seen what it wanted to. A scheduler that was stopped would never work again."""


class Rests(Wakeup):
    """What the scheduler waits for. Nothing wakes it, but life goes on meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.live: Callable[[float], None] = lambda _: None

    def wait(self, seen: int, seconds: float) -> None:
        self.live(seconds)


class World:
    """A farm with three users and a clock of its own."""

    def __init__(self, place: Place, slots: int, hosts: int = 1, unfit: int = 0) -> None:
        """Begin anew.

        Parameters:
            unfit: how many of the ``hosts`` have another Blender than the jobs need.
        """
        self.folder = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
        self._copies = ExitStack()
        self._url = self._copies.enter_context(place.copy(self.folder))
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.slots, self.hosts, self.unfit = slots, hosts, unfit
        self.engine = StrictEngine(self)
        self.open()
        with self.database.read() as connection:
            found = [accounts.by_email(connection, user) for user in USERS]
        self.user_ids = [account.id for account in found if account is not None]

    def account(self, user: int) -> AccountRow:
        """Return a user as the database has it now."""
        with self.database.read() as connection:
            return accounts.by_id(connection, self.user_ids[user])

    def open(self) -> None:
        """Start the farm, or start it again after a crash: only the database and engine stay."""
        if self._url is None:
            self.database = MortalDatabase.in_folder(self.folder)
        else:
            self.database = MortalDatabase(self._url)
        self.store = DiskStore(self.folder / "blobs")
        slots = {"local-cpu": self.slots}
        self.rests = Rests()
        self.scheduler = Scheduler(
            self.database,
            self.engine,
            slots,
            self.rests,
            Wakeup(),
            "http://127.0.0.1:1",
            clock=lambda: self.now,
        )
        # A credit a second: budgets and accounts are used up while the test runs.
        machine = Machines("local-cpu", "Test", False, self.slots, Decimal(3600))
        self.catalogue = Catalogue(product_rows([Installed("blender", "3.4.1")]), [machine])

    def crash(self) -> None:
        """Forget everything that is not written down."""
        self.database.close()
        self.open()

    def close(self) -> None:
        self.database.close()
        self._copies.close()
        shutil.rmtree(self.folder)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def run(self, second: Callable[[], bool]) -> None:
        """Let the scheduler work by itself, as often as it does, with nobody to wake it.

        Parameters:
            second: what happens in every second while it rests; True ends it all.
        """

        def live(seconds: float) -> None:
            for _ in range(max(1, round(seconds))):
                self.pass_time(1)
                if second():
                    raise _EnoughError

        self.rests.live = live
        with suppress(_EnoughError):
            self.scheduler.run()

    def check_limits(self, request: LaunchRequest) -> None:
        """Fail when this runner is one too many. It is in the database already."""
        with self.database.read() as connection:
            living = runners.live_runners(connection)
            row = job_rows.row(connection, request.job_id)
            owners = [job_rows.row(connection, each.job_id).account_id for each in living]
            account = accounts.by_id(connection, row.account_id)
        assert account.active
        assert len(living) <= self.slots, "machine type"
        assert owners.count(account.id) <= account.plan.max_throughput, "user's throughput"
        of_job = sum(each.job_id == request.job_id for each in living)
        most = min(row.instances or 10**6, account.plan.job_throughput_limit)
        assert of_job <= most, "instances"

    def submit(self, user: int, jobs: list[dict[str, object]]) -> Submission:
        """Submit jobs: each has an id, dependencies, frames and whatever it changes.

        The frames are a count, or a text as users write it.
        """
        specs = [
            JobSpec(
                name=str(job["id"]),
                app="blender",
                operation="render",
                path="demo/scene.blend",
                params={"frames": _frames(job.pop("frames")), "output_prefix": f"{job['id']}_"},
                **job,
            )
            for job in jobs
        ]
        spec = SubmissionSpec(
            id=uuid4().hex,
            project="demo",
            name="test",
            output_folder="demo/out",
            jobs=specs,
            pending_files=["demo/scene.blend"],
        )
        account = self.account(user)
        with self.database.write() as connection:
            prepared = prepare(connection, self.catalogue, self.store, account, spec)
            create(connection, account, spec, prepared, lambda _, size: None)
            return job_table.submission(connection, spec.id)

    def knows(self, process: Process) -> bool:
        """Whether the farm takes the process for a living runner."""
        with self.database.read() as connection:
            return self._caller(connection, process) is not None

    def _caller(self, connection: Connection, process: Process) -> Caller | None:
        return runners.caller(connection, hash_secret(process.request.token), self.now)

    def ready_soon(self, process: Process) -> RunnerCommand:
        """Let a process say that it gets ready for its first claim."""
        with self.database.write() as connection:
            caller = self._caller(connection, process)
            assert caller is not None
            return claims.ready_soon(connection, caller, self.now)

    def _tell(
        self,
        process: Process,
        call: Callable[[Connection, Caller, str, Report, datetime], Told],
        report: Report,
    ) -> Told:
        """Let a process that has a claim call the farm about it."""
        assert process.claim is not None
        assert process.claim.claim_id is not None
        with self.database.write() as connection:
            caller = self._caller(connection, process)
            assert caller is not None
            return call(connection, caller, process.claim.claim_id, report, self.now)

    def claim(self, reference: str, ended: EndedClaim | None = None) -> Claim | None:
        """Let a process ask for frames; one that gets none ends."""
        process = self.engine.processes[reference]
        claim = None
        with self.database.write() as connection:
            caller = self._caller(connection, process)
            if caller is not None:
                version = "2.79" if int(process.host[-1]) < self.unfit else "3.4.1"
                program = Program(app="blender", version=version, plugins=[])
                hosts.report(connection, process.host, [program], self.now)
                request = ClaimRequest(host=process.host, ended=ended)
                slots = {"local-cpu": self.slots}
                claim, _ = claims.claim(
                    connection,
                    caller,
                    request,
                    slots,
                    built_in(),
                    BUILT_IN.programs,
                    self.now,
                    FREE_A_DAY,
                )
        if claim is None or claim.claim_id is None:
            del self.engine.processes[reference]
            return None
        process.claim, process.left = claim, list(claim.frames)
        process.delivered = False
        return claim

    def state(self, job_id: str) -> JobState:
        with self.database.read() as connection:
            return job_rows.state(connection, job_id)

    def beat(self, process: Process) -> RunnerCommand:
        frame = process.left[0] if process.left else None
        return self._tell(process, claims.heartbeat, Heartbeat(frame=frame))

    def done(self, process: Process, frame: int) -> None:
        path = f"demo/out/{process.request.job_id}_{frame}.png"
        report = FrameDone(
            frame=frame, seconds=1, outputs=[OutputFile(path=path, hash=BLOB, size=3)]
        )
        done = partial(claims.frame_done, portion=range(1), take=lambda *_: None)
        self._tell(process, done, report)
        process.delivered = True

    def finish(self, process: Process, report: Finish) -> None:
        self._tell(process, partial(claims.finish, free_a_day=FREE_A_DAY), report)
        if report.outcome is Outcome.NO_LICENCE:
            process.delivered = False


def _frames(asked: object) -> str:
    return asked if isinstance(asked, str) else f"1 {asked}"
