"""What jobs say of themselves: a message for people, and the reason behind it for the farm.

What a job does follows from the reason. Messages are shown, and nothing depends on their words.
"""

from dataclasses import dataclass
from datetime import datetime

from farm_protocol.jobs import JobReason


@dataclass(frozen=True, slots=True)
class Said:
    """A message and what it is about."""

    message: str = ""
    reason: JobReason = JobReason.NONE


NOTHING = Said()

WAITS = frozenset(
    {JobReason.RUNNER, JobReason.OTHER_MACHINE, JobReason.LICENCE, JobReason.OTHER_LICENCE}
)
"""What jobs at work say for a while, so that it is taken back."""


def no_runner(why: str) -> Said:
    """Return what a job says while no runner can be started for it."""
    return Said(f"Waiting: {why}", JobReason.RUNNER)


def another_machine(why: str) -> Said:
    """Return what a job says while it waits for a machine that is fit for it."""
    return Said(f"Waiting for another machine: {why}.", JobReason.OTHER_MACHINE)


def no_licence(why: str, until: datetime, *, others: bool) -> Said:
    """A renderer got no licence.

    Parameters:
        why: as its runner tells.
        until: when the next try is.
        others: of the job's renderers have one.
    """
    what, reason = "Waiting for a licence.", JobReason.LICENCE
    if others:
        what, reason = "Waiting for another licence.", JobReason.OTHER_LICENCE
    return Said(f"{what} {why.rstrip('.')}. Next try at {until:%H:%M:%S} UTC.", reason)


def trying_again(why: str) -> Said:
    """A claim failed or was lost, and its frames wait again."""
    return Said(f"Trying again: {why}", JobReason.TRYING_AGAIN)
