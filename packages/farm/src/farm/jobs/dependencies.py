"""Dependencies between the jobs of a submission."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from farm_protocol.jobs import JobState

from farm.jobs.transitions import Event


def find_cycle(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the ids along a dependency cycle, first one repeated at the end; [] without one."""
    try:
        TopologicalSorter({key: list(value) for key, value in needs.items()}).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


_LOST = frozenset({JobState.FAILED, JobState.STOPPED, JobState.BLOCKED})


def dependency_event(needed: Iterable[JobState]) -> Event | None:
    """Return what a waiting job's dependencies mean for it: met, lost, or None (still waiting)."""
    states = list(needed)
    if any(state in _LOST for state in states):
        return Event.DEPENDENCY_LOST
    if all(state is JobState.COMPLETED for state in states):
        return Event.DEPENDENCIES_MET
    return None
