"""Credits as exact whole numbers: millionths of a credit ("micros"). And the time they pay."""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from farm_protocol.runner import CLAIM_TIMEOUT_SECONDS

MICROS_PER_CREDIT = 1_000_000


def to_micros(credits: Decimal) -> int:
    """Return credits in micros, rounded half to even."""
    return int((credits * MICROS_PER_CREDIT).quantize(Decimal(1), ROUND_HALF_EVEN))


def to_credits(micros: int) -> Decimal:
    """Return micros in credits, exactly."""
    return Decimal(micros) / MICROS_PER_CREDIT


def confirmed_seconds(last: datetime, now: datetime) -> float:
    """Return the machine time between two signs of life of a runner, by the farm's clock.

    A runner that is silent for longer than `CLAIM_TIMEOUT_SECONDS` is as good as lost, so no gap
    counts for more: whatever a clock jumps, and however long a machine sleeps. A clock that was
    set back counts for nothing.
    """
    return min(max(0.0, (now - last).total_seconds()), CLAIM_TIMEOUT_SECONDS)


def machine_time_micros(seconds: float, credits_per_hour: Decimal) -> int:
    """Return the price of ``seconds`` of one instance."""
    return to_micros(Decimal(repr(seconds)) * credits_per_hour / 3600)
