"""Prepared statements mean what SQLAlchemy would make of them, on both databases."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from farm.db.engine.database import Database
from farm.db.engine.prepared import Prepared
from farm.db.tables import accounts, plans
from sqlalchemy import bindparam, func, insert, select, update

MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2)))
ACCOUNT: dict[str, Any] = {
    "id": "a",
    "email": "a@example.com",
    "name": "Größe \N{SNOWMAN} %s",
    "plan": "p",
}
ACCOUNT |= {"role": "artist", "active": True, "email_notices": False, "balance_micros": 2**60}
ACCOUNT |= {"consumed_micros": 0, "created_at": MOMENT, "machine_cpu": "", "machine_gpu": ""}

READ = select(accounts).where(accounts.c.email.like("%@example.com")).order_by(accounts.c.id)


@pytest.fixture
def database(open_again: Callable[[], Database]) -> Database:
    return open_again()


def test_values_come_back_as_from_sqlalchemy(database: Database) -> None:
    with database.write() as connection:
        add = Prepared(insert(accounts).returning(accounts.c.id, accounts.c.active))
        assert add.rows(connection, **ACCOUNT) == [("a", True)]
        found = Prepared(READ).rows(connection)
        assert found == [tuple(connection.execute(READ).one())]
    row = dict(zip(READ.exported_columns.keys(), found[0], strict=True))
    assert row == ACCOUNT | {"password_hash": None, "served_at": None, "stored_bytes": 0}
    assert row["created_at"].tzinfo is UTC


def test_the_columns_to_set_follow_from_the_values(database: Database) -> None:
    put = Prepared(update(accounts).where(accounts.c.id == bindparam("of_account")))
    with database.write() as connection:
        more = [ACCOUNT | {"id": each, "email": f"{each}@example.com"} for each in ("b", "c")]
        Prepared(insert(accounts).inline()).run_all(connection, [ACCOUNT, *more])
        put.run(connection, of_account="a", active=False)
        put.run(connection, of_account="b", served_at=MOMENT, name="B")
        put.run_all(connection, [{"of_account": each, "consumed_micros": 5} for each in ("b", "c")])
        read = Prepared(
            select(accounts.c.id, *(accounts.c[name] for name in CHANGED)).order_by("id")
        )
        utc = MOMENT.astimezone(UTC)
        assert read.rows(connection) == [
            ("a", ACCOUNT["name"], False, 0, None),
            ("b", "B", True, 5, utc),
            ("c", ACCOUNT["name"], True, 5, None),
        ]


CHANGED = ("name", "active", "consumed_micros", "served_at")


@pytest.mark.parametrize("then", ["nothing", "a prepared statement", "one of SQLAlchemy's"])
def test_an_error_undoes_the_transaction_wherever_it_shows(database: Database, then: str) -> None:
    """On PostgreSQL statements are sent ahead: their errors come with a later answer."""
    add = Prepared(insert(plans).inline())
    count = select(func.count()).select_from(plans)

    def fail() -> None:
        with database.write() as connection:
            for _ in range(2):
                add.run(connection, name="x", job_throughput_limit=1, max_throughput=1)
            if then == "a prepared statement":
                Prepared(count).one(connection)
            elif then == "one of SQLAlchemy's":
                connection.execute(count)

    with pytest.raises(Exception, match=r"(?i)unique"):
        fail()
    with database.write() as connection:  # The connection is as good as new.
        add.run(connection, name="x", job_throughput_limit=2, max_throughput=1)
        found = Prepared(select(plans.c.job_throughput_limit).where(plans.c.name == "x"))
        assert found.rows(connection) == [(2,)]


def test_it_belongs_to_the_transaction(database: Database) -> None:
    count = Prepared(select(func.count()).select_from(plans))
    add = Prepared(insert(plans).inline())
    with database.read() as connection:
        before = count.one(connection)

    def fail() -> None:
        with database.write() as connection:
            add.run(connection, name="x", job_throughput_limit=1, max_throughput=1)
            assert count.one(connection) != before
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with database.read() as connection:
        assert count.one(connection) == before
