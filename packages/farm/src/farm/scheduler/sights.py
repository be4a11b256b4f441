"""What an engine's view of the runners implies: who is gone, has started, or waits why. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from farm.engines.port import Phase, Sight


class Runner(Protocol):
    """What must be known about a runner."""

    @property
    def job_id(self) -> str: ...

    @property
    def reference(self) -> str | None: ...

    @property
    def heard_at(self) -> datetime | None: ...


R = TypeVar("R", bound=Runner)

Sights = Mapping[str, Sight]
"""By the runners' references; a runner that is missing was not seen."""


def gone(living: Sequence[R], sights: Sights) -> list[R]:
    """Return the runners that no longer exist, according to their engine."""
    return [each for each in living if _phase(each, sights) is Phase.GONE]


def begun(living: Sequence[R], sights: Sights) -> list[R]:
    """Return the runners that have left their engine's queue but have not reported yet."""
    return [
        each for each in living if each.heard_at is None and _phase(each, sights) is Phase.RUNNING
    ]


def queued(living: Sequence[Runner], sights: Sights) -> dict[str, str]:
    """Return the jobs whose runners are all queued, and why, if known."""
    found: dict[str, str] = {}
    at_work: set[str] = set()
    for each in living:
        if each.heard_at is None and _phase(each, sights) is Phase.QUEUED:
            found[each.job_id] = found.get(each.job_id) or sights[each.reference or ""].reason
        else:
            at_work.add(each.job_id)
    return {job_id: reason for job_id, reason in found.items() if job_id not in at_work}


def _phase(runner: Runner, sights: Sights) -> Phase | None:
    sight = sights.get(runner.reference or "")
    return sight.phase if sight is not None else None
