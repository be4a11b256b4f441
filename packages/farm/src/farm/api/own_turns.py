"""How many costly requests of one account are worked on at a time.

What a check of a submission computes is bounded, but there are only so many threads. An account
that sends many at once waits for itself, and nobody else does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from http_gate.bodies import BusyError

MOST_AT_A_TIME = 2
MOST_WAITING = 100
"""Of one account."""


@dataclass(slots=True)
class _Line:
    """The requests of one account. ``length``: those that work or wait."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_A_TIME))
    length: int = 0


class OwnTurns:
    """The costly requests of all accounts. Used from one event loop."""

    def __init__(self) -> None:
        """Nobody works or waits yet."""
        self._of: dict[str, _Line] = {}

    @asynccontextmanager
    async def of(self, account_id: str) -> AsyncIterator[None]:
        """Wait until it is one's turn. Raises BusyError when too many wait already."""
        line = self._of.setdefault(account_id, _Line())
        if line.length >= MOST_AT_A_TIME + MOST_WAITING:
            raise BusyError("Too many submissions at once. Try again later.")
        line.length += 1
        try:
            async with line.turns:
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._of[account_id]
