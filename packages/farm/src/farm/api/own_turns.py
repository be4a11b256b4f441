"""Limits how many requests of one account, and of all, are processed at a time.

The work of a request is bounded, but threads are limited, and there is one database to write to. An
account that sends many requests at once delays only itself. All work in threads takes a turn before
it takes a thread, so that threads are always left for work without turns: the key of the next
request, runners, logins.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from farm.errors import UnavailableError

MOST_AT_A_TIME = 2
"""Submissions, and checks of them, of one account."""

RESULTS_AT_A_TIME = 4
"""Requests of one runner."""

MOST_WAITING = 100
"""Waiting requests of one account and kind."""


@dataclass(slots=True)
class _Line:
    """The requests of one account: the number being processed, and the waiting ones, numbered."""

    at_work: int = 0
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)


class OwnTurns:
    """All accounts' requests of one kind. Used from one event loop.

    A free turn goes to the account with the fewest; among equals to the request that has waited
    longest. So an account without any is behind at most one request of each other account, not
    behind all that they have sent.
    """

    def __init__(self, most_of_one: int, most: int, most_waiting: int = MOST_WAITING) -> None:
        """Start without requests. Set the limits of an account, and of all accounts.

        Parameters:
            most_waiting: of an account, beside those that are processed.
        """
        self._most_of_one, self._most_waiting = most_of_one, most_waiting
        self._free = most
        self._of: dict[str, _Line] = {}
        self._numbers = itertools.count()

    @asynccontextmanager
    async def of(self, account_id: str, *, has_begun: bool = False) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Parameters:
            has_begun: for more of an answer that has started, which can no longer be refused.

        Raises UnavailableError when too many wait already.
        """
        line = self._of.setdefault(account_id, _Line())
        many = line.at_work + len(line.waiting) >= self._most_of_one + self._most_waiting
        if many and not has_begun:
            raise UnavailableError("There are too many requests at once. Try again later.")
        mine = (next(self._numbers), asyncio.get_running_loop().create_future())
        line.waiting.append(mine)
        self._hand_out()
        try:
            await mine[1]
            yield
        finally:
            if mine in line.waiting:
                line.waiting.remove(mine)  # Nobody waits for the answer any more.
            else:
                line.at_work -= 1
                self._free += 1
            if not line.at_work and not line.waiting:
                del self._of[account_id]
            self._hand_out()

    def _hand_out(self) -> None:
        while self._free and (line := self._next()) is not None:
            self._free -= 1
            line.at_work += 1
            _, turn = line.waiting.popleft()
            if not turn.done():  # Otherwise it was cancelled, and will return the turn in a moment.
                turn.set_result(None)

    def _next(self) -> _Line | None:
        able = (
            each for each in self._of.values() if each.waiting and each.at_work < self._most_of_one
        )
        return min(able, key=lambda line: (line.at_work, line.waiting[0][0]), default=None)


class Turns:
    """The kinds of requests, each with its own turns: no kind blocks another.

    Together they leave some of the 40 threads.
    """

    def __init__(self) -> None:
        """Start without requests."""
        self.reading = OwnTurns(4, 14)
        self.writing = OwnTurns(4, 12)
        self.submitting = OwnTurns(MOST_AT_A_TIME, 8)
        # Within one of these, or for a runner. Python runs one thread at a time: more threads would
        # only delay everything else.
        self.parsing = OwnTurns(1, 2)
        # What the runners of an account read: lists of all files of a job, and everything else.
        # Runners that ask for the same list wait for one that makes it.
        self.jobs = OwnTurns(1, 2)
        self.runners = OwnTurns(2, 2)
        # Of each runner. It sends one after the other, but the farm may not know yet that one has
        # broken off. They hold no thread, so that there may be one of each connection.
        self.results = OwnTurns(RESULTS_AT_A_TIME, 1 << 20)
        # Likewise: finished frames, and pieces of a log. They wait as they were parsed, which takes
        # some times their size.
        self.reports = OwnTurns(1, 1 << 20, RESULTS_AT_A_TIME)
