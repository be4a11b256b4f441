"""Dependencies between the jobs of a submission: which may start, wait, or are blocked by which.

Decisions are made for a whole submission at once: a chain of a thousand jobs is one pass.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from farm_protocol.jobs import JobReason, JobState

from farm.jobs.status_messages import NO_MESSAGE, StatusMessage
from farm.jobs.transitions import Event, next_state

_SHOWN = 5
"""Most jobs that a message names."""


@dataclass(frozen=True, slots=True)
class Node:
    """A job of a submission.

    Attributes:
        needs: ids of the jobs that it waits for, all in the submission.
        status: its current message.
        begun: a frame of it is done, was given up, or was claimed.
    """

    id: str
    name: str
    state: JobState
    needs: Sequence[str]
    status: StatusMessage = NO_MESSAGE
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    """The effect of a waiting job's dependencies now."""

    job_id: str
    event: Event
    status: StatusMessage


def find_cycle(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the ids along a dependency cycle, first one repeated at the end; [] without one."""
    try:
        TopologicalSorter({key: list(value) for key, value in needs.items()}).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


_LOST = frozenset({JobState.FAILED, JobState.STOPPED, JobState.BLOCKED})
_WAITING = frozenset({JobState.PENDING, JobState.BLOCKED})


def review(nodes: Iterable[Node]) -> list[Review]:
    """Return a review for each waiting job whose situation has changed; dependencies first.

    Waiting jobs are pending or blocked, or ready and not started: when their dependencies are
    retried, they must not use partial results.

    A waiting job is released when all its dependencies have completed. It is blocked as soon as one
    of them has failed, was stopped, or is itself blocked; it then names the job at the root.
    Otherwise it waits (again). Jobs in any other state have been started, or are up to their user
    (suspended): they do not change.

    Parameters:
        nodes: all jobs of a submission, without a cycle.
    """
    known = {node.id: node for node in nodes}
    states = {node.id: node.state for node in known.values()}
    roots: dict[str, str] = {}
    reviews = []
    for job_id in TopologicalSorter(
        {key: node.needs for key, node in known.items()}
    ).static_order():
        node = known[job_id]
        untouched = node.state is JobState.READY and not node.begun
        if not untouched and node.state not in _WAITING:
            continue
        lost = next((needed for needed in node.needs if states[needed] in _LOST), None)
        if lost is not None:
            roots[job_id] = roots.get(lost, lost)
            status = StatusMessage(_blocked(known[roots[job_id]], known[lost]), JobReason.JOBS)
            event = Event.DEPENDENCY_LOST
        else:
            waits_for = [known[n].name for n in node.needs if states[n] is not JobState.COMPLETED]
            if untouched and not waits_for:
                continue
            status = NO_MESSAGE
            if waits_for:
                status = StatusMessage(f"Waiting for {_names(waits_for)}.", JobReason.JOBS)
            event = Event.DEPENDENCY_WAITS if waits_for else Event.DEPENDENCIES_MET
        states[job_id] = next_state(node.state, event)
        if states[job_id] is not node.state or status != node.status:
            reviews.append(Review(job_id, event, status))
    return reviews


def _blocked(root: Node, lost: Node) -> str:
    came_to = "failed" if root.state is JobState.FAILED else "was stopped"
    between = f" ('{lost.name}' needs it)" if lost is not root else ""
    return f"Blocked: '{root.name}' {came_to}{between}."


def _names(names: Sequence[str]) -> str:
    shown = [f"'{name}'" for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        shown.append(f"{len(names) - _SHOWN} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
