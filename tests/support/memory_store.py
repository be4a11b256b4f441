"""A store in memory, that is strict, gives tickets, and misbehaves on demand."""

import io
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from farm.errors import BlobLostError
from farm.stores.verified import require_announced
from farm_protocol.hashing import new_hasher
from farm_protocol.runner import TicketSource


class MemoryStore:
    """Keeps blobs in a dictionary: whatever needs a file of this machine does not work with it.

    Attributes:
        blobs: by account and hash.
        faults: what the next calls raise, the first one first.
        tickets_url: of what serves tickets; "" while nothing does, see `giving_tickets`.
        served: what tickets led to, by the paths that were asked for.
    """

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.faults: deque[Exception] = deque()
        self.calls = 0
        self.tickets_url = ""
        self.given: dict[str, tuple[str, str]] = {}
        self.served: list[str] = []

    def begin(self, account_id: str, blob_hash: str, size: int) -> "_Incoming":
        self._call()
        return _Incoming(self, (account_id, blob_hash), size)

    def open(self, account_id: str, blob_hash: str) -> BinaryIO:
        self._call()
        if (account_id, blob_hash) not in self.blobs:
            raise BlobLostError(blob_hash)
        return io.BytesIO(self.blobs[account_id, blob_hash])

    def local_path(self, account_id: str, blob_hash: str) -> Path | None:
        return None

    def folder(self) -> None:
        return None

    def source(self, account_id: str) -> TicketSource:
        return TicketSource()

    def tickets(self, account_id: str, hashes: Collection[str]) -> Mapping[str, str]:
        self._call()
        if not self.tickets_url:
            return {}
        tickets = {each: token_hex() for each in hashes}
        self.given.update((secret, (account_id, each)) for each, secret in tickets.items())
        return {each: f"{self.tickets_url}/{secret}" for each, secret in tickets.items()}

    def delete(self, account_id: str, hashes: Collection[str]) -> None:
        self._call()
        for each in hashes:
            self.blobs.pop((account_id, each), None)

    def _call(self) -> None:
        self.calls += 1
        if self.faults:
            raise self.faults.popleft()

    @contextmanager
    def giving_tickets(self) -> Iterator[None]:
        """Serve tickets meanwhile."""
        handler = type("Handler", (_Handler,), {"store": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        self.tickets_url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield
        finally:
            self.tickets_url = ""
            server.shutdown()
            server.server_close()


class _Incoming:
    def __init__(self, store: MemoryStore, key: tuple[str, str], size: int) -> None:
        self._store, self._key, self._size = store, key, size
        self._data: bytearray | None = bytearray()

    def write(self, data: bytes) -> None:
        assert self._data is not None, "it was committed or aborted"
        self._data += data

    def commit(self) -> None:
        assert self._data is not None, "it was committed or aborted"
        self._store._call()
        hasher = new_hasher()
        hasher.update(self._data)
        require_announced((hasher.hexdigest(), len(self._data)), (self._key[1], self._size))
        self._store.blobs[self._key] = bytes(self._data)
        self._data = None

    def abort(self) -> None:
        self._data = None


class _Handler(BaseHTTPRequestHandler):
    store: MemoryStore

    def do_GET(self) -> None:
        self.store.served.append(self.path)
        key = self.store.given.get(self.path.removeprefix("/"))
        # A farm's secrets are not for a store's eyes.
        if key is None or key not in self.store.blobs or "Authorization" in self.headers:
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.store.blobs[key])))
        self.end_headers()
        self.wfile.write(self.store.blobs[key])

    def log_message(self, *args: object) -> None:
        pass
