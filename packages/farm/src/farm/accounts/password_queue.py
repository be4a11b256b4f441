"""Limits concurrent password checks: each costs a core and 19 MiB for some 20 ms."""

import asyncio
import os
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from farm.errors import TooManyAttemptsError

MOST_WAITING = 64
MOST_OF_AN_ADDRESS = 8
"""Waiting strangers of one address, so that it does not take all places."""


class PasswordQueue:
    """Turns, on half of the cores; known devices come first.

    Used from one event loop.
    """

    def __init__(self, together: int = max(1, (os.cpu_count() or 1) // 2)) -> None:
        """Set how many are checked concurrently."""
        self._free = together
        self._known: deque[asyncio.Future[None]] = deque()
        self._strangers: deque[asyncio.Future[None]] = deque()
        self._of_address: Counter[str] = Counter()
        # Gone when nobody holds or awaits it.
        self._own: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()
        self._awaiting_own: Counter[tuple[str, ...]] = Counter()

    @asynccontextmanager
    async def one_by_one(self, whose: tuple[str, ...]) -> AsyncIterator[None]:
        """Wait for the others of one device, or of an account at one of its addresses.

        A password counts as wrong until it is checked. If those of one owner were checked
        concurrently, the parts of a script that all know it would delay each other.

        Raises:
            TooManyAttemptsError: too many wait already.
        """
        if self._awaiting_own[whose] >= MOST_WAITING:
            raise TooManyAttemptsError(1)
        lock = self._own.setdefault(whose, asyncio.Lock())
        self._awaiting_own[whose] += 1
        try:
            async with lock:
                yield
        finally:
            self._awaiting_own[whose] -= 1
            if not self._awaiting_own[whose]:
                del self._awaiting_own[whose]

    @asynccontextmanager
    async def turn(self, address: str, *, stranger: bool) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Raises:
            TooManyAttemptsError: too many wait already.
        """
        queue = self._strangers if stranger else self._known
        if self._free:
            self._free -= 1
        else:
            if len(queue) >= MOST_WAITING or (
                stranger and self._of_address[address] >= MOST_OF_AN_ADDRESS
            ):
                raise TooManyAttemptsError(1)
            await self._wait(queue, address if stranger else None)
        try:
            yield
        finally:
            self._hand_over()

    async def _wait(self, queue: "deque[asyncio.Future[None]]", address: str | None) -> None:
        mine = asyncio.get_running_loop().create_future()
        queue.append(mine)
        if address is not None:
            self._of_address[address] += 1
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._hand_over()  # It was given the turn, but no longer wants it.
            elif mine in queue:  # It may have been skipped since.
                queue.remove(mine)
            raise
        finally:
            if address is not None:
                self._of_address[address] -= 1
                if not self._of_address[address]:
                    del self._of_address[address]

    def _hand_over(self) -> None:
        for queue in (self._known, self._strangers):
            while queue:
                following = queue.popleft()
                if not following.done():
                    following.set_result(None)
                    return
        self._free += 1
