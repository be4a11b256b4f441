"""Write turns, in the order in which they were requested, and shared turns.

A commit waits for the disk, and one writer at a time means one such wait after another. Writers
that have to wait anyway therefore share a turn: all waiting calls are executed in one transaction.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Connection

log = logging.getLogger(__name__)

MOST_TOGETHER = 64
"""Limit of calls in one transaction, so that later ones do not wait for too many."""

LONG_SECONDS = 0.1
"""After so long a transaction takes no further call."""

Result = TypeVar("Result")


class Turn:
    """A fair lock: a caller that asks in a loop does not starve others."""

    def __init__(self) -> None:
        """Start with a free turn."""
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def __enter__(self) -> Self:
        """Wait for the turn."""
        self._take(first=False)
        return self

    def _take(self, *, first: bool) -> None:
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            if first:
                self._waiting.appendleft(mine)
            else:
                self._waiting.append(mine)
        mine.acquire()  # Handed over by the previous holder.

    @contextmanager
    def first(self) -> Iterator[None]:
        """Wait for the turn ahead of all others."""
        self._take(first=True)
        try:
            yield
        finally:
            self.__exit__()

    def __exit__(self, *_: object) -> None:
        """Hand the turn to the caller that has waited longest."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class OneAtATime:
    """A turn for each of very many things: threads that want the same one wait for each other."""

    def __init__(self) -> None:
        """Start with all turns free."""
        self._guard = threading.Lock()
        # A turn lives as long as somebody has it, or waits for it.
        self._turns: WeakValueDictionary[Hashable, Turn] = WeakValueDictionary()

    @contextmanager
    def of(self, thing: Hashable) -> Iterator[None]:
        """Have a thing for oneself for as long as the block runs."""
        with self._guard:
            turn = self._turns.setdefault(thing, Turn())
        with turn:
            yield


@dataclass(slots=True)
class _Call(Generic[Result]):
    owner: Hashable
    work: Callable[[Connection], Result]
    answer: "Future[Result]"
    has_begun: bool = False
    alone: bool = False

    def is_wanted(self) -> bool:
        """Return whether anybody waits for the answer; from then on it cannot be cancelled."""
        self.has_begun = self.has_begun or self.answer.set_running_or_notify_cancel()
        return self.has_begun


class _Waiting:
    """Calls that wait. The next one is that of the owner whose calls have taken the least time.

    Whoever has not called for a while begins where the others are, and saves nothing up. Not safe
    for several threads at a time.
    """

    def __init__(self) -> None:
        self._of: dict[Hashable, deque[_Call[Any]]] = {}
        self._seconds: dict[Hashable, float] = {}
        self._least = 0.0
        # How many of an owner's next calls get a transaction of their own.
        self._alone: Counter[Hashable] = Counter()

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, call: _Call[Any]) -> None:
        if call.owner not in self._of:
            self._seconds[call.owner] = max(self._used(call.owner), self._least)
        self._of.setdefault(call.owner, deque()).append(call)

    def requeue(self, calls: Sequence[_Call[Any]]) -> None:
        """Let calls come first again among those of their owners."""
        for call in reversed(calls):
            self._of.setdefault(call.owner, deque()).appendleft(call)

    def isolate(self, owner: Hashable) -> None:
        """Give each call that an owner has now a transaction of its own."""
        self._alone[owner] = len(self._of.get(owner, ()))

    def _used(self, owner: Hashable) -> float:
        """Return what an owner's calls have taken; of one that was forgotten, the least."""
        return self._seconds.get(owner, self._least)

    def charge(self, owner: Hashable, seconds: float) -> None:
        """Count what a call of an owner has taken."""
        self._seconds[owner] = self._used(owner) + seconds
        if len(self._seconds) > 2 * (len(self._of) + MOST_TOGETHER):
            # Those whose calls are under way may be among them, and are then known by the least.
            old = self._seconds.keys() - self._of.keys()
            for each in [each for each in old if self._seconds[each] <= self._least]:
                del self._seconds[each]

    def next(self, *, first: bool) -> _Call[Any] | None:
        """Return the next call for a transaction, or None.

        Parameters:
            first: of the transaction; not for later ones are those that get one of their own.
        """
        while self._of:
            owner = min(self._of, key=self._used)
            self._least = max(self._least, self._used(owner))
            alone = self._alone[owner] > 0
            if alone and not first:
                return None
            call = self._of[owner].popleft()
            if not self._of[owner]:
                del self._of[owner]
            if alone:
                self._alone -= Counter({owner: 1})
            if call.is_wanted():
                call.alone = alone
                return call
        return None


class SharedTurns:
    """Executes calls in a separate thread, all waiting ones in one transaction.

    A call gets its answer after the commit. When one raises, the transaction is rolled back, and
    all are repeated: those of the owner whose call it was each alone, for their own errors, the
    others together. When the commit itself fails, it is unknown whose fault that is: each call is
    then repeated alone. Calls must be repeatable: they access nothing but the database.

    Owners have the same share of the time, and a transaction ends when it has taken long: who sends
    many calls, or such as take long or fail, delays others by one of them. Failing takes time, too.
    """

    def __init__(self, write: Callable[[], AbstractContextManager[Connection]]) -> None:
        """Use the transactions that ``write`` opens."""
        self._write = write
        self._changed = threading.Condition()
        self._waiting = _Waiting()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(
        self, work: Callable[[Connection], Result], owner: Hashable = None
    ) -> "Future[Result]":
        """Queue ``work`` for a turn.

        Parameters:
            owner: who may have sent many.

        Raises RuntimeError after `close`.
        """
        answer: Future[Result] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the database is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
                self._thread.start()
            self._waiting.add(_Call(owner, work, answer))
            self._changed.notify()
        return answer

    def close(self) -> None:
        """Execute the waiting calls, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                # Callers that no longer want their answer are left out.
                call = self._waiting.next(first=True)
            if call is None:
                continue
            calls = [call]
            try:
                self._execute(calls)
            except Exception as error:
                # A fault of this module. Without this thread nobody would ever get an answer.
                log.exception("the calls of a transaction are given up")
                for each in calls:
                    if not each.answer.done():
                        each.answer.set_exception(error)

    def _execute(self, calls: list[_Call[Any]]) -> None:
        """Execute a call, together with others that wait, which are added to ``calls``."""
        done: list[tuple[_Call[Any], Any, float]] = []
        call: _Call[Any] | None = calls[0]
        began = before = time.monotonic()
        try:
            with self._write() as connection:
                began = time.monotonic()
                while call is not None:
                    before = time.monotonic()
                    result = call.work(connection)
                    done.append((call, result, time.monotonic() - before))
                    call = self._another(done, time.monotonic() - began)
                    calls += [call] if call is not None else []
            taken = time.monotonic() - began
        except Exception as error:
            self._failed(calls, call, error, time.monotonic() - before)
            return
        # On PostgreSQL the commit waits for what the calls have only sent.
        worked = sum(seconds for _, _, seconds in done)
        with self._changed:
            for each, _, seconds in done if worked else ():
                self._waiting.charge(each.owner, seconds / worked * (taken - worked))
        for each, result, _ in done:
            each.answer.set_result(result)

    def _another(
        self, done: Sequence[tuple[_Call[Any], Any, float]], taken: float
    ) -> _Call[Any] | None:
        """Return another call for a transaction that has taken so long, or None."""
        last, _, seconds = done[-1]
        with self._changed:
            self._waiting.charge(last.owner, seconds)
            if last.alone or len(done) >= MOST_TOGETHER or taken >= LONG_SECONDS:
                return None
            return self._waiting.next(first=False)

    def _failed(
        self,
        calls: Sequence[_Call[Any]],
        failing: _Call[Any] | None,
        error: Exception,
        seconds: float,
    ) -> None:
        """Repeat the calls of a transaction, all but one that had its own.

        Parameters:
            failing: the one that raised; None: the commit has.
            seconds: for so long it failed.
        """
        with self._changed:
            if failing:
                self._waiting.charge(failing.owner, seconds)
            if len(calls) > 1:
                self._waiting.requeue(calls)
                for call in [failing] if failing else calls:
                    self._waiting.isolate(call.owner)
                return
        calls[0].answer.set_exception(error)
