from farm.jobs.chunks import MAX_CLAIM, STARTUP_SHARE, claim_size
from hypothesis import given
from hypothesis import strategies as st

seconds = st.floats(0.001, 1000) | st.none()


@given(st.integers(1, 10**6), st.integers(1, 100), seconds, seconds)
def test_a_claim_is_never_empty_nor_too_large(
    waiting: int, runners: int, startup: float | None, frame: float | None
) -> None:
    size = claim_size(waiting, runners, startup, frame)
    assert 1 <= size <= min(waiting, MAX_CLAIM)
    # Every runner can get its share of what waits now.
    assert (size - 1) * runners < waiting


@given(st.integers(1, 2000))
def test_a_lone_runner_starts_the_renderer_once(waiting: int) -> None:
    assert claim_size(waiting, 1, 1.1, 0.1) == waiting


@given(st.floats(0.1, 20), st.floats(0.05, 20))
def test_startup_stays_small_while_there_is_work_for_all(startup: float, frame: float) -> None:
    size = claim_size(100_000, 4, startup, frame)
    assert size == MAX_CLAIM or startup / (startup + size * frame) <= STARTUP_SHARE


def test_shares_shrink_towards_the_end() -> None:
    waiting, sizes = 100, []
    while waiting:
        sizes.append(claim_size(waiting, 4, None, None))
        waiting -= sizes[-1]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
