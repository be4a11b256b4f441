"""Tells threads and coroutines that something has happened, so that nobody polls."""

import asyncio
import threading


class Wakeup:
    """A counter of events that can be waited on from threads and from the event loop.

    Read `count` first, check the state, then wait for the counter to change: no event in between is
    missed.
    """

    def __init__(self) -> None:
        """Start with a count of zero."""
        self._condition = threading.Condition()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.count = 0
        self.closed = False

    def close(self) -> None:
        """Wake everybody for the last time: callers that see `closed` must not wait again."""
        self.closed = True
        self.notify()

    def notify(self) -> None:
        """Wake everybody. May be called from any thread."""
        with self._condition:
            self.count += 1
            self._condition.notify_all()
            for loop, event in self._waiting:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(event.set)
            self._waiting.clear()

    def wait(self, seen: int, seconds: float) -> None:
        """Block until the counter differs from ``seen``, or ``seconds`` have passed."""
        with self._condition:
            self._condition.wait_for(lambda: self.count != seen, seconds)

    async def wait_async(self, seen: int, seconds: float) -> None:
        """Return when the counter differs from ``seen``, or ``seconds`` have passed."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._condition:
            if self.count != seen:
                return
            self._waiting.add(entry)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            with self._condition:
                self._waiting.discard(entry)
