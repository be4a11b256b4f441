"""Which faults of a database an answer calls passing."""

import asyncio

import httpx
import psycopg
import pytest
from farm.api import errors
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (psycopg.OperationalError("server closed the connection"), 503),
        (psycopg.errors.AdminShutdown("shut down"), 503),
        (psycopg.errors.LockNotAvailable("lock timeout"), 503),
        (psycopg.errors.ProgramLimitExceeded("index row size exceeds"), 500),
    ],
)
def test_only_what_may_pass_is_tried_again(fault: Exception, status: int) -> None:
    def fail(_: Request) -> Response:
        raise OperationalError("INSERT", {}, fault)

    app = Starlette(routes=[Route("/", fail)])
    errors.install(app)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://farm") as http:
            return await http.get("/")

    answer = asyncio.run(ask())
    assert answer.status_code == status
    assert answer.json()["code"] == ("unavailable" if status == 503 else "internal")
