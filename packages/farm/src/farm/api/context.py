"""The parts that every route may use, and the caller's identity."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from farm_protocol.proof import Identity
from farm_protocol.runner import JobLimits, LimitsMode, SandboxMode
from farm_protocol.users import Role
from fastapi import Depends, Header, Request
from http_gate.connections import known
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from farm.accounts.attempts import Attempts
from farm.accounts.credentials import authenticate
from farm.accounts.password_queue import PasswordQueue
from farm.api.known_runners import KnownRunners
from farm.api.own_turns import Turns
from farm.api.polls import Polls
from farm.api.runner_job import FileLists
from farm.catalogue import Catalogue
from farm.confine.policy import SandboxPolicy
from farm.db import accounts, hosts
from farm.db.accounts import AccountRow
from farm.db.engine.database import Database
from farm.db.engine.turns import OneAtATime, Result
from farm.errors import ForbiddenError, NotAuthenticatedError
from farm.jobs.licences import FREE_SECONDS_OF_A_DAY
from farm.stores.port import Store
from farm.stores.room import Room
from farm.submissions.missing_files import AssetChecks
from farm.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class Context:
    """The parts assembled by `farm.main`.

    Attributes:
        work: notifies the scheduler that there may be something to do.
        changes: notifies readers of the feed of news.
        catalogue: the farm's catalogue without its render nodes; see `offers`.
        room: for blobs, on the store's disk.
        expect_work: notifies the scheduler that a submission is expected.
        assets: finds the files that scenes need.
        attempts: failed logins.
        identity: identifies the farm to an Envoy on the same folder.
        unlicensed_seconds: most free machine time without a licence per account and day.
        sandbox: whether renderers must run in one.
        passwords: the queue of password checks.
        polls: requests that wait for news.
        turns: turns that users' requests take before they take a thread.
        file_lists: of jobs, for their runners.
        runners: accounts of the runners that have called.
        one_project: lets one request at a time change a project's files, by account and name.
    """

    database: Database
    store: Store
    room: Room
    catalogue: Catalogue
    work: Wakeup
    changes: Wakeup
    expect_work: Callable[[], None]
    assets: AssetChecks
    version: str
    identity: Identity
    attempts: Attempts = field(default_factory=Attempts)
    unlicensed_seconds: float = FREE_SECONDS_OF_A_DAY
    sandbox: SandboxPolicy = field(default_factory=SandboxPolicy)
    limits_mode: LimitsMode = "auto"
    passwords: PasswordQueue = field(default_factory=PasswordQueue)
    polls: Polls = field(default_factory=Polls)
    turns: Turns = field(default_factory=Turns)
    file_lists: FileLists = field(default_factory=FileLists)
    runners: KnownRunners = field(default_factory=KnownRunners)
    one_project: OneAtATime = field(default_factory=OneAtATime)

    async def write(self, work: Callable[[Connection], Result], account_id: str) -> Result:
        """Let ``work`` write without a thread of its own; see `Database.submit`."""
        return await asyncio.wrap_future(self.database.submit(work, account_id))

    def notify(self) -> None:
        """Tell both: a job has changed in a way that may leave something to do."""
        self.changes.notify()
        self.work.notify()

    def offers(self, connection: Connection) -> Catalogue:
        """Return what jobs may request now, including render nodes that reported recently."""
        return self.catalogue.with_hosts(hosts.recent(connection, datetime.now(UTC)).values())

    def sandbox_mode(self, connection: Connection) -> SandboxMode:
        """Return whether renderers must currently run in a sandbox."""
        return self.sandbox.now(alone=accounts.is_alone(connection))

    def has_gpu(self, machine_type: str) -> bool:
        """Return whether machines of this type have a GPU."""
        return any(each.gpu for each in self.catalogue.machines if each.id == machine_type)

    def limits(self, machine_type: str) -> JobLimits:
        """Return what a renderer may use of a machine of this type."""
        found = [each for each in self.catalogue.machines if each.id == machine_type]
        return found[0].limits.for_runners(found[0].slots) if found else JobLimits()

    @property
    def slots(self) -> dict[str, int]:
        """Return the capacity by machine type, as configured."""
        return {each.id: each.slots for each in self.catalogue.machines}


# Dependencies that never block are coroutines: a function would need a thread.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]


async def bearer(authorization: Annotated[str, Header()] = "") -> str:
    """Return the secret of an Authorization header. Raises NotAuthenticatedError."""
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise NotAuthenticatedError(
            "The request has no 'Authorization: Bearer' header. Sign in first."
        )
    return secret


Secret = Annotated[str, Depends(bearer)]


FRESH_SECONDS = 1.0
"""How long a sender's identity stays valid. A key may be revoked while a body arrives slowly, or
while the request waits for its turn.
"""

_SENDER = "farm.sender"


async def sender(scope: Scope, context: Context, secret: str) -> AccountRow:
    """Return the account of the access key, keep it for the rest of the request, and tell the gate.

    Raises NotAuthenticatedError.
    """

    def look() -> AccountRow | NotAuthenticatedError:
        with context.database.read() as connection:
            try:
                return authenticate(connection, secret)
            except NotAuthenticatedError as error:
                return error

    found: AccountRow | NotAuthenticatedError | None
    found, since = scope.get(_SENDER, (None, 0.0))
    if found is None or time.monotonic() - since > FRESH_SECONDS:
        found = await run_in_threadpool(look)
        scope[_SENDER] = found, time.monotonic()
    if isinstance(found, NotAuthenticatedError):
        raise found
    known(scope, found.id)
    return found


async def _account(request: Request, context: InContext, secret: Secret) -> AccountRow:
    return await sender(request.scope, context, secret)


Account = Annotated[AccountRow, Depends(_account)]


async def _admin(account: Account) -> AccountRow:
    if account.role is not Role.ADMIN:
        raise ForbiddenError("Only an administrator of the farm may do this.")
    return account


Admin = Annotated[AccountRow, Depends(_admin)]
