"""Ways to let time pass that costs something, and to look at what it has cost."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from farm.accounts.credits import grant
from farm.db import accounts, ledger
from farm.db.tables import claims
from sqlalchemy import update

from .conftest import Farm, spec
from .runners import FakeRunner


def worked(farm: Farm, seconds: float) -> None:
    """Let heartbeats have confirmed so many seconds more of the open claims."""
    with farm.database.write() as connection:
        more = claims.c.unposted_seconds + seconds
        connection.execute(
            update(claims).where(claims.c.ended_at.is_(None)).values(unposted_seconds=more)
        )


def heard(farm: Farm, seconds: float) -> None:
    """Let the clock have jumped since the last sign of life: forth, or (negative) back."""
    with farm.database.write() as connection:
        then = datetime.now(UTC) - timedelta(seconds=seconds)
        connection.execute(update(claims).values(heartbeat_at=then))


def started(farm: Farm, ann: httpx.Client, **changes: Any) -> FakeRunner:
    ann.post("/v1/submissions", json=spec(instances=1, **changes)).raise_for_status()
    runner = FakeRunner(farm)
    assert runner.claim()
    return runner


def money(ann: httpx.Client) -> tuple[float, float]:
    me = ann.get("/v1/me").json()
    return me["credits_available"], me["credits_consumed"]


def top_up(farm: Farm, email: str, credits: int) -> None:
    with farm.database.write() as connection:
        account = accounts.by_email(connection, email)
        assert account is not None
        grant(connection, account.id, Decimal(credits), "top-up")
    farm.wakeup.notify()


def adds_up(farm: Farm) -> None:
    with farm.database.read() as connection:
        assert ledger.faults(connection) == []
