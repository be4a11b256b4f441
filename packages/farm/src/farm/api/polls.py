"""Limits how many requests of one account wait for news.

A waiting request holds its connection, and connections are few. So an account with too many pays
with its own: the one that has waited longest gets an empty answer.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from farm.wakeup import Wakeup

MOST_POLLS = 32
"""Limit of one account. An Envoy has one."""


class Poll:
    """One waiting request."""

    def __init__(self) -> None:
        """Start as a request that does not wait yet."""
        self.over = False
        self._timeout: asyncio.Timeout | None = None

    async def wait(self, changes: Wakeup, seen: int, seconds: float) -> None:
        """As `Wakeup.wait_async`, until another one needs the place; then it is `over`."""
        if self.over:
            return
        try:
            async with asyncio.timeout(None) as self._timeout:
                await changes.wait_async(seen, seconds)
        except TimeoutError:
            pass
        finally:
            self._timeout = None

    def end(self) -> None:
        """Let the request be answered now."""
        self.over = True
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())


class Polls:
    """All waiting requests. Used from one event loop."""

    def __init__(self, most: int = MOST_POLLS) -> None:
        """Set how many requests of an account may wait."""
        self._most = most
        self._of: dict[str, list[Poll]] = {}

    @contextmanager
    def of(self, account_id: str) -> Iterator[Poll]:
        """Count one more, ending the oldest if necessary."""
        mine = self._of.setdefault(account_id, [])
        if len(mine) >= self._most:
            mine.pop(0).end()
        poll = Poll()
        mine.append(poll)
        try:
            yield poll
        finally:
            if poll in mine:
                mine.remove(poll)
            if not mine and self._of.get(account_id) is mine:
                del self._of[account_id]
