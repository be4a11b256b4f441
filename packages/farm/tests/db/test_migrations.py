from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from farm.db import accounts, feed, ledger
from farm.db.engine.database import MIGRATIONS, Database
from farm.db.opening import open_database
from farm.db.tables import changes, claims, jobs, metadata
from sqlalchemy import Connection, MetaData, select, text


def test_the_migrations_lead_to_the_tables(tmp_path: Path, empty_url: str | None) -> None:
    # What only the other database has.
    elsewhere = "ix_manifest_entries_beneath" if empty_url is None else "fk_frames_job_id"

    def is_here(_object: Any, name: str | None, *_: Any) -> bool:
        return name != elsewhere

    database = open_database(tmp_path, empty_url)
    with database.write() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_here})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_each_migration_follows_the_one_before() -> None:
    # Two that were written side by side would leave no database that can be opened.
    script = ScriptDirectory(str(MIGRATIONS))
    assert [each.revision for each in script.walk_revisions()][::-1] == Database.known_versions()


def test_opening_again_keeps_what_is_there(tmp_path: Path, database_url: str | None) -> None:
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


class OldRows:
    """The tables of an earlier version."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        old = MetaData()
        old.reflect(connection)
        self.tables = old.tables

    def put(self, table: str, **known: Any) -> None:
        """Store a row: what is not given is of its column's kind, and empty."""
        empty: dict[str, Any] = {"VARCHAR": "", "TEXT": "", "JSON": "[]", "BOOLEAN": False}
        row = {
            column.name: empty.get(str(column.type).partition("(")[0], 0)
            for column in self.tables[table].columns
            if not column.nullable and column.server_default is None
        }
        self._connection.execute(self.tables[table].insert().values(row | known))


def test_what_jobs_and_claims_said_before_gets_its_reason(
    tmp_path: Path, empty_url: str | None
) -> None:
    database = Database(empty_url or f"sqlite:///{tmp_path / 'farm.sqlite'}")
    database.migrate("0018")
    before = {
        ("running", "Waits: no room.", ""): "runner",
        ("ready", "Waits for another machine: 'h' failed 3 times in a row.", ""): "other_machine",
        ("ready", "Waits for a licence. None. Next try at 10:00:00 UTC.", ""): "licence",
        ("running", "Waits for another licence. None. Next try at 10:00:00 UTC.", ""): (
            "other_licence"
        ),
        ("running", "Trying again: Blender ended with code 1.", ""): "trying_again",
        ("failed", "Trying again: is what the renderer said.", ""): "frames",
        ("failed", "Failed: test frame 1; the other 9 were not started.", ""): "test_frames",
        ("pending", "Waits for 'simulate'.", ""): "jobs",
        ("blocked", "Blocked: 'simulate' failed.", ""): "jobs",
        ("suspended", "Suspended: the account is disabled.", "disabled"): "disabled",
        ("suspended", "Suspended by its user.", ""): "user",
        ("stopped", "Stopped: its budget of 1 credits is used up.", ""): "budget",
        ("running", "", ""): "",
    }
    claimed = {
        ("completed", "The renderer ended without delivering every frame."): True,
        ("completed", ""): False,
        ("stopped", "Stopped."): False,
        ("no_licence", "None left."): True,
        ("lost", "Its runner fell silent."): True,
        ("failed", ""): False,
    }
    with database.write() as connection:
        put = OldRows(connection).put
        now = datetime(2026, 1, 2, 3, 4, 5)
        put("accounts", id="a", email="a", plan="Standard", created_at=now)
        put("projects", id="p", account_id="a", updated_at=now)
        put("submissions", id="s", account_id="a", project_id="p", submitted_at=now)
        for place, (state, message, held) in enumerate(before):
            of_job = {"id": f"j{place}", "submission_id": "s", "account_id": "a"}
            said = {"state": state, "sentence": message, "suspended_for": held}
            put("jobs", **of_job, **said, position=place, submitted_at=now)
        put("runners", id="r", job_id="j0", token_hash="t", expires_at=now, created_at=now)
        for place, (outcome, message) in enumerate(claimed):
            of_claim = {"id": f"c{place}", "runner_id": "r", "job_id": "j0"}
            ended = {"outcome": outcome, "sentence": message, "ended_at": now}
            put("claims", **of_claim, **ended, created_at=now, heartbeat_at=now)
    database.migrate()
    with database.read() as connection:
        found = connection.execute(select(jobs.c.state, jobs.c.message, jobs.c.reason)).all()
        assert {(row.state, row.message): row.reason for row in found} == {
            (state, message): reason for (state, message, _), reason in before.items()
        }
        of_claims = connection.execute(select(claims.c.outcome, claims.c.message, claims.c.failed))
        assert {(row.outcome, row.message): row.failed for row in of_claims} == claimed
    database.close()


def test_a_feed_that_was_never_trimmed_keeps_its_newest_lines(
    tmp_path: Path, empty_url: str | None
) -> None:
    database = Database(empty_url or f"sqlite:///{tmp_path / 'farm.sqlite'}")
    database.migrate("0020")
    many = 30_000
    """Lines of one job: more than can be compared with each other."""
    now = datetime(2026, 1, 2, 3, 4, 5)
    with database.write() as connection:
        old = OldRows(connection)
        old.put("accounts", id="a", email="a", plan="Standard", created_at=now)
        old.put("projects", id="p", account_id="a", updated_at=now)
        old.put("submissions", id="s", account_id="a", project_id="p", submitted_at=now)
        for place in range(3):
            of_job = {"id": f"j{place}", "submission_id": "s", "account_id": "a"}
            old.put("jobs", **of_job, position=place, submitted_at=now)
        lines = [
            *(("j0", None), ("j0", "x"), ("j1", "x"), ("j0", "y"), ("j2", None)),
            *[("j1", None)] * many,
            *(("j0", "x"), ("j0", None)),
        ]
        connection.execute(
            old.tables["changes"].insert(),
            [{"account_id": "a", "job_id": job, "output_path": path} for job, path in lines],
        )
    database.migrate()
    with database.write() as connection:
        found = connection.execute(select(changes).order_by(changes.c.id)).all()
        newest = [("j1", "x"), ("j0", "y"), ("j2", None), ("j1", None), ("j0", "x"), ("j0", None)]
        assert [(row.job_id, row.output_path) for row in found] == newest
        assert found[-1].id == len(lines)
        feed.job_changed(connection, "a", "j1")
        assert feed.newest(connection, "a") == len(lines) + 1
    database.close()


def test_addresses_get_one_spelling_unless_somebody_has_it(
    tmp_path: Path, empty_url: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(empty_url or f"sqlite:///{tmp_path / 'farm.sqlite'}")
    database.migrate("0023")
    before = {
        "plain": "ann@example.com",
        "decomposed": "bjo\u0308rn@example.com",
        "wide": "\uff42ob@example.com",
        # Two that become one, of which one has the form; and two of which none has.
        "one": "zo\u00eb@example.com",
        "other": "zoe\u0308@example.com",
        "first": "\ufb01ona@example.com",
        "second": "f\uff49ona@example.com",
        "long": "\ufdfa" * 20 + "@example.com",
    }
    with database.write() as connection:
        old = OldRows(connection)
        for number, (name, email) in enumerate(before.items()):
            made = datetime(2026, 1, 1 + number)
            values = {"id": name, "email": email, "plan": "Standard", "created_at": made}
            old.put("accounts", name=name, **values)
    database.migrate()
    with database.read() as connection:
        after = {each.id: each.email for each in accounts.fetch_all(connection)}
        # Everybody is found as before.
        for name, email in before.items():
            found = accounts.by_email(connection, email)
            assert found is not None
            assert found.id == name
    changed = {
        "decomposed": "bj\u00f6rn@example.com",
        "wide": "bob@example.com",
        "first": "fiona@example.com",
    }
    assert after == before | changed
    told = [each.getMessage() for each in caplog.records if "one address" in each.getMessage()]
    assert len(told) == 2
    assert r"'zoe\u0308@example.com' and 'zo\xeb@example.com'" in told[0]
    assert r"'f\uff49ona@example.com' and 'fiona@example.com'" in told[1]
    database.close()
