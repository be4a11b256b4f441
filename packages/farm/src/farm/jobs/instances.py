"""How many runners may work on a job at a time."""

BY_PLAN = 0
"""Value of a job's instances that leaves them to its user's plan, as it is at the time."""


def most_runners(instances: int, plan_limit: int) -> int:
    """Return the maximum number of runners of a job.

    Parameters:
        instances: the number that its user asked for.
        plan_limit: instances of one job in the user's plan.
    """
    return min(plan_limit if instances == BY_PLAN else instances, plan_limit)
