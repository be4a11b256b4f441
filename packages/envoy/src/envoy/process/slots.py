"""So much at a time, not counting what stands still.

A limit on how many files are read or sent together keeps a disk and a line from being torn between
hundreds. But whoever waits for a disk that does not answer uses neither: it gives its slot back, so
that one project's trouble never holds up another's. So does, where that is wanted, whoever has had
it for long, and goes on beside the others: a file may be as large as it likes.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STANDS_SECONDS = 5.0
"""Without a sign of progress for so long, something stands still."""
STUCK_SECONDS = 300.0
"""After so long it is not going to move."""


class Turn:
    """One piece of work in a slot.

    Attributes:
        what: it was last busy with; "" when it has not told.
    """

    def __init__(self) -> None:
        self.what = ""
        self._moved_at = time.monotonic()

    def moved(self, what: str = "") -> None:
        """Note that it makes progress. May be called from any thread."""
        self._moved_at = time.monotonic()
        self.what = what or self.what

    @property
    def still_seconds(self) -> float:
        """Seconds since it last made progress."""
        return time.monotonic() - self._moved_at


class Slots:
    """A number of slots.

    Parameters:
        longest: seconds after which a slot is given back although its work gets on.
    """

    def __init__(self, number: int, longest: float = math.inf) -> None:
        self._longest = longest
        self._free = asyncio.Semaphore(number)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for a slot, and hold it as long as the work in it gets on."""
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
