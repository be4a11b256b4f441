"""Write turns, in the order in which they were requested, and shared turns.

A commit waits for the disk, and one writer at a time means one such wait after another. Writers
that have to wait anyway therefore share a turn: all waiting calls are executed in one transaction.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Connection

MOST_TOGETHER = 64
"""Limit of calls in one transaction, so that later ones do not wait for too many."""

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


@dataclass(frozen=True, slots=True)
class _Call(Generic[Result]):
    work: Callable[[Connection], Result]
    answer: "Future[Result]"


class SharedTurns:
    """Executes calls in a separate thread, in order, all waiting ones in one transaction.

    A call gets its answer after the commit. When one raises, the transaction is rolled back: that
    call is repeated alone, for its own error, and the others together. When the commit itself
    fails, it is unknown whose fault that is: each call is then repeated alone. Calls must be
    repeatable: they access nothing but the database.
    """

    def __init__(self, write: Callable[[], AbstractContextManager[Connection]]) -> None:
        """Use the transactions that ``write`` opens."""
        self._write = write
        self._changed = threading.Condition()
        self._waiting: deque[_Call[Any]] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[Connection], Result]) -> "Future[Result]":
        """Queue ``work`` for a turn. Raises RuntimeError after `close`."""
        answer: Future[Result] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the database is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
                self._thread.start()
            self._waiting.append(_Call(work, answer))
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
            while calls:
                calls = self._all_but_failing(calls)

    def _all_but_failing(self, calls: list[_Call[Any]]) -> list[_Call[Any]]:
        """Execute calls together; return those that are left because one raised."""
        at = 0
        try:
            with self._write() as connection:
                results = []
                for at, call in enumerate(calls):  # noqa: B007 - told to `except`
                    results.append(call.work(connection))
                at = len(calls)
        except Exception as error:
            if len(calls) == 1:
                calls[0].answer.set_exception(error)
                return []
            if at < len(calls):
                # Alone: its error may have been caused by another call, which is undone as well.
                self._alone(calls[at])
                return [*calls[:at], *calls[at + 1 :]]
            for call in calls:
                self._alone(call)
            return []
        for call, result in zip(calls, results, strict=True):
            call.answer.set_result(result)
        return []

    def _next(self) -> list[_Call[Any]]:
        """Wait for calls and return them; none once `close` was called."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            count = min(len(self._waiting), MOST_TOGETHER)
            taken = [self._waiting.popleft() for _ in range(count)]
        # Callers that no longer want their answer are left out.
        wanted = [call for call in taken if call.answer.set_running_or_notify_cancel()]
        return wanted if wanted or not taken else self._next()

    def _alone(self, call: _Call[Any]) -> None:
        try:
            with self._write() as connection:
                result = call.work(connection)
        except Exception as error:
            call.answer.set_exception(error)
        else:
            call.answer.set_result(result)
