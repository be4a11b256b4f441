"""Credits as exact whole numbers: millionths of a credit ("micros")."""

from decimal import ROUND_HALF_EVEN, Decimal

MICROS_PER_CREDIT = 1_000_000


def to_micros(credits: Decimal) -> int:
    """Return credits in micros, rounded half to even."""
    return int((credits * MICROS_PER_CREDIT).quantize(Decimal(1), ROUND_HALF_EVEN))


def to_credits(micros: int) -> Decimal:
    """Return micros in credits, exactly."""
    return Decimal(micros) / MICROS_PER_CREDIT


def machine_time_micros(seconds: float, credits_per_hour: Decimal) -> int:
    """Return the price of ``seconds`` of one instance."""
    return to_micros(Decimal(repr(seconds)) * credits_per_hour / 3600)
