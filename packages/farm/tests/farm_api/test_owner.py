"""A farm whose PostgreSQL server is started again stays the only one on its database."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from farm.db.engine.database import Database
from farm.db.engine.postgres import _OWNER
from sqlalchemy import Connection, text

from .conftest import Farm

_END_ALL = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_END_WAITING = text(
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
)
_OWNER_NOW = text(f"SELECT pid FROM pg_locks WHERE granted AND objid = {_OWNER}")


@pytest.fixture
def beside(farm: Farm, database_url: str | None) -> Iterator[Connection]:
    """Return a connection of somebody else, to a database that the farm owns."""
    if database_url is None:
        pytest.skip("a file belongs to its folder")
    assert farm.database.own()
    other = Database(database_url)
    with other._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection
    other.close()


def test_the_database_is_taken_again_after_its_connections_were_lost(
    farm: Farm, beside: Connection, database_url: str
) -> None:
    for _ in range(2):
        before = beside.execute(_OWNER_NOW).scalar_one()
        beside.execute(_END_ALL)
        # The server ends its processes a little later: until then the old one owns it.
        while beside.execute(_OWNER_NOW).scalar_one_or_none() in {None, before}:
            farm.wakeup.notify()
    another = Database(database_url)
    assert not another.own()
    another.close()
    assert httpx.get(f"{farm.url}/v1/health", timeout=60).status_code == 200


def test_a_farm_ends_when_another_has_taken_its_database(farm: Farm, beside: Connection) -> None:
    taken = False
    while not taken:
        beside.execute(_END_ALL)
        taken = beside.execute(text(f"SELECT pg_try_advisory_lock({_OWNER})")).scalar_one()
    farm.wakeup.notify()
    while answers(farm):
        pass


def test_a_request_whose_connection_is_lost_may_be_sent_again(
    farm: Farm, beside: Connection, database_url: str
) -> None:
    ann = farm.user("ann@example.com")
    another = Database(database_url)
    with another.write(), ThreadPoolExecutor(1) as pool:
        # Waits for the other process, until the server ends its connection.
        asked = pool.submit(ann.patch, "/v1/me", json={"email_notices": True})
        while not asked.done():
            beside.execute(_END_WAITING)
    another.close()
    answer = asked.result()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.json()["retry"]
    ann.patch("/v1/me", json={"email_notices": True}).raise_for_status()


def answers(farm: Farm) -> bool:
    try:
        return httpx.get(f"{farm.url}/v1/health", timeout=60).is_success
    except httpx.TransportError:
        return False
