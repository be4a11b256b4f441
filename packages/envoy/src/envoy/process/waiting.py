"""What Envoy is waiting for, as messages, and how waits are ended early."""

import asyncio
import random

from farm_protocol.backoff import BackOff

from envoy.process.status_messages import NO_MESSAGE, StatusMessage

_PAUSES = BackOff(0.25, 15.0)


def pause_seconds(failures: int) -> float:
    """Return how long to wait after the n-th consecutive failure of something on this machine."""
    return _PAUSES.after(failures)


def farm_pause_seconds(failures: int) -> float:
    """Return how long to wait after the n-th consecutive failure of the farm, with jitter."""
    return _PAUSES.spread(failures, random.random())  # noqa: S311 - not a secret


class WaitingRoom:
    """Each part of Envoy reports here what it waits for; all are woken when that may have come."""

    def __init__(self) -> None:
        self._messages: dict[str, StatusMessage] = {}
        self._bell = asyncio.Event()

    @property
    def status(self) -> StatusMessage:
        """The oldest of what was reported that is still true."""
        return next(iter(self._messages.values()), NO_MESSAGE)

    def tell(self, who: str, status: StatusMessage) -> None:
        """Report that ``who`` waits, and for what."""
        self._messages[who] = status

    def clear(self, who: str) -> None:
        """Report that ``who`` no longer waits."""
        self._messages.pop(who, None)

    def wake_all(self) -> None:
        """End all pauses now: somebody has signed in, or the farm is back."""
        rung, self._bell = self._bell, asyncio.Event()
        rung.set()

    async def pause(self, seconds: float | None) -> None:
        """Wait until `wake_all`, at most ``seconds`` (None: as long as it takes)."""
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return
