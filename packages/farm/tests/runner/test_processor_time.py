"""How processor time is added up when processes come and go. Pure: numbers only."""

from collections.abc import Mapping

from farm.runner.limits.processor_time import ProcessorTime, Used


def added_up(*looks: Mapping[str, Used], running: int = 0) -> float:
    time = ProcessorTime[str](processors=4)
    for number, used in enumerate(looks):
        time.update(used, number * 0.5, lambda _: running)
    return time.seconds


def test_who_is_waited_for_counts_once() -> None:
    before = {"parent": Used(1.0), "child": Used(2.0)}
    assert added_up(before, {"parent": Used(1.5, waited=2.25)}) == 3.75


def test_who_ends_and_is_waited_for_by_nobody_stays_counted() -> None:
    assert added_up({"parent": Used(1.0), "child": Used(2.0)}, {"parent": Used(1.5)}) == 3.5


def test_who_runs_where_others_ran_stands_for_those_that_were_not_seen() -> None:
    looks = [{"parent": Used(), f"child{number}": Used()} for number in range(5)]
    assert added_up(*looks, running=1) == 2.0
    # No more than the machine has.
    assert added_up(*looks, running=9) == 8.0


def test_one_more_process_stands_for_itself() -> None:
    assert added_up({"one": Used(1.0)}, {"one": Used(1.0), "two": Used(0.25)}, running=9) == 1.25


def test_a_look_that_failed_changes_nothing() -> None:
    assert added_up({"one": Used(1.0)}, {}, {"one": Used(1.5)}) == 1.5
