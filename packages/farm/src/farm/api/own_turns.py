"""How many requests of one account, and of all, are worked on at a time.

What a request computes is bounded, but there are only so many threads, and one database to write
to. An account that sends many at once waits for itself, and nobody else does. Whatever is done in
threads takes a turn before it takes one of them, so that one is always left for what takes no
turns: the key of the next request, runners, logins.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from http_gate.bodies import BusyError

MOST_AT_A_TIME = 2
"""Submissions, and checks of them, of one account."""

MOST_WAITING = 100
"""Requests of one account and kind."""


@dataclass(slots=True)
class _Line:
    """The requests of one account. ``length``: those that work or wait."""

    turns: asyncio.Semaphore
    length: int = 0


class OwnTurns:
    """The requests of all accounts that are of one kind. Used from one event loop."""

    def __init__(self, most_of_one: int, most: int) -> None:
        """Nobody works or waits yet. Let so many of an account work, and of all accounts."""
        self._most_of_one = most_of_one
        self._all = asyncio.Semaphore(most)
        self._of: dict[str, _Line] = {}

    @asynccontextmanager
    async def of(self, account_id: str) -> AsyncIterator[None]:
        """Wait until it is one's turn. Raises BusyError when too many wait already."""
        line = self._of.setdefault(account_id, _Line(asyncio.Semaphore(self._most_of_one)))
        if line.length >= self._most_of_one + MOST_WAITING:
            raise BusyError("Too many requests at once. Try again later.")
        line.length += 1
        try:
            async with line.turns, self._all:
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._of[account_id]


class Turns:
    """The kinds of requests, each with turns of its own: no kind holds up another.

    Together they leave some of the 40 threads that there are.
    """

    def __init__(self) -> None:
        """Nobody works or waits yet."""
        self.reading = OwnTurns(4, 14)
        self.writing = OwnTurns(4, 12)
        self.submitting = OwnTurns(MOST_AT_A_TIME, 8)
