"""Blocking work in threads, of which there are always enough.

A disk that does not answer keeps a thread for ever, and nothing can end it. In a pool of a fixed
size a few of them would stop everything else; so here each piece of work gets a thread that is
free, or a new one. How much runs together is decided by those who ask (`envoy.process.slots`).
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS = 10.0
"""How long a thread without work stays."""


class _Threads:
    """Daemon threads: the process does not wait for them when it ends, as it would for anyio's."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0

    def run(self, work: Callable[[], None]) -> None:
        """Run something, which must not raise."""
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                threading.Thread(target=self._serve, name="blocking", daemon=True).start()
        self._work.put(work)

    def _serve(self) -> None:
        while True:
            try:
                self._work.get(timeout=IDLE_SECONDS)()
            except queue.Empty:
                with self._lock:
                    if not self._free:
                        continue  # Counted on: its work is on the way.
                    self._free -= 1
                    return
            with self._lock:
                self._free += 1


_threads = _Threads()


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a blocking function returns; when cancelled, it goes on unheard."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        def now() -> None:
            if not future.done():
                settle()

        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            loop.call_soon_threadsafe(now)

    def work() -> None:
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            tell(partial(future.set_exception, error))
        else:
            tell(partial(future.set_result, result))

    _threads.run(work)
    return await future
