"""Status messages of jobs: a text for people, and the reason behind it for the farm.

A job's behaviour depends on the reason. Messages are only displayed; nothing depends on their
words.
"""

from dataclasses import dataclass
from datetime import datetime

from farm_protocol.jobs import JobReason


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A message and its reason."""

    message: str = ""
    reason: JobReason = JobReason.NONE


NO_MESSAGE = StatusMessage()

WAITS = frozenset(
    {JobReason.RUNNER, JobReason.OTHER_MACHINE, JobReason.LICENCE, JobReason.OTHER_LICENCE}
)
"""Temporary reasons of running jobs, which are withdrawn later."""


def no_runner(why: str) -> StatusMessage:
    """Return the status of a job for which no runner can be started."""
    return StatusMessage(f"Waiting: {why}", JobReason.RUNNER)


def another_machine(why: str) -> StatusMessage:
    """Return the status of a job that waits for a suitable machine."""
    return StatusMessage(f"Waiting for another machine: {why}.", JobReason.OTHER_MACHINE)


def no_licence(why: str, until: datetime, *, others: bool) -> StatusMessage:
    """A renderer got no licence.

    Parameters:
        why: as reported by its runner.
        until: time of the next attempt.
        others: other renderers of the job have one.
    """
    what, reason = "Waiting for a licence.", JobReason.LICENCE
    if others:
        what, reason = "Waiting for another licence.", JobReason.OTHER_LICENCE
    return StatusMessage(f"{what} {why.rstrip('.')}. Next try at {until:%H:%M:%S} UTC.", reason)


def trying_again(why: str) -> StatusMessage:
    """A claim failed or was lost, and its frames wait again."""
    return StatusMessage(f"Trying again: {why}", JobReason.TRYING_AGAIN)
