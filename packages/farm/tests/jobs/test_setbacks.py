from farm.jobs.hosts import MAX_HOST_FAILURES, avoided
from farm.jobs.licences import (
    FREE_SECONDS_OF_A_DAY,
    FREE_SECONDS_OF_A_TRY,
    free_seconds,
)
from hypothesis import given
from hypothesis import strategies as st

hosts = st.sampled_from("abcd")


def test_a_host_is_avoided_after_failing_three_times_in_a_row() -> None:
    bad = MAX_HOST_FAILURES
    assert avoided({"a": bad - 1, "b": 0}, {"a", "b"}) == frozenset()
    assert avoided({"a": bad}, {"a", "b"}) == {"a"}
    assert avoided({"a": bad}, {"a"}) == frozenset()
    assert avoided({"a": bad, "b": bad}, {"a", "b"}) == frozenset()
    assert avoided({"a": bad, "b": bad}, {"a", "b", "c"}) == {"a", "b"}


@given(st.dictionaries(hosts, st.integers(0, 9)), st.sets(hosts))
def test_somebody_is_always_left(failures: dict[str, int], known: set[str]) -> None:
    away = avoided(failures, known)
    assert not away or known - away


def test_waiting_for_a_licence_is_free_but_not_without_end() -> None:
    assert free_seconds(20, 0, 0, 0) == 20
    assert free_seconds(20, 0, 1, 0) == 0
    assert free_seconds(7200, 0, 0, 0) == FREE_SECONDS_OF_A_TRY
    assert free_seconds(20, 0, 0, FREE_SECONDS_OF_A_DAY - 5) == 5
    assert free_seconds(20, 0, 0, FREE_SECONDS_OF_A_DAY) == 0
    assert free_seconds(20, 0, 0, 25, 30) == 5


def test_what_computes_does_not_wait_for_a_licence() -> None:
    assert free_seconds(20, 15, 0, 0) == 5
    assert free_seconds(20, 20, 0, 0) == 0
    assert free_seconds(20, 300, 0, 0) == 0
