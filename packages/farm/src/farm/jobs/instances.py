"""How many runners may work on a job at a time."""

BY_PLAN = 0
"""As a job's instances: the plan of its user decides, as it is at the time."""


def most_runners(instances: int, plan_limit: int) -> int:
    """Return the most runners of a job.

    Parameters:
        instances: that its user asked for.
        plan_limit: instances of one job in the user's plan.
    """
    return min(plan_limit if instances == BY_PLAN else instances, plan_limit)
