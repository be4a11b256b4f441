from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from farm.db import accounts, ledger
from farm.db.engine.database import Database
from farm.db.opening import open_database
from farm.db.tables import metadata
from sqlalchemy import text


def test_the_migrations_lead_to_the_tables(tmp_path: Path, empty_url: str | None) -> None:
    def is_here(_object: Any, name: str | None, *_: Any) -> bool:
        return name != "fk_frames_job_id" or empty_url is None  # Left out on PostgreSQL.

    database = open_database(tmp_path, empty_url)
    with database.write() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_here})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_opening_again_keeps_what_is_there(tmp_path: Path, database_url: str | None) -> None:
    from farm.db import feed

    names = set()
    for _ in range(2):
        database = open_database(tmp_path, database_url)
        with database.read() as connection:
            names.add(feed.farm_id(connection))
        database.close()
    assert len(names) == 1


def test_a_ledger_of_one_side_gets_its_other_side(tmp_path: Path, empty_url: str | None) -> None:
    database = Database(empty_url or f"sqlite:///{tmp_path / 'farm.sqlite'}")
    database.migrate("0002")
    now = datetime(2026, 1, 2, 3, 4, 5)
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO accounts (id, email, name, plan, active, created_at)"
                " VALUES ('a', 'ann@example.com', 'ann', 'Standard', true, :now)"
            ),
            {"now": now},
        )
        for reference, kind, amount in (("g", "grant", 100), ("f", "usage", 0)):
            connection.execute(
                text(
                    "INSERT INTO ledger (account_id, amount_micros, kind, reference, reason,"
                    " created_at) VALUES ('a', :amount, :kind, :reference, 'why', :now)"
                ),
                {"amount": amount, "kind": kind, "reference": reference, "now": now},
            )
    database.migrate()
    with database.write() as connection:
        assert ledger.faults(connection) == []
        ledger.post(
            connection,
            account_id="a",
            amount_micros=5,
            kind=ledger.GRANT,
            reference="new",
            reason="",
            now=datetime.now(UTC),
        )
        told = ledger.history(connection, "a", None, 10)
        assert [each.reference for each in told] == ["new", "f", "g"]
        account = accounts.by_email(connection, "ann@example.com")
        assert account is not None
        assert account.balance_micros == 105
    database.close()


def test_what_accounts_store_already_is_counted(tmp_path: Path, empty_url: str | None) -> None:
    database = Database(empty_url or f"sqlite:///{tmp_path / 'farm.sqlite'}")
    database.migrate("0002")
    now = datetime(2026, 1, 2, 3, 4, 5)
    with database.write() as connection:
        for name in ("ann", "bob"):
            connection.execute(
                text(
                    "INSERT INTO accounts (id, email, name, plan, active, created_at)"
                    " VALUES (:name, :name, :name, 'Standard', true, :now)"
                ),
                {"name": name, "now": now},
            )
        for blob, size in (("a", 2**40), ("b", 5)):
            connection.execute(
                text(
                    "INSERT INTO blobs (account_id, hash, size, created_at)"
                    " VALUES ('ann', :blob, :size, :now)"
                ),
                {"blob": blob, "size": size, "now": now},
            )
    database.migrate()
    with database.read() as connection:
        assert accounts.by_id(connection, "ann").stored_bytes == 2**40 + 5
        assert accounts.by_id(connection, "bob").stored_bytes == 0
        assert accounts.by_id(connection, "bob").plan.max_stored == 0
    database.close()
