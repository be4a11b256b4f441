"""Limits concurrent work, not counting what stalls.

A limit on the files that are read or sent at a time keeps disk and network from thrashing. But work
that waits for an unresponsive disk uses neither: it gives its slot back, so that one project's
trouble never blocks another project. Where that is wanted, so does work that has had its slot for
long, and continues without one: a file may be of any size.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STANDS_SECONDS = 5.0
"""Work without a sign of progress for so long is stalled."""
STUCK_SECONDS = 300.0
"""Work stalled for so long is given up."""


class Turn:
    """One piece of work in a slot.

    Attributes:
        what: what it was last doing; "" when it has not said.
    """

    def __init__(self) -> None:
        self.what = ""
        self._moved_at = time.monotonic()

    def moved(self, what: str = "") -> None:
        """Note progress. May be called from any thread."""
        self._moved_at = time.monotonic()
        self.what = what or self.what

    @property
    def still_seconds(self) -> float:
        """Seconds since it last made progress."""
        return time.monotonic() - self._moved_at


class Slots:
    """A fixed number of slots.

    Parameters:
        longest: seconds after which a slot is given back although its work progresses.
    """

    def __init__(self, number: int, longest: float = math.inf) -> None:
        self._longest = longest
        self._free = asyncio.Semaphore(number)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for a slot, and hold it while the work in it progresses."""
        await self._free.acquire()
        turn = Turn()
        watch = asyncio.create_task(_wait_until_stalled(turn, self._longest))
        watch.add_done_callback(lambda _: self._free.release())
        try:
            yield turn
        finally:
            watch.cancel()


async def _wait_until_stalled(turn: Turn, longest: float) -> None:
    until = time.monotonic() + longest
    while (left := _left(turn, until)) > 0:  # noqa: ASYNC110 - told by threads
        await asyncio.sleep(left)


def _left(turn: Turn, until: float) -> float:
    return min(STANDS_SECONDS - turn.still_seconds, until - time.monotonic())
