"""What Envoy waits for, in messages, and the bell that ends a wait early."""

import asyncio
import random

from farm_protocol.backoff import BackOff

_PAUSES = BackOff(0.25, 15.0)


def pause_seconds(failures: int) -> float:
    """Return how long to wait after the n-th failure in a row of something on this machine."""
    return _PAUSES.after(failures)


def farm_pause_seconds(failures: int) -> float:
    """Return how long to wait after the n-th failure in a row of the farm's, whoever else waits."""
    return _PAUSES.spread(failures, random.random())  # noqa: S311 - not a secret


class WaitingRoom:
    """Each part of Envoy tells here what it waits for; rung when that may have come."""

    def __init__(self) -> None:
        self._messages: dict[str, str] = {}
        self._bell = asyncio.Event()

    @property
    def message(self) -> str:
        """The oldest message still true, or ""."""
        return next(iter(self._messages.values()), "")

    def tell(self, who: str, message: str) -> None:
        """Say that ``who`` waits, and for what."""
        self._messages[who] = message

    def clear(self, who: str) -> None:
        """Say that ``who`` waits no longer."""
        self._messages.pop(who, None)

    def wake_all(self) -> None:
        """End all pauses now: somebody signed in, or the farm is back."""
        rung, self._bell = self._bell, asyncio.Event()
        rung.set()

    async def pause(self, seconds: float | None) -> None:
        """Wait for the bell, at most ``seconds`` (None: as long as it takes)."""
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return
