from collections import Counter
from typing import Any

import pytest
from farm.jobs.progress import NOTHING_MOVED, Moved
from farm.jobs.retries import (
    MAX_FAILURES,
    MAX_LOSSES,
    Attempted,
    ClaimEnd,
    FrameState,
    judge_unfinished,
)
from farm.jobs.transitions import TABLE, Event, IllegalTransitionError, next_state
from farm_protocol.jobs import JobState
from hypothesis import given
from hypothesis import strategies as st

fresh = [Attempted(number, 0, 0) for number in (5, 6, 7)]


def test_every_state_is_reached_and_every_event_is_used() -> None:
    assert set(TABLE.values()) >= set(JobState) - {JobState.PENDING}
    assert {event for _, event in TABLE} == set(Event)


def test_what_the_table_does_not_hold_is_refused() -> None:
    for state in JobState:
        for event in Event:
            if (state, event) not in TABLE:
                with pytest.raises(IllegalTransitionError):
                    next_state(state, event)


def test_a_completed_job_stays_completed_until_it_is_started_over() -> None:
    after = {event: to for (state, event), to in TABLE.items() if state is JobState.COMPLETED}
    assert after.pop(Event.RESTART) is JobState.PENDING
    assert set(after.values()) == {JobState.COMPLETED}


def test_no_job_is_stopped_while_somebody_works_on_it() -> None:
    for state, event in TABLE:
        if event is Event.STOP and state is not JobState.STOPPED:
            assert next_state(state, event, at_work=True) is not JobState.STOPPED


@pytest.mark.parametrize("at_work", [False, True])
def test_work_that_goes_on_changes_nothing_but_a_stop(at_work: bool) -> None:
    for (state, event), after in TABLE.items():
        found = next_state(state, event, at_work=at_work)
        is_stop = event is Event.STOP and after is JobState.STOPPED
        assert found is (JobState.STOPPING if is_stop and at_work else after)
        if not at_work:
            assert next_state(state, event) is found


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_no_sequence_of_events_leaves_a_job_without_a_way_to_end(events: list[Event]) -> None:
    state = JobState.READY
    for event in events:
        if (state, event) in TABLE:
            state = TABLE[state, event]
    stopped = next_state(state, Event.STOP)
    if stopped is JobState.STOPPING:
        stopped = next_state(stopped, Event.RUNNERS_GONE)
    assert stopped.is_final


def test_only_the_frame_it_was_at_is_blamed() -> None:
    verdicts = judge_unfinished(
        fresh, ClaimEnd.FAILED, frame=None, frame_reached=True, permanent=False
    )
    assert [(each.failures, each.state) for each in verdicts] == [
        (1, FrameState.WAITING),
        (0, FrameState.WAITING),
        (0, FrameState.WAITING),
    ]


@pytest.mark.parametrize("frame_reached", [True, False])
def test_the_frame_that_the_runner_names_is_blamed(frame_reached: bool) -> None:
    verdicts = judge_unfinished(
        fresh, ClaimEnd.FAILED, frame=6, frame_reached=frame_reached, permanent=False
    )
    assert [each.failures for each in verdicts] == [0, 1, 0]


def test_a_frame_that_was_done_meanwhile_is_not_blamed_but_the_next() -> None:
    verdicts = judge_unfinished(fresh, ClaimEnd.LOST, frame=4, frame_reached=False, permanent=False)
    assert [each.losses for each in verdicts] == [1, 0, 0]


def test_a_scene_that_does_not_load_fails_all_its_frames_together() -> None:
    frames = fresh
    for _ in range(MAX_FAILURES):
        verdicts = judge_unfinished(
            frames, ClaimEnd.FAILED, frame=None, frame_reached=False, permanent=False
        )
        frames = [Attempted(each.number, each.failures, each.losses) for each in verdicts]
    assert {each.state for each in verdicts} == {FrameState.FAILED}


def test_a_stopped_claim_blames_nobody() -> None:
    verdicts = judge_unfinished(
        fresh, ClaimEnd.STOPPED, frame=None, frame_reached=True, permanent=False
    )
    assert all((each.failures, each.losses) == (0, 0) for each in verdicts)


def test_a_lost_runner_is_forgiven_more_often_than_a_failure() -> None:
    frame = [Attempted(1, 0, MAX_LOSSES - 2)]
    kept = judge_unfinished(frame, ClaimEnd.LOST, frame=None, frame_reached=True, permanent=False)
    assert kept[0].state is FrameState.WAITING
    frame = [Attempted(1, 0, MAX_LOSSES - 1)]
    given_up = judge_unfinished(
        frame, ClaimEnd.LOST, frame=None, frame_reached=True, permanent=False
    )
    assert given_up[0].state is FrameState.FAILED


def test_a_permanent_failure_is_not_tried_again() -> None:
    verdicts = judge_unfinished(
        fresh, ClaimEnd.FAILED, frame=None, frame_reached=True, permanent=True
    )
    assert {each.state for each in verdicts} == {FrameState.FAILED}


state_pairs = st.tuples(st.sampled_from(FrameState), st.sampled_from(FrameState))


@given(st.lists(st.tuples(state_pairs, st.integers(0, 5))))
def test_what_is_moved_is_what_the_counts_change_by(moves: list[Any]) -> None:
    frames = Counter(dict.fromkeys(FrameState, 100))
    moved = NOTHING_MOVED
    for (before, after), count in moves:
        frames[before] -= count
        frames[after] += count
        moved += Moved.of(before, after, count)
    assert (100 + moved.done, 100 + moved.failed, 100 + moved.running) == (
        frames[FrameState.DONE],
        frames[FrameState.FAILED],
        frames[FrameState.RUNNING],
    )
    assert bool(moved) == ((moved.done, moved.failed, moved.running) != (0, 0, 0))
