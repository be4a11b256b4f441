"""What every route may use, and who is asking."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Header, Request

from farm.accounts.attempts import Attempts
from farm.accounts.credentials import authenticate, hash_secret
from farm.catalog.machines import Machines
from farm.db import claims
from farm.db.accounts import AccountRow
from farm.db.claims import RunnerRow
from farm.db.database import Database
from farm.errors import NotAuthenticatedError
from farm.stores.disk import DiskStore
from farm.submit import Catalogue
from farm.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class Context:
    """The parts that `farm.main` has put together.

    Attributes:
        work: tells the scheduler that there may be something to do.
        changes: tells readers of the feed that there is something new.
        expect_work: tells the scheduler that a submission is on its way.
        attempts: failed logins.
    """

    database: Database
    store: DiskStore
    catalogue: Catalogue
    work: Wakeup
    changes: Wakeup
    expect_work: Callable[[], None]
    data_dir: Path
    version: str
    attempts: Attempts = field(default_factory=Attempts)

    def notify(self) -> None:
        """Tell both: a job has changed in a way that may leave something to do."""
        self.changes.notify()
        self.work.notify()

    def machine(self, machine_type: str) -> Machines | None:
        """Return the machine type with this id, None when it was taken away."""
        return next((each for each in self.catalogue.machines if each.id == machine_type), None)


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]


def _bearer(authorization: Annotated[str, Header()] = "") -> str:
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise NotAuthenticatedError("Sign in: the request carries no 'Authorization: Bearer'.")
    return secret


def _account(context: InContext, secret: Annotated[str, Depends(_bearer)]) -> AccountRow:
    with context.database.read() as connection:
        return authenticate(connection, secret)


Account = Annotated[AccountRow, Depends(_account)]


def _runner(context: InContext, secret: Annotated[str, Depends(_bearer)]) -> RunnerRow:
    with context.database.read() as connection:
        runner = claims.runner_by_token(connection, hash_secret(secret), datetime.now(UTC))
    if runner is None:
        raise NotAuthenticatedError("The runner's token is not valid any more.")
    return runner


Runner = Annotated[RunnerRow, Depends(_runner)]
