"""Which download is next: folders take turns, and one that cannot be written pauses alone."""

from envoy.process.status_messages import Reason, StatusMessage
from envoy.watch.lanes import Lanes

FULL = StatusMessage("The disk is full.", Reason.DISK_FULL)
SILENT = StatusMessage("The disk does not answer.", Reason.DISK_SILENT)


def lanes_of(**queued: int) -> Lanes:
    """Return lanes with so many downloads each: 0, 1, 2 and so on."""
    lanes = Lanes()
    for folder, count in queued.items():
        for download in range(count):
            lanes.add(folder, download)
    return lanes


def taken(lanes: Lanes, now: float = 0.0) -> list[tuple[str, int]]:
    """Take all that may start now."""
    found = []
    while (each := lanes.take(now)) is not None:
        found.append(each)
    return found


def pause_after(lanes: Lanes, folder: str, download: int, now: float) -> float:
    """Let a download fail; return the seconds until the folder is tried again."""
    lanes.failed(folder, download, FULL, now)
    resume_at = lanes.next_resume()
    assert resume_at is not None
    return resume_at - now


def test_folders_take_turns() -> None:
    lanes = lanes_of(a=3, b=1, c=2)
    assert taken(lanes) == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2)]


def test_one_that_comes_later_has_its_turn_before_the_rest_of_the_others() -> None:
    lanes = lanes_of(a=4)
    assert [lanes.take(0), lanes.take(0)] == [("a", 0), ("a", 1)]
    lanes.add("b", 0)
    assert [lanes.take(0), lanes.take(0)] == [("a", 2), ("b", 0)]


def test_a_folder_that_fails_pauses_alone_and_is_tried_with_one_at_a_time() -> None:
    lanes = lanes_of(bad=3, good=2)
    assert lanes.take(100) == ("bad", 0)
    seconds = pause_after(lanes, "bad", 0, 100)
    assert seconds > 0
    assert lanes.pausing() == {"bad": FULL}
    assert taken(lanes, 100 + seconds / 2) == [("good", 0), ("good", 1)]
    assert taken(lanes, 100 + seconds) == [("bad", 1)]
    # While it is tried, nothing is to be waited for, however late it is.
    assert lanes.next_resume() is None
    assert taken(lanes, 10**6) == []
    # What failed is tried again, after the others.
    lanes.succeeded("bad")
    assert lanes.pausing() == {}
    assert taken(lanes, 100 + seconds) == [("bad", 2), ("bad", 0)]


def test_pauses_grow_until_the_folder_has_been_written() -> None:
    lanes = lanes_of(bad=1)
    now, seconds = 0.0, []
    for _ in range(3):
        assert taken(lanes, now) == [("bad", 0)]
        seconds.append(pause_after(lanes, "bad", 0, now))
        now += seconds[-1]
    assert seconds == sorted(set(seconds))
    lanes.add("bad", 1)
    assert lanes.take(now) == ("bad", 0)
    lanes.succeeded("bad")
    assert lanes.take(now) == ("bad", 1)
    assert pause_after(lanes, "bad", 1, now) == seconds[0]


def test_what_says_nothing_of_a_folder_lets_it_pause_as_before() -> None:
    lanes = lanes_of(bad=2)
    assert lanes.take(0) == ("bad", 0)
    seconds = pause_after(lanes, "bad", 0, 0)
    assert lanes.take(seconds) == ("bad", 1)
    lanes.released("bad")
    assert lanes.pausing() == {"bad": FULL}
    assert lanes.take(seconds) == ("bad", 0)
    assert pause_after(lanes, "bad", 0, seconds) > seconds


def test_the_first_of_several_folders_to_be_tried_again_is_waited_for() -> None:
    lanes = lanes_of(late=1, soon=1)
    taken(lanes)
    lanes.failed("late", 0, FULL, 500)
    seconds = pause_after(lanes, "soon", 0, 200)
    assert taken(lanes, 200) == []
    assert taken(lanes, 200 + seconds) == [("soon", 0)]
    resume_at = lanes.next_resume()
    assert resume_at is not None
    assert taken(lanes, resume_at) == [("late", 0)]


def test_a_folder_that_does_not_answer_gets_nothing_more_before_one_has_ended() -> None:
    lanes = lanes_of(stuck=4, free=1)
    assert [lanes.take(0), lanes.take(0), lanes.take(0)] == [
        ("stuck", 0),
        ("free", 0),
        ("stuck", 1),
    ]
    lanes.stands("stuck", SILENT)
    assert lanes.pausing() == {"stuck": SILENT}
    assert taken(lanes, 10**6) == []
    # Not of two that hang, either.
    lanes.released("stuck")
    assert taken(lanes, 10**6) == []
    lanes.succeeded("stuck")
    assert lanes.pausing() == {}
    assert taken(lanes) == [("stuck", 2), ("stuck", 3)]


def test_one_that_stood_still_is_tried_by_one_until_it_answers() -> None:
    lanes = lanes_of(stuck=3)
    assert lanes.take(0) == ("stuck", 0)
    lanes.stands("stuck", SILENT)
    lanes.released("stuck")
    assert taken(lanes) == [("stuck", 1)]


def test_standing_still_makes_no_earlier_failure_good() -> None:
    plain, stood = lanes_of(bad=1), lanes_of(bad=1)
    for lanes in (plain, stood):
        for _ in range(3):
            assert lanes.take(10**6) is not None
            lanes.failed("bad", 0, FULL, 0)
        assert lanes.take(10**6) is not None
    stood.stands("bad", SILENT)
    assert pause_after(stood, "bad", 0, 0) == pause_after(plain, "bad", 0, 0)


def test_what_is_cleared_is_not_taken_and_what_is_under_way_still_counts() -> None:
    lanes = lanes_of(busy=2, bad=2)
    assert [lanes.take(0), lanes.take(0)] == [("busy", 0), ("bad", 0)]
    lanes.failed("bad", 0, FULL, 0)
    lanes.stands("busy", SILENT)
    lanes.clear()
    assert lanes.pausing() == {"busy": SILENT}
    assert taken(lanes, 10**6) == []
    assert lanes.next_resume() is None
    lanes.add("busy", 7)
    assert taken(lanes, 10**6) == []
    lanes.released("busy")
    assert taken(lanes, 10**6) == [("busy", 7)]


def test_a_folder_in_which_everything_is_done_is_forgotten() -> None:
    lanes = lanes_of(a=1)
    assert lanes.take(0) == ("a", 0)
    lanes.stands("a", SILENT)
    lanes.released("a")
    assert lanes.pausing() == {}
