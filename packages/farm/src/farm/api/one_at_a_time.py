"""One thread at a time for each of very many things, without a lock for each of them."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary


class OneAtATime:
    """Threads that want the same thing wait for each other."""

    def __init__(self) -> None:
        """Nobody has anything."""
        self._guard = threading.Lock()
        # A lock lives as long as somebody has it, or waits for it.
        self._locks: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def of(self, thing: Hashable) -> Iterator[None]:
        """Have a thing for oneself for as long as the block runs."""
        with self._guard:
            lock = self._locks.setdefault(thing, threading.Lock())
        with lock:
            yield
