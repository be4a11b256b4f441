"""Credits as exact whole numbers: millionths of a credit ("micros"). And the machine time that they
pay for.
"""

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

    A runner that is silent for longer than `CLAIM_TIMEOUT_SECONDS` counts as lost, so no gap is
    charged for longer, however far a clock jumps or long a machine sleeps. A clock that was set
    back charges nothing.
    """
    return min(max(0.0, (now - last).total_seconds()), CLAIM_TIMEOUT_SECONDS)


FREE_WAITING_SECONDS = 300.0
"""How long a runner waits per claim for a farm that does not answer. See `free_waiting`."""


def free_waiting(reported: float, free_before: float, no_room: bool) -> float:
    """Return how much of the time since the last sign of life was the farm's own fault.

    Parameters:
        reported: seconds in which, by its runner's account, nothing was rendered and the farm did
            not accept a result.
        free_before: seconds of the claim that were free before.
        no_room: the farm knows that its disk is full: it may take hours until there is space.
    """
    return reported if no_room else min(reported, max(0.0, FREE_WAITING_SECONDS - free_before))


FREE_ENDING_SECONDS = 30.0
"""How long a renderer that has delivered all frames of its claim may take to end for free."""


def charged_seconds(since: float, delivered: bool, before: float) -> float:
    """Return how much of a claim's time since its last charge is charged.

    Once all of its frames are delivered, a renderer only has to end. That is free, but not for
    longer than `FREE_ENDING_SECONDS`, nor for longer than the frames took: frames can be trivial,
    and the free time what a scene is after.

    Parameters:
        since: seconds since the last charge; since the last frame, once all are delivered.
        delivered: all frames of the claim are.
        before: seconds that were charged for these frames.
    """
    return max(0.0, since - min(before, FREE_ENDING_SECONDS)) if delivered else since


def machine_time_micros(seconds: float, credits_per_hour: Decimal) -> int:
    """Return the price of ``seconds`` on one instance."""
    return to_micros(Decimal(repr(seconds)) * credits_per_hour / 3600)
