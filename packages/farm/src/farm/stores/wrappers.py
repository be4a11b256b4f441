"""Wrappers around a store: temporary failures are retried, and concurrent calls limited.

They nest: in ``Retrying(Throttled(store, 32))``, a call that waits for its retry releases its place
meanwhile.
"""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

from farm_protocol.backoff import BackOff
from farm_protocol.runner import DiskSource, TicketSource

from farm.errors import UnavailableError
from farm.stores.port import Incoming, Store

_PAUSES = BackOff(0.05, 2.0)
RETRY_SECONDS = 10.0
"""How long a call is retried: its caller gives up after half a minute."""

Result = TypeVar("Result")


class _Wrapper(ABC):
    def __init__(self, store: Store) -> None:
        self._store = store

    @abstractmethod
    def _call(self, work: Callable[[], Result]) -> Result:
        """Call the wrapped store."""

    def begin(self, account_id: str, blob_hash: str, size: int) -> Incoming:
        incoming = self._call(lambda: self._store.begin(account_id, blob_hash, size))
        return _WrappedIncoming(incoming, self._call)

    def open(self, account_id: str, blob_hash: str) -> BinaryIO:
        return self._call(lambda: self._store.open(account_id, blob_hash))

    def local_path(self, account_id: str, blob_hash: str) -> Path | None:
        return self._store.local_path(account_id, blob_hash)

    def folder(self) -> Path | None:
        return self._store.folder()

    def source(self, account_id: str) -> DiskSource | TicketSource:
        return self._store.source(account_id)

    def tickets(self, account_id: str, hashes: Collection[str]) -> Mapping[str, str]:
        return self._call(lambda: self._store.tickets(account_id, hashes))

    def delete(self, account_id: str, hashes: Collection[str]) -> None:
        self._call(lambda: self._store.delete(account_id, hashes))


class _WrappedIncoming:
    def __init__(self, incoming: Incoming, call: Callable[[Callable[[], None]], None]) -> None:
        self._incoming = incoming
        self._call = call

    def write(self, data: bytes) -> None:
        # Not retried: it is unknown how much has arrived.
        self._incoming.write(data)

    def commit(self) -> None:
        self._call(self._incoming.commit)

    def abort(self) -> None:
        self._incoming.abort()


class Retrying(_Wrapper):
    """Retries calls that raise `UnavailableError`, with growing pauses."""

    def __init__(self, store: Store, seconds: float = RETRY_SECONDS) -> None:
        """Wrap a store.

        Parameters:
            seconds: how long to try; the last exception is raised.
        """
        super().__init__(store)
        self._seconds = seconds

    def _call(self, work: Callable[[], Result]) -> Result:
        until, failures = time.monotonic() + self._seconds, 0
        while True:
            try:
                return work()
            except UnavailableError:
                failures += 1
                pause = _PAUSES.spread(failures, random.random())  # noqa: S311 - not a secret
                if time.monotonic() + pause > until:
                    raise
            time.sleep(pause)


class Throttled(_Wrapper):
    """Limits concurrent calls. Writes to an incoming blob are not limited."""

    def __init__(self, store: Store, at_a_time: int) -> None:
        """Wrap a store."""
        super().__init__(store)
        self._places = threading.BoundedSemaphore(at_a_time)

    def _call(self, work: Callable[[], Result]) -> Result:
        with self._places:
            return work()
