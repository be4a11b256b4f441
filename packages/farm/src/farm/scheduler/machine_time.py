"""What a claim's machine time costs, from one sign of life to the next."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from farm.accounts import credits
from farm.db.claims import ClaimRow
from farm.db.job_rows import JobRow
from farm.jobs.pricing import confirmed_seconds, machine_time_micros


def unposted(own: ClaimRow, heard_at: datetime) -> float:
    """Return the claim's time since its last charge, up to a sign of life that arrives now."""
    return own.unposted_seconds + confirmed_seconds(own.heartbeat_at, heard_at)


def charge(
    connection: Connection, row: JobRow, reference: str, seconds: float, now: datetime
) -> int:
    """Charge machine time; return what it costs, in micros. The caller notes both."""
    micros = machine_time_micros(seconds, Decimal(row.credits_per_hour))
    credits.charge(connection, row.account_id, reference, micros, now)
    return micros
