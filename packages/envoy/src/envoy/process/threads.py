"""Blocking work in threads, of which there are always enough.

An unresponsive disk blocks a thread for ever, and nothing can end it. In a pool of fixed size, a
few of these would block everything else; so here each piece of work gets an idle thread, or a new
one. The callers limit concurrency (`envoy.process.slots`).
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
"""How long an idle thread is kept."""


class _Threads:
    """Daemon threads: the process does not wait for them at exit, as it would for anyio's."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0

    def run(self, work: Callable[[], None]) -> None:
        """Run a function, which must not raise."""
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
                        continue  # This one is reserved: its work is about to arrive.
                    self._free -= 1
                    return
            with self._lock:
                self._free += 1


_threads = _Threads()


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of a blocking function; when cancelled, it continues unattended."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        def now() -> None:
            if not future.done():
                settle()

        with suppress(RuntimeError):  # The loop is closed: nobody is waiting any more.
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
