"""Users' actions on jobs: on one, on a submission, on all. Each may be repeated.

All functions run in the caller's write transaction, so that of two simultaneous clicks the second
sees the effect of the first, and changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from farm_protocol.jobs import JobChange, JobReason, JobState
from sqlalchemy import Connection, or_, select

from farm.db import claims as claim_rows
from farm.db import feed, frame_runs, frame_states, job_rows, tasks
from farm.db.job_rows import JobColumns, JobRow
from farm.db.tables import frames, jobs
from farm.errors import ConflictError
from farm.frame_health import flags, pictures
from farm.jobs.instances import most_runners
from farm.jobs.progress import NOTHING_MOVED, Moved
from farm.jobs.retries import FrameState
from farm.jobs.status_messages import NO_MESSAGE, StatusMessage
from farm.jobs.transitions import TABLE, Event, IllegalTransitionError, next_state
from farm.scheduler import setbacks, writer


class Action(StrEnum):
    """A user's action on a job; also the last part of the call's address.

    STOP kills what runs. SUSPEND lets frames that are being rendered finish and starts no others.
    RESUME continues. RETRY resets failed frames, and a stopped job renders the rest, except when it
    applies to all of a user's jobs: not every job that was ever stopped is wanted again. RETRY_ALL
    renders every frame again; for an unfinished job it only resets failed frames. RESTART_UNSTARTED
    renders the frames that no renderer has started; the others of a finished job count as failed.
    """

    STOP = "stop"
    SUSPEND = "suspend"
    RESUME = "resume"
    RETRY = "retry"
    RETRY_ALL = "retry_all"
    RESTART_UNSTARTED = "restart_unstarted"


_EVENTS = {
    Action.STOP: Event.STOP,
    Action.SUSPEND: Event.SUSPEND,
    Action.RESUME: Event.RESUME,
    Action.RETRY: Event.RETRY,
    Action.RETRY_ALL: Event.RESTART,
    Action.RESTART_UNSTARTED: Event.RETRY,
}


_LIVE = frozenset(state for state in JobState if not state.is_final) | {JobState.BLOCKED}


def candidates(action: Action | None = None) -> frozenset[JobState]:
    """Return the states of jobs on which an action (None: a `change`) can have an effect.

    Actions on all jobs apply to these, not to every job that the account ever had.
    """
    if action is None:
        return _LIVE
    event = _EVENTS[action]
    moved = {state for (state, on), to in TABLE.items() if on is event and to is not state}
    if action is Action.RETRY:
        moved.remove(JobState.STOPPED)  # It did not fail: its user no longer wanted it.
    # A live job may have frames to reset; a held one may be suspended permanently.
    more = {JobState.SUSPENDED} if action is Action.SUSPEND else set()
    return frozenset(moved | (_LIVE if event in (Event.RETRY, Event.RESTART) else more))


_ANEW = {"failures": 0, "losses": 0, "seconds": 0}
"""Columns of frames that are to be rendered as if for the first time."""

PORTION = 20_000
"""Frames that are reset in one transaction: others must not wait for a million of them."""

_FEWEST = 100
"""Frames of each of many jobs; so few take no time."""


def with_many(
    connection: Connection, job_ids: Sequence[str], action: Action
) -> tuple[list[str], int]:
    """Return the jobs for which an action resets many frames, and how many are few for each.

    Prepare these with `requeue_some`.
    """
    few = max(_FEWEST, PORTION // max(1, len(job_ids))) if len(job_ids) > 1 else PORTION
    if action not in (Action.RETRY, Action.RETRY_ALL):
        return [], few
    found: list[str] = []
    count = jobs.c.frames_failed + jobs.c.frames_done
    for part in job_rows.parts(job_ids):
        query = select(jobs.c.id).where(jobs.c.id.in_(part), count > few)
        found += connection.execute(query).scalars()
    return found, few


def requeue_some(connection: Connection, job_id: str, action: Action, few: int) -> bool:
    """Do a part of what `act` would do with a job's frames; return whether more is left.

    Some are left for `act` in any case. If that is never called, the user finds the job as it was,
    with more frames to do, and may repeat the request.

    Parameters:
        few: maximum number of frames to reset, and to leave for `act`.
    """
    row = job_rows.row(connection, job_id)
    over = _reopens(row, action)
    if over is None:
        return False
    moved = _put_some(connection, job_id, FrameState.FAILED, few)
    if action is Action.RETRY_ALL and over:
        moved += _put_some(connection, job_id, FrameState.DONE, few)
    job_rows.put(connection, row, moved)
    return bool(moved)


def _put_some(connection: Connection, job_id: str, state: FrameState, few: int) -> Moved:
    these = (frames.c.job_id == job_id) & (frames.c.state == state.value)
    until = connection.execute(
        select(frames.c.position).where(these).order_by(frames.c.position).limit(1).offset(few)
    ).scalar_one_or_none()
    if until is None:
        return NOTHING_MOVED
    before = frames.c.position < until
    if state is FrameState.DONE:
        numbers = select(frames.c.number).where(these, before)
        flags.forget(connection, job_id, numbers)
        pictures.forget(connection, job_id, numbers)
    return frame_states.move(connection, job_id, state, FrameState.WAITING, before, **_ANEW)


def act(
    connection: Connection,
    job_id: str,
    action: Action,
    now: datetime,
    *,
    who: str = "its user",
) -> None:
    """Act on one job.

    Parameters:
        who: name for the message of a job that is stopped or suspended.

    Raises:
        ConflictError: the job's present state does not allow it, or there is nothing to restart.
    """
    row = job_rows.row(connection, job_id)
    try:
        next_state(JobState(row.state), _EVENTS[action])
    except IllegalTransitionError:
        words = action.value.replace("_", " ")
        raise ConflictError(f"Cannot {words} '{row.name}': it is {row.state}.") from None
    able = act_on_many(connection, [job_id], action, now, who=who)
    over = row.state in (JobState.FAILED, JobState.STOPPED)
    if action is Action.RESTART_UNSTARTED and over and not able:
        raise ConflictError(
            f"Every frame of '{row.name}' has already been started. Use retry to render its"
            " failed frames again."
        )


def act_on_many(
    connection: Connection,
    job_ids: Sequence[str],
    action: Action,
    now: datetime,
    *,
    who: str = "its user",
) -> list[str]:
    """Act on those of the jobs that allow it; the others stay unchanged.

    Returns the jobs that were changed.
    """
    messages = {
        Action.STOP: StatusMessage(f"Stopped by {who}.", JobReason.USER),
        Action.SUSPEND: StatusMessage(f"Suspended by {who}.", JobReason.USER),
    }
    if action in (Action.STOP, Action.SUSPEND, Action.RESUME):
        able = writer.apply_to_many(
            connection, job_ids, _EVENTS[action], now, messages.get(action, NO_MESSAGE)
        )
        if action is Action.SUSPEND:
            for row in job_rows.fetch_many(connection, job_ids).values():
                writer.hold(connection, row, messages[action])
        return able
    its = job_rows.fetch_many(connection, job_ids).values()
    able = [row.id for row in its if _requeue(connection, row, action)]
    return writer.apply_to_many(connection, able, _EVENTS[action], now, NO_MESSAGE)


def change(connection: Connection, job_ids: Sequence[str], asked: JobChange) -> None:
    """Change priority and instances, even while the jobs run."""
    for job_id, row in job_rows.fetch_many(connection, job_ids).items():
        limit = row.job_throughput_limit
        before = most_runners(row.instances, limit)
        values: JobColumns = {}
        if asked.priority is not None:
            values["priority"] = asked.priority
        if asked.instances is not None:
            values["instances"] = asked.instances
        news = row.news(values)
        if not news:
            continue
        job_rows.put(connection, row, **news)
        feed.job_changed(connection, row.account_id, job_id)
        if most_runners(row.instances, limit) > before:
            # All of its frames may be handed out already; more runners need their share.
            claim_rows.recall(connection, job_id)


def _reopens(row: JobRow, action: Action) -> bool | None:
    """Return whether an action would reopen a finished job; None where that is not allowed."""
    state = JobState(row.state)
    try:
        return next_state(state, _EVENTS[action]) is not state
    except IllegalTransitionError:
        return None


def _requeue(connection: Connection, row: JobRow, action: Action) -> bool:
    """Let frames wait again; return whether there is a reason for the job to continue."""
    job_id = row.id
    over = _reopens(row, action)
    if over is None:
        return False
    setbacks.forget_pause(connection, row)
    if row.hosts_failed:
        tasks.forget_host_failures(connection, job_id)
    if action is Action.RESTART_UNSTARTED:
        return _restart_unstarted(connection, row, over=over)
    again = done = NOTHING_MOVED
    if row.frames_failed:  # A thousand jobs may have none, so nothing is searched unnecessarily.
        failed, waiting = FrameState.FAILED, FrameState.WAITING
        again = frame_states.move(connection, job_id, failed, waiting, **_ANEW)
        again += frame_states.move_untouched(connection, job_id, failed, waiting)
    if over and row.started_at is not None:
        claim_rows.forget_begun(connection, job_id)
    if action is Action.RETRY_ALL and over and row.frames_done:
        done = frame_states.move(connection, job_id, FrameState.DONE, FrameState.WAITING, **_ANEW)
    if done:
        flags.forget(connection, job_id)
        pictures.forget(connection, job_id)
        writer.notice(connection, row, "", 0)
    if again or done:
        job_rows.put(connection, row, again + done)
        feed.job_changed(connection, row.account_id, job_id)
    return row.state != JobState.FAILED.value or bool(again or done)


def _restart_unstarted(connection: Connection, row: JobRow, *, over: bool) -> bool:
    """Let the frames wait that no renderer has started; return whether there are any.

    Parameters:
        over: no runner works on the job. Started frames are then given up, and test frames do not
            block the others: the user wants them in spite of a failed one.
    """
    job_id = row.id
    failed, waiting = FrameState.FAILED, FrameState.WAITING
    # A lost runner's frame may only have been claimed, not started.
    begun = or_(frames.c.failures > 0, frames.c.number.in_(claim_rows.begun_frames(job_id)))
    again = frame_states.move(connection, job_id, failed, waiting, ~begun, losses=0)
    again += frame_states.move_untouched(connection, job_id, failed, waiting)
    given_up = NOTHING_MOVED
    if over:
        query = select(frames.c.number).where(
            frames.c.job_id == job_id, frames.c.state == waiting.value, ~begun
        )
        untouched = frame_runs.any_wait(connection, job_id)
        if not untouched and connection.execute(query.limit(1)).first() is None:
            return False
        given_up = frame_states.move(connection, job_id, waiting, failed, begun)
        job_rows.put(connection, row, test_frames=0)
    if again or given_up:
        job_rows.put(connection, row, again + given_up)
        feed.job_changed(connection, row.account_id, job_id)
    return over or bool(again)
