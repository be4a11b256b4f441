"""What a claim's machine time costs, from one sign of life to the next."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from farm.accounts import credits
from farm.db.claims import ClaimRow
from farm.db.job_rows import JobRow
from farm.jobs.pricing import confirmed_seconds, free_waiting, machine_time_micros


def unposted(
    own: ClaimRow, heard_at: datetime, waiting: float = 0.0, *, no_room: bool = False
) -> float:
    """Return a claim's time since its last charge, up to a sign of life that arrives now.

    Parameters:
        waiting: seconds that its runner claims to have only waited for the farm.
        no_room: the farm's disk is full.
    """
    metered = own.seconds + own.unposted_seconds
    free_before = (own.heartbeat_at - own.created_at).total_seconds() - metered
    free = free_waiting(waiting, max(0.0, free_before), no_room)
    return own.unposted_seconds + max(0.0, confirmed_seconds(own.heartbeat_at, heard_at) - free)


def charge(
    connection: Connection, row: JobRow, reference: str, seconds: float, now: datetime
) -> int:
    """Charge machine time; return its cost, in micros. The caller records both."""
    micros = machine_time_micros(seconds, Decimal(row.credits_per_hour))
    credits.charge(connection, row.account_id, reference, micros, now)
    return micros
