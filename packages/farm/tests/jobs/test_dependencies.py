"""Who may start, who waits, who is blocked by whom: any graph, against a slow and simple model."""

from dataclasses import replace

from farm.jobs.dependencies import Node, find_cycle, review
from farm.jobs.transitions import Event, next_state
from farm_protocol.jobs import JobState
from hypothesis import given
from hypothesis import strategies as st
from messages import saying

LOST = {JobState.FAILED, JobState.STOPPED, JobState.BLOCKED}
WAITING = {JobState.PENDING, JobState.BLOCKED}


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Any graph without a circle, its jobs in any order and any state."""
    count = draw(st.integers(1, 8))
    nodes = [
        Node(
            str(index),
            f"job {index}",
            draw(st.sampled_from(list(JobState))),
            [str(each) for each in range(index) if draw(st.booleans())],
            begun=draw(st.booleans()),
        )
        for index in range(count)
    ]
    return draw(st.permutations(nodes))


def waits(node: Node) -> bool:
    return node.state in WAITING or (node.state is JobState.READY and not node.begun)


def settled(nodes: list[Node]) -> dict[str, JobState]:
    """Return the states as they must come to be: the rule applied until nothing changes."""
    states = {node.id: node.state for node in nodes}
    while True:
        before = dict(states)
        for node in nodes:
            if not waits(node):
                continue
            needed = [states[each] for each in node.needs]
            if any(state in LOST for state in needed):
                states[node.id] = JobState.BLOCKED
            elif all(state is JobState.COMPLETED for state in needed):
                states[node.id] = JobState.READY
            else:
                states[node.id] = JobState.PENDING
        if states == before:
            return states


def chain(*states: JobState) -> list[Node]:
    """Jobs that each need the one before."""
    return [
        Node(str(index), f"job {index}", state, [str(index - 1)] if index else [])
        for index, state in enumerate(states)
    ]


@given(graphs())
def test_every_waiting_job_comes_to_where_the_graph_says(nodes: list[Node]) -> None:
    states = {node.id: node.state for node in nodes}
    for each in review(nodes):
        states[each.job_id] = next_state(states[each.job_id], each.event)
    # The model starts from states that may contradict each other; twice is as good as once.
    assert states == settled([replace(n, state=states[n.id]) for n in nodes])
    assert all(states[n.id] is n.state for n in nodes if not waits(n))


@given(graphs())
def test_a_blocked_job_names_one_that_failed_or_was_stopped(nodes: list[Node]) -> None:
    ended = {n.name for n in nodes if n.state in (JobState.FAILED, JobState.STOPPED)}
    for each in review(nodes):
        if each.event is Event.DEPENDENCY_LOST:
            assert each.status.message.split("'")[1] in ended


def test_what_a_job_says() -> None:
    running, pending = JobState.RUNNING, JobState.PENDING
    assert review(chain(running, pending))[0].status.message == saying("waiting-for-jobs", "job 0")
    assert [each.status.message for each in review(chain(JobState.FAILED, pending, pending))] == [
        saying("job-blocked-by", "job 0"),
        saying("job-blocked-by", "job 0", "job 1"),
    ]
    stopped = review(chain(JobState.STOPPED, pending))[0].status.message
    assert stopped == saying("job-blocked-by", "job 0", "stopped")
    many = [Node(str(n), f"job {n}", running, []) for n in range(9)]
    last = Node("z", "z", pending, [node.id for node in many])
    message = review([last, *many])[0].status.message
    assert message == saying("waiting-for-jobs", *(f"job {n}" for n in range(5)), 4)
    assert many[5].name not in message


def test_a_chain_of_a_thousand_jobs_is_one_pass() -> None:
    jobs = chain(JobState.FAILED, *[JobState.PENDING] * 999)
    reviews = review(list(reversed(jobs)))
    assert [each.job_id for each in reviews] == [str(index) for index in range(1, 1000)]
    assert {each.event for each in reviews} == {Event.DEPENDENCY_LOST}


def test_circles_are_found() -> None:
    assert find_cycle({"a": ["b"], "b": [], "c": ["a", "b"]}) == []
    assert set(find_cycle({"a": ["b"], "b": ["a"]})) == {"a", "b"}


@given(graphs())
def test_a_second_look_finds_nothing_new(nodes: list[Node]) -> None:
    known = {node.id: node for node in nodes}
    for each in review(nodes):
        node = known[each.job_id]
        state = next_state(node.state, each.event)
        known[node.id] = replace(node, state=state, status=each.status)
    assert review(known[node.id] for node in nodes) == []
