"""Write turns, in the order in which they were requested, and shared turns.

A commit waits for the disk, and one writer at a time means one such wait after another. Writers
that have to wait anyway therefore share a turn: all waiting calls are executed in one transaction.
"""

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Connection

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
        """Nobody has anything."""
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

    def is_wanted(self) -> bool:
        """Return whether anybody waits for the answer; from then on it cannot be cancelled."""
        self.has_begun = self.has_begun or self.answer.set_running_or_notify_cancel()
        return self.has_begun


class _Waiting:
    """Calls that wait, of whom it is in turn: one of each owner, then a second one of each.

    Not safe for several threads at a time.
    """

    def __init__(self) -> None:
        self._of: OrderedDict[Hashable, deque[_Call[Any]]] = OrderedDict()
        # How many of an owner's next calls get a transaction of their own.
        self._alone: Counter[Hashable] = Counter()

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, call: _Call[Any]) -> None:
        self._of.setdefault(call.owner, deque()).append(call)

    def put_back(self, calls: Sequence[_Call[Any]]) -> None:
        """Let calls come first again, in their order."""
        for call in reversed(calls):
            self._of.setdefault(call.owner, deque()).appendleft(call)
            self._of.move_to_end(call.owner, last=False)

    def isolate(self, owner: Hashable) -> None:
        """Give each call that an owner has now a transaction of its own."""
        self._alone[owner] = len(self._of.get(owner, ()))

    def take(self) -> list[_Call[Any]]:
        """Return the next ones for one transaction."""
        taken: list[_Call[Any]] = []
        while self._of and len(taken) < MOST_TOGETHER:
            owner = next(iter(self._of))
            alone = self._alone[owner] > 0
            if alone and taken:
                break
            call = self._of[owner].popleft()
            self._of.move_to_end(owner)
            if not self._of[owner]:
                del self._of[owner]
            if call.is_wanted():
                taken.append(call)
            if alone:
                self._alone -= Counter({owner: 1})
                if taken:
                    break
        return taken


class SharedTurns:
    """Executes calls in a separate thread, all waiting ones in one transaction.

    A call gets its answer after the commit. When one raises, the transaction is rolled back, and
    all are repeated: those of the owner whose call it was each alone, for their own errors, the
    others together. When the commit itself fails, it is unknown whose fault that is: each call is
    then repeated alone. Calls must be repeatable: they access nothing but the database.

    Owners take turns, and a transaction ends when it has taken long: who sends many calls, or such
    as take long or fail, delays others by one of them.
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
        while calls := self._next():
            self._execute(calls)

    def _next(self) -> list[_Call[Any]]:
        """Wait for calls and return them; none once `close` was called."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return []
                # Callers that no longer want their answer are left out.
                if taken := self._waiting.take():
                    return taken

    def _execute(self, calls: list[_Call[Any]]) -> None:
        """Execute calls together, or the first of them; the others wait again."""
        results: list[Any] = []
        failing = None
        try:
            with self._write() as connection:
                began = time.monotonic()
                for failing in calls:
                    results.append(failing.work(connection))
                    if time.monotonic() - began >= LONG_SECONDS:
                        break
                failing = None
        except Exception as error:
            if len(calls) == 1:
                calls[0].answer.set_exception(error)
                return
            with self._changed:
                self._waiting.put_back(calls)
                # Without a transaction at all, or with one that cannot be committed, any of them.
                for call in [failing] if failing else calls[: len(results) or None]:
                    self._waiting.isolate(call.owner)
            return
        with self._changed:
            self._waiting.put_back(calls[len(results) :])
        for call, result in zip(calls, results, strict=False):
            call.answer.set_result(result)
