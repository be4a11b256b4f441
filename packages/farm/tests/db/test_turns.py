"""Calls that share a transaction, on both databases."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from farm.db.engine.database import Database
from farm.db.engine.prepared import Prepared
from farm.db.tables import farm_info, plans
from sqlalchemy import Connection, func, insert, select, update


def add_plan(name: str) -> Callable[[Connection], int]:
    """Return a call that stores a plan and returns how many there are then."""

    def work(connection: Connection) -> int:
        connection.execute(
            insert(plans).values(name=name, job_throughput_limit=1, max_throughput=1)
        )
        count: int = connection.execute(select(func.count()).select_from(plans)).scalar_one()
        return count

    return work


def refuse(_: Connection) -> int:
    raise LookupError("not this one")


Work = Callable[[Connection], int]


def gathered(
    database: Database, works: list[Work], owners: Sequence[str] = ()
) -> list["Future[int]"]:
    """Submit calls while somebody else has the turn, so that they wait together.

    Parameters:
        owners: of each of them; by default one has sent all.
    """
    with database.write():
        first = database.submit(lambda _: 0)
        while not first.running():
            pass  # It has been taken, alone, and waits for the turn.
        asked = zip(works, owners or [""] * len(works), strict=True)
        return [database.submit(work, owner) for work, owner in asked]


def names(database: Database) -> list[str]:
    with database.read() as connection:
        found = connection.execute(select(plans.c.name).where(plans.c.name.like("p%")))
        return sorted(found.scalars())


def test_those_that_wait_share_a_transaction_and_keep_their_order(
    open_again: Callable[[], Database],
) -> None:
    database, reader = open_again(), open_again()
    seen: list[list[str]] = []

    def look(_: Connection) -> int:
        # What the calls before have written is not committed yet: another one does not see it.
        seen.append(names(reader))
        return 0

    answers = gathered(database, [add_plan("p1"), add_plan("p2"), look])
    first, second, _ = [each.result() for each in answers]
    assert second == first + 1
    assert seen == [[]]
    assert names(reader) == ["p1", "p2"]


def test_each_gets_its_own_error_and_spoils_nobody_elses_work(
    open_again: Callable[[], Database],
) -> None:
    database = open_again()
    answers = gathered(database, [add_plan("p1"), refuse, add_plan("p2")])
    with pytest.raises(LookupError):
        answers[1].result()
    assert answers[2].result() == answers[0].result() + 1
    assert names(database) == ["p1", "p2"]


class Clock:
    """What the module takes for the time; only calls let it go on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        self.done: list[str] = []
        patch.setattr("farm.db.engine.turns.time", SimpleNamespace(monotonic=lambda: self.seconds))

    def by(self, owner: str, seconds: float) -> Work:
        def work(_: Connection) -> int:
            self.seconds += seconds
            self.done.append(owner)
            return 0

        return work


def test_who_sends_many_calls_delays_another_by_one(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    senders = ["eve"] * 200 + ["ann"] * 2 + ["bob"]
    wait(gathered(open_again(), [clock.by(each, 0.001) for each in senders], senders))
    assert sorted(clock.done[:3]) == ["ann", "bob", "eve"]
    assert sorted(clock.done[3:5]) == ["ann", "eve"]


def test_who_sends_long_calls_delays_all_of_another_by_one(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As runners of one account that report, and of one that only say that they live."""
    clock = Clock(monkeypatch)
    senders = ["eve"] * 20 + ["carl"] * 20 + ["ann"] * 30
    works = [clock.by(each, 0.01 if each == "ann" else 1.0) for each in senders]
    wait(gathered(open_again(), works, senders))
    assert sorted(clock.done[:32]) == ["ann"] * 30 + ["carl", "eve"]


def test_who_has_not_called_for_long_has_saved_nothing_up(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    database = open_again()
    wait(gathered(database, [clock.by("eve", 1.0)] * 50, ["eve"] * 50))
    clock.done.clear()
    senders = ["ann"] * 50 + ["eve"] * 50
    wait(gathered(database, [clock.by(each, 1.0) for each in senders], senders))
    assert clock.done[:10].count("eve") >= 4


def test_whose_calls_fail_has_others_repeat_theirs_once(open_again: Callable[[], Database]) -> None:
    database = open_again()
    tries: list[str] = []

    def of_ann(_: Connection) -> int:
        tries.append("ann")
        return 0

    works = [add_plan("p1"), refuse, refuse, of_ann, refuse, add_plan("p2")]
    answers = gathered(database, works, ["eve", "eve", "eve", "ann", "eve", "eve"])
    wait(answers)
    assert len(tries) <= 2
    failed = [answer.exception() is not None for answer in answers]
    assert failed == [False, True, True, False, True, False]
    assert names(database) == ["p1", "p2"]


def test_whose_calls_fail_is_charged_for_them(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    def fails(_: Connection) -> int:
        clock.by("eve", 1.0)(_)
        raise LookupError("not this one")

    senders = ["eve"] * 20 + ["ann"] * 30
    works = [fails if each == "eve" else clock.by(each, 0.01) for each in senders]
    wait(gathered(open_again(), works, senders))
    # Hers of which others were repeated as well is there twice.
    assert clock.done[:32].count("eve") <= 2


def test_there_may_be_very_many_owners(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than are remembered, with calls under way when the others are forgotten."""
    clock, chance = Clock(monkeypatch), random.Random(1)
    database = open_again()
    for _ in range(60):
        senders = [f"account {chance.randrange(1000)}" for _ in range(8)]
        works = [clock.by(each, chance.choice([0.0005, 0.001, 0.01])) for each in senders]
        works[chance.randrange(64) % 8 :: 64] = [refuse]
        wait(gathered(database, works, senders))
    assert database.submit(lambda _: 7, "somebody").result() == 7


def test_a_fault_of_the_queue_itself_ends_nobody_elses_answers(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_again()
    with monkeypatch.context() as patched:

        def broken(*_: object) -> None:
            raise KeyError("owner")

        patched.setattr(database._shared._waiting, "charge", broken)
        given_up = database.submit(add_plan("p1"), "eve")
        assert isinstance(given_up.exception(), KeyError)
    assert database.submit(lambda _: 7, "ann").result() == 7


def test_a_transaction_that_takes_long_takes_no_further_call(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.db.engine.turns.LONG_SECONDS", 0.0)
    database, reader = open_again(), open_again()

    def look(_: Connection) -> int:
        return len(names(reader))

    answers = gathered(database, [add_plan("p1"), look, add_plan("p2"), look])
    assert [answers[1].result(), answers[3].result()] == [1, 2]


def test_calls_that_nobody_can_commit_each_have_an_error(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_again()

    @contextmanager
    def broken() -> Iterator[Connection]:
        with database.write():
            raise OSError("no disk")
        yield

    monkeypatch.setattr(database._shared, "_write", broken)
    answers = gathered(database, [add_plan("p1"), add_plan("p2")], ["eve", "ann"])
    wait(answers)
    assert all(isinstance(answer.exception(), OSError) for answer in answers)


def test_an_error_that_shows_late_is_still_its_own_calls(
    open_again: Callable[[], Database],
) -> None:
    # On PostgreSQL a prepared statement's error comes with a later answer: another call's.
    database = open_again()
    add = Prepared(insert(plans).inline())
    count = Prepared(select(func.count()).select_from(plans))

    def twice(connection: Connection) -> int:
        for _ in range(2):
            add.run(connection, name="p2", job_throughput_limit=1, max_throughput=1)
        return 0

    def look(connection: Connection) -> int:
        found = count.one(connection)
        assert found is not None
        return int(found[0])

    answers = gathered(database, [add_plan("p1"), twice, look, add_plan("p3")])
    with pytest.raises(Exception, match=r"(?i)unique"):
        answers[1].result()
    for other in (answers[0], answers[2], answers[3]):
        assert other.result() >= 1
    assert names(database) == ["p1", "p3"]


def test_an_answer_that_nobody_waits_for_any_more_is_not_worked_for(
    open_again: Callable[[], Database],
) -> None:
    database = open_again()
    with database.write():
        blocker = database.submit(lambda _: 0)
        while not blocker.running():
            pass
        unwanted = database.submit(add_plan("p1"))
        assert unwanted.cancel()
    assert database.submit(lambda _: 7).result() == 7
    assert names(database) == []


def test_what_was_submitted_is_done_before_the_database_closes(
    open_again: Callable[[], Database],
) -> None:
    database, reader = open_again(), open_again()
    answer = database.submit(add_plan("p1"))
    database.close()
    assert answer.done()
    assert names(reader) == ["p1"]
    with pytest.raises(RuntimeError):
        database.submit(add_plan("p2"))


def test_nobody_is_passed_over(open_again: Callable[[], Database]) -> None:
    # One that writes again and again does not keep the others waiting.
    database = open_again()
    done = threading.Event()

    def write_on() -> None:
        while not done.is_set():
            with database.write() as connection:
                connection.execute(update(farm_info).values(farm_id="f" * 32))

    busy = threading.Thread(target=write_on)
    busy.start()
    try:
        for number in range(20):
            database.submit(add_plan(f"p{number}")).result()
    finally:
        done.set()
        busy.join()
    assert len(names(database)) == 20


def test_what_was_submitted_comes_before_writers_that_wait(
    open_again: Callable[[], Database],
) -> None:
    database = open_again()
    order: list[str] = []

    def writer() -> None:
        with database.write():
            order.append("writer")

    def waiting() -> int:
        return len(database._turn._waiting)

    others = [threading.Thread(target=writer) for _ in range(3)]
    with database.write():
        for each in others:
            each.start()
        while waiting() < len(others):
            pass
        submitted = database.submit(lambda _: order.append("runner"))
        while waiting() < len(others) + 1:
            pass
    submitted.result()
    for each in others:
        each.join()
    database.close()
    assert order == ["runner", "writer", "writer", "writer"]
