"""Which faults of a database an answer calls passing."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import psycopg
import pytest
from farm.api import errors
from farm.db.engine.prepared import Prepared
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .conftest import Farm
from .runners import at_work
from .test_storage import STORAGE_FULL, refused


def of_sqlite(*statements: str) -> sqlite3.OperationalError:
    """Return what SQLite raises at one of these statements, while somebody else writes."""
    address = "file:faults?mode=memory&cache=shared"
    with (
        closing(sqlite3.connect(address, uri=True)) as other,
        closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection,
    ):
        if statements == ("BEGIN IMMEDIATE",):
            other.execute("BEGIN IMMEDIATE")
        try:
            for each in statements:
                connection.execute(each)
        except sqlite3.OperationalError as error:
            return error
    raise AssertionError("SQLite has done all of this")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (psycopg.OperationalError("server closed the connection"), 503),
        (psycopg.errors.AdminShutdown("shut down"), 503),
        (psycopg.errors.LockNotAvailable("lock timeout"), 503),
        (psycopg.errors.ProgramLimitExceeded("index row size exceeds"), 500),
        (psycopg.errors.DiskFull("could not extend file: No space left on device"), 507),
        (of_sqlite("PRAGMA max_page_count = 1", "CREATE TABLE t (id)"), 507),
        (of_sqlite("BEGIN IMMEDIATE"), 503),
        (of_sqlite("SELECT 'database is locked', disk is full"), 500),
    ],
)
@pytest.mark.parametrize("by", ["SQLAlchemy", "the driver"])
def test_only_what_may_pass_is_tried_again(fault: Exception, status: int, by: str) -> None:
    def fail(_: Request) -> Response:
        raise OperationalError("INSERT", {}, fault) if by == "SQLAlchemy" else fault

    app = Starlette(routes=[Route("/", fail)])
    errors.install(app)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://farm") as http:
            return await http.get("/")

    answer = asyncio.run(ask())
    assert answer.status_code == status
    codes = {503: "unavailable", 507: "storage_full", 500: "internal"}
    assert answer.json()["code"] == codes[status]


def test_a_frame_that_the_database_has_no_room_for_is_sent_later(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statements are prepared: nobody but the driver says what is wrong."""
    runner = at_work(farm, farm.user("ann@example.com"))
    real = Prepared.run_all

    def full(statement: Prepared, connection: Connection, many: Any) -> None:
        if any("of_files" in name for each in many for name in each):
            raise of_sqlite("PRAGMA max_page_count = 1", "CREATE TABLE t (id)")
        real(statement, connection, many)

    monkeypatch.setattr(Prepared, "run_all", full)
    assert refused(runner.done(1)) == STORAGE_FULL
    monkeypatch.undo()
    assert runner.done(1).status_code == 204
