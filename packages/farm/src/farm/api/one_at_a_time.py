"""A lock for each of very many things, without keeping one for each of them."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary


class OneAtATime:
    """Threads that want the same thing wait for each other."""

    def __init__(self) -> None:
        """Start with no account holding a turn."""
        self._guard = threading.Lock()
        # A lock lives while a thread holds it, or waits for it.
        self._locks: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def of(self, thing: Hashable) -> Iterator[None]:
        """Hold a thing exclusively while the block runs."""
        with self._guard:
            lock = self._locks.setdefault(thing, threading.Lock())
        with lock:
            yield
