"""Two jobs that would write one file are found as a list of all their files would find them."""

import time

from farm.jobs.frames import parse_frames
from farm.products import FileNames
from farm.submissions.output_names import Written, clashes
from hypothesis import example, given
from hypothesis import strategies as st

heads = st.sampled_from(["a", "A", "a0", "a_", "b", "a00", "", "-", "a-"])
tails = st.sampled_from(["", ".png", ".PNG", "0.png", "1", "_0.png"])
names = st.builds(FileNames, heads, st.integers(1, 4), tails)
whole = st.builds(
    FileNames, st.sampled_from(["a", "a0001", "A0012.png", "b"]), st.just(0), st.just("")
)
frames = st.sampled_from(["1 12", "5", "-3 3", "1 200 7", "100 1 -1", "1,10,100,1000", "0 9 3"])
jobs = st.lists(
    st.none() | st.builds(Written, names | whole, frames.map(parse_frames)), min_size=2, max_size=5
)


def naive(of_jobs: list[Written | None]) -> list[int]:
    """Return the jobs that write a file of one before them."""
    seen: set[str] = set()
    found = []
    for place, job in enumerate(of_jobs):
        own = {job.names.name(frame).casefold() for frame in job.frames} if job else set()
        if own & seen:
            found.append(place)
        seen |= own
    return found


@given(jobs)
@example(
    [
        Written(FileNames("a", 4, ""), parse_frames("1 9")),
        Written(FileNames("A0", 3, ""), parse_frames("7")),
    ]
)
@example(
    [
        Written(FileNames("x", 0, ""), parse_frames("1")),
        Written(FileNames("X", 0, ""), parse_frames("2")),
    ]
)
def test_the_same_clashes_as_of_all_names(of_jobs: list[Written | None]) -> None:
    found = clashes(of_jobs)
    assert [clash.second for clash in found] == naive(of_jobs)
    for clash in found:
        for place in (clash.first, clash.second):
            job = of_jobs[place]
            assert job is not None
            own = {job.names.name(frame).casefold() for frame in job.frames}
            assert clash.name.casefold() in own
        assert clash.first < clash.second


@given(names | whole, st.integers(-2000, 2000))
def test_a_name_tells_its_frame(of_job: FileNames, frame: int) -> None:
    assert of_job.frame(of_job.name(frame)) == (frame if of_job.digits else None)


def test_jobs_of_a_million_frames_take_no_time() -> None:
    many = parse_frames("1 1000000")
    of_jobs = [Written(FileNames(f"{i}_", 4, ".png"), many) for i in range(5)]
    akin = [Written(FileNames(f"{i}_" + "0" * i, 4, ".png"), many) for i in range(5)]
    begin = time.process_time()
    assert clashes(of_jobs) == []
    assert [(clash.first, clash.second) for clash in clashes([*of_jobs, of_jobs[2]])] == [(2, 5)]
    clashes([*of_jobs, *akin])
    assert time.process_time() - begin < 5
