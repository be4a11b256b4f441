"""The one table of job states: which event leads from which state to which.

Every change of a job's state, whatever its cause, is looked up here; only `farm.scheduler.writer`
stores the result.
"""

from enum import StrEnum

from farm_protocol.jobs import JobState


class Event(StrEnum):
    """What can happen to a job."""

    DEPENDENCIES_MET = "dependencies_met"
    DEPENDENCY_LOST = "dependency_lost"
    DEPENDENCY_WAITS = "dependency_waits"
    CLAIMED = "claimed"
    ALL_FRAMES_DONE = "all_frames_done"
    FRAMES_GAVE_UP = "frames_gave_up"
    SUSPEND = "suspend"
    RESUME = "resume"
    STOP = "stop"
    RUNNERS_GONE = "runners_gone"
    RETRY = "retry"
    RESTART = "restart"


class IllegalTransitionError(ValueError):
    """The event is not allowed in this state. ``str()`` is a message for people."""


ASKED_FOR = frozenset({Event.SUSPEND, Event.RESUME, Event.STOP, Event.RETRY, Event.RESTART})
"""Events requested by users; the others happen by themselves."""

_S = JobState
_E = Event

_LIVE = (_S.PENDING, _S.READY, _S.RUNNING, _S.SUSPENDED, _S.BLOCKED)

TABLE: dict[tuple[JobState, Event], JobState] = {
    (_S.PENDING, _E.DEPENDENCIES_MET): _S.READY,
    (_S.PENDING, _E.DEPENDENCY_LOST): _S.BLOCKED,
    (_S.PENDING, _E.DEPENDENCY_WAITS): _S.PENDING,
    (_S.PENDING, _E.SUSPEND): _S.SUSPENDED,
    (_S.PENDING, _E.STOP): _S.STOPPED,
    (_S.READY, _E.CLAIMED): _S.RUNNING,
    # Its dependency is retried, and it has not started.
    (_S.READY, _E.DEPENDENCY_WAITS): _S.PENDING,
    (_S.READY, _E.DEPENDENCY_LOST): _S.BLOCKED,
    (_S.READY, _E.SUSPEND): _S.SUSPENDED,
    # A runner that was busy when its job was suspended may finish the last frame afterwards.
    (_S.READY, _E.ALL_FRAMES_DONE): _S.COMPLETED,
    (_S.READY, _E.FRAMES_GAVE_UP): _S.FAILED,
    (_S.READY, _E.STOP): _S.STOPPING,
    (_S.RUNNING, _E.CLAIMED): _S.RUNNING,
    (_S.RUNNING, _E.ALL_FRAMES_DONE): _S.COMPLETED,
    (_S.RUNNING, _E.FRAMES_GAVE_UP): _S.FAILED,
    (_S.RUNNING, _E.SUSPEND): _S.SUSPENDED,
    (_S.RUNNING, _E.STOP): _S.STOPPING,
    (_S.SUSPENDED, _E.ALL_FRAMES_DONE): _S.COMPLETED,
    (_S.SUSPENDED, _E.FRAMES_GAVE_UP): _S.FAILED,
    # PENDING, not READY: the writer then checks whether its dependencies have completed.
    (_S.SUSPENDED, _E.RESUME): _S.PENDING,
    (_S.SUSPENDED, _E.STOP): _S.STOPPING,
    (_S.STOPPING, _E.STOP): _S.STOPPING,
    (_S.STOPPING, _E.RUNNERS_GONE): _S.STOPPED,
    (_S.BLOCKED, _E.DEPENDENCIES_MET): _S.READY,
    (_S.BLOCKED, _E.DEPENDENCY_LOST): _S.BLOCKED,
    (_S.BLOCKED, _E.DEPENDENCY_WAITS): _S.PENDING,
    # It stays suspended when its dependency is retried; once resumed, it may be blocked again.
    (_S.BLOCKED, _E.SUSPEND): _S.SUSPENDED,
    (_S.BLOCKED, _E.STOP): _S.STOPPED,
    # PENDING, not READY, for the same reason.
    (_S.FAILED, _E.RETRY): _S.PENDING,
    (_S.STOPPED, _E.RETRY): _S.PENDING,
    (_S.FAILED, _E.RESTART): _S.PENDING,
    (_S.STOPPED, _E.RESTART): _S.PENDING,
    (_S.COMPLETED, _E.RESTART): _S.PENDING,
    # Repeating a request changes nothing: a second click does no harm.
    **{(state, _E.STOP): state for state in (_S.STOPPED, _S.COMPLETED, _S.FAILED)},
    (_S.SUSPENDED, _E.SUSPEND): _S.SUSPENDED,
    **{(state, _E.RESUME): state for state in (_S.PENDING, _S.READY, _S.RUNNING, _S.BLOCKED)},
    **{(state, _E.RETRY): state for state in (*_LIVE, _S.COMPLETED)},
    **{(state, _E.RESTART): state for state in _LIVE},
}


def next_state(state: JobState, event: Event, *, at_work: bool = False) -> JobState:
    """Return the state after ``event``. Raises IllegalTransitionError when it is not allowed.

    Parameters:
        at_work: runners have frames of the job. A waiting job may have some, too: it was started
            before it had to wait again. A job is stopped only when no runner works on it any more.
    """
    try:
        after = TABLE[state, event]
    except KeyError:
        raise IllegalTransitionError(
            f"A job that is {state} cannot take the event '{event}'."
        ) from None
    if at_work and event is Event.STOP and after is JobState.STOPPED:
        return JobState.STOPPING
    return after
