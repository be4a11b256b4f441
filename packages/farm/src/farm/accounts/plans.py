"""Service plans: how much of the farm one user may take at a time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits of a user.

    Attributes:
        job_throughput_limit: most instances of one job.
        max_throughput: most instances over all of the user's jobs.
    """

    name: str
    job_throughput_limit: int
    max_throughput: int


STANDARD = Plan("Standard", job_throughput_limit=30, max_throughput=30)

PLANS = {plan.name: plan for plan in (STANDARD,)}


def plan_named(name: str) -> Plan:
    """Return the plan; an account whose plan was withdrawn falls back to the standard one."""
    return PLANS.get(name, STANDARD)
