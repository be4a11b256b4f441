"""The job that a runner works on, with all files of its submission.

These may be a hundred thousand, and thirty runners of one job ask for them when it begins. So the
list is written once for all that ask for the same one, and sent from one place in memory, as fast
as each of them takes it.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence

from farm_protocol.files import KnownFile
from farm_protocol.hashing import new_hasher
from farm_protocol.runner import RunnerJob
from pydantic import TypeAdapter
from starlette.responses import StreamingResponse

from farm.api.one_at_a_time import OneAtATime

MOST_BYTES = 64 << 20
"""Of all lists that are kept, beside the newest one."""

KEPT_SECONDS = 60.0
"""How long a list is kept that nobody asks for."""

_AT_A_TIME = 1000
"""Files that are written as JSON before other threads have their turn."""

_SENT_BYTES = 256 << 10

_FILES: TypeAdapter[Sequence[KnownFile]] = TypeAdapter(Sequence[KnownFile])


class FileLists:
    """Lists of files as JSON, by what they are of. For threads."""

    def __init__(self) -> None:
        """Keep none yet."""
        self._guard = threading.Lock()
        self._one = OneAtATime()
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def of(self, key: str, make: Callable[[], list[KnownFile]]) -> bytes:
        """Return a list; ``make`` is called unless it is kept, or somebody is making it."""
        with self._one.of(key):
            found = self._find(key)
            if found is None:
                found = _json(make())
                self._keep(key, found)
            return found

    def _find(self, key: str) -> bytes | None:
        now = time.monotonic()
        with self._guard:
            for each in [name for name, (_, until) in self._kept.items() if until < now]:
                del self._kept[each]
            if key not in self._kept:
                return None
            found, _ = self._kept.pop(key)
            self._kept[key] = found, now + KEPT_SECONDS
            return found

    def _keep(self, key: str, made: bytes) -> None:
        with self._guard:
            self._kept[key] = made, time.monotonic() + KEPT_SECONDS
            while len(self._kept) > 1 and self._size() > MOST_BYTES:
                self._kept.popitem(last=False)

    def _size(self) -> int:
        return sum(len(content) for content, _ in self._kept.values())


def key_of(project_id: str, snapshot: int, others: Sequence[KnownFile]) -> str:
    """Return what a list of files is known by.

    Parameters:
        others: files that are no part of the project's snapshot.
    """
    hasher = new_hasher()
    for file in others:
        hasher.update(f"{file.path}\0{file.hash}\0{file.size}\0".encode())
    return f"{project_id} {snapshot} {hasher.hexdigest()}"


def answer(job: RunnerJob, files: bytes) -> StreamingResponse:
    """Return the answer for a job, whose own list of files is empty.

    Parameters:
        files: what stands in its place.
    """
    head = job.model_dump_json(exclude={"files"}).encode().removesuffix(b"}") + b',"files":'

    async def parts() -> AsyncIterator[bytes]:
        yield head
        for start in range(0, len(files), _SENT_BYTES):
            yield files[start : start + _SENT_BYTES]
        yield b"}"

    length = {"Content-Length": str(len(head) + len(files) + 1)}
    return StreamingResponse(parts(), headers=length, media_type="application/json")


def _json(files: list[KnownFile]) -> bytes:
    pieces = []
    for start in range(0, len(files), _AT_A_TIME):
        piece = _FILES.dump_json(files[start : start + _AT_A_TIME])
        pieces.append(piece[1:-1])
    return b"[" + b",".join(pieces) + b"]"
