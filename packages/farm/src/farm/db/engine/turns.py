"""Who writes next: turns in the order in which they were asked for, and shared ones.

A commit waits for the disk, and one writer at a time means one such wait after another. Writers
that have to wait anyway therefore share a turn: what has gathered is executed in one transaction.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import Connection

MOST_TOGETHER = 64
"""Calls of one transaction: those that come later must not wait for too many."""

Result = TypeVar("Result")


class Turn:
    """A lock that is given out in order: whoever asks in a loop does not keep others waiting."""

    def __init__(self) -> None:
        """Start with a turn that nobody has."""
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
        mine.acquire()  # Handed over by whoever leaves.

    @contextmanager
    def first(self) -> Iterator[None]:
        """Wait for the turn before all others that wait."""
        self._take(first=True)
        try:
            yield
        finally:
            self.__exit__()

    def __exit__(self, *_: object) -> None:
        """Hand the turn to whoever has waited longest."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


@dataclass(frozen=True, slots=True)
class _Call(Generic[Result]):
    work: Callable[[Connection], Result]
    answer: "Future[Result]"


class SharedTurns:
    """Executes calls in a thread of its own, in order, as many in one transaction as wait.

    A call gets its answer after the commit. When one raises, nothing of the transaction stays: it
    is executed alone, for its own error, and the others again together. When the commit itself
    fails, nobody knows whose fault that is: each is then executed alone. Calls must not mind being
    executed again: they touch nothing but the database.
    """

    def __init__(self, write: Callable[[], AbstractContextManager[Connection]]) -> None:
        """Use the transactions that ``write`` opens."""
        self._write = write
        self._changed = threading.Condition()
        self._waiting: deque[_Call[Any]] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[Connection], Result]) -> "Future[Result]":
        """Let ``work`` have a turn soon. Raises RuntimeError after `close`."""
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
        """Execute the calls that wait, then end the thread."""
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
        """Execute calls together; return those that are left to execute because one raised."""
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
                # On its own: what it met may have been another's, which is undone as well.
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
        # Whoever does not want its answer any more is left out.
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
