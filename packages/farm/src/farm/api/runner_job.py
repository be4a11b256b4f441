"""The job that a runner works on, with all files of its submission.

These may be a million, and thirty runners of one job ask for them when it begins. So the list is
written once for all that ask for the same one, as it is read, to a file without a name, and sent
from there, as fast as each of them takes it. Neither the rows nor the list are in memory as a
whole, and who writes it leaves the processor to others in between.
"""

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import SpooledTemporaryFile

from farm_protocol.files import KnownFile
from farm_protocol.hashing import new_hasher
from farm_protocol.runner import RunnerJob
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from farm.db.engine.turns import OneAtATime
from farm.db.pauses import with_pauses
from farm.errors import StorageFullError, UnavailableError

MOST_BYTES = 256 << 20
"""Of all lists that are kept."""

KEPT_SECONDS = 60.0
"""How long a list is kept that nobody asks for."""

REFUSED_SECONDS = 30.0
"""How long nobody tries again to make a list for which there was no room on the disk."""

_IN_MEMORY_BYTES = 256 << 10
_SENT_BYTES = 256 << 10
_FILES: TypeAdapter[Sequence[KnownFile]] = TypeAdapter(Sequence[KnownFile])


class FileList:
    """A list of files as JSON. For threads.

    Attributes:
        size: in bytes.
    """

    def __init__(self, folder: Path | None) -> None:
        """Begin one.

        Parameters:
            folder: for a longer one; None: the system's for temporary files.
        """
        place = None if folder is None else str(folder)
        self._file = SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=place)  # noqa: SIM115 - below
        self._guard = threading.Lock()
        self.size = 0
        # When the last one who sends it has let go of it.
        weakref.finalize(self, self._file.close)

    def add(self, piece: bytes) -> None:
        """Write the next bytes."""
        self._file.write(piece)
        self.size += len(piece)

    def part(self, start: int) -> bytes:
        """Return some of its bytes."""
        with self._guard:
            self._file.seek(start)
            return self._file.read(_SENT_BYTES)


class FileLists:
    """Lists of files as JSON, by what they are of. For threads."""

    def __init__(
        self, folder: Path | None = None, may_grow: Callable[[int], None] = lambda _: None
    ) -> None:
        """Keep none yet.

        Parameters:
            folder: for long ones; None: the system's for temporary files.
            may_grow: raises StorageFullError when there is no room for so many bytes in it.
        """
        self._folder, self._may_grow = folder, may_grow
        self._guard = threading.Lock()
        self._one = OneAtATime()
        # What is let go of first comes first.
        self._kept: OrderedDict[str, tuple[FileList, float]] = OrderedDict()
        self._refused: dict[str, tuple[str, float]] = {}
        self._timer: threading.Timer | None = None

    def of(
        self,
        key: str,
        make: Callable[[], Iterable[Sequence[KnownFile]]],
        ending: Callable[[], bool] = lambda: False,
    ) -> FileList:
        """Return a list; ``make`` is called unless it is kept, or somebody is making it.

        Parameters:
            make: yields the files, some at a time.
            ending: whether the farm ends; then nobody waits for the list any more.

        Raises:
            UnavailableError: the farm ends.
            StorageFullError: there is no room for it now, or was none a moment ago.
        """
        with self._one.of(key):
            found = self._find(key)
            if found is None:
                try:
                    found = self._made(make(), ending)
                except StorageFullError as error:
                    self._refuse(key, str(error))
                    raise
                self._keep(key, found)
            return found

    def _made(
        self, portions: Iterable[Sequence[KnownFile]], ending: Callable[[], bool]
    ) -> FileList:
        made = FileList(self._folder)
        made.add(b"[")
        with ExitStack() as afterwards:
            if isinstance(portions, Generator):
                afterwards.callback(portions.close)  # What it reads is over, come what may.
            for some in with_pauses(portions):
                if ending():
                    raise UnavailableError("The farm is stopping. Try again later.")
                if some:
                    piece = _FILES.dump_json(some)[1:-1]
                    if made.size + len(piece) > _IN_MEMORY_BYTES:
                        self._may_grow(len(piece))
                    made.add(b"," + piece if made.size > 1 else piece)
        made.add(b"]")
        return made

    def _find(self, key: str) -> FileList | None:
        now = time.monotonic()
        with self._guard:
            self._drop_expired(now)
            if key in self._refused:
                raise StorageFullError(self._refused[key][0])
            if key not in self._kept:
                return None
            found, _ = self._kept.pop(key)
            self._kept[key] = found, now + KEPT_SECONDS
            return found

    def _keep(self, key: str, made: FileList) -> None:
        with self._guard:
            self._kept[key] = made, time.monotonic() + KEPT_SECONDS
            while len(self._kept) > 1 and self._size() > MOST_BYTES:
                self._kept.popitem(last=False)
            self._wait()

    def _refuse(self, key: str, why: str) -> None:
        with self._guard:
            self._refused[key] = why, time.monotonic() + REFUSED_SECONDS

    def _drop_expired(self, now: float) -> None:
        """Forget what is due."""
        kept, refused = self._kept, self._refused
        for each in [name for name, (_, until) in kept.items() if until <= now]:
            del kept[each]
        for each in [name for name, (_, until) in refused.items() if until <= now]:
            del refused[each]

    def _wait(self) -> None:
        """Let go of the next list when it is due, though nobody may ask for another one."""
        if self._timer is None and self._kept:
            _, until = next(iter(self._kept.values()))
            self._timer = threading.Timer(max(0.0, until - time.monotonic()), self._wake)
            self._timer.daemon = True
            self._timer.start()

    def _wake(self) -> None:
        with self._guard:
            self._timer = None
            self._drop_expired(time.monotonic())
            self._wait()

    def _size(self) -> int:
        return sum(each.size for each, _ in self._kept.values())


def key_of(project_id: str, snapshot: int, others: Iterable[str]) -> str:
    """Return what a list of files is known by.

    Parameters:
        others: texts that settle which files it has beside the project's snapshot. The files
            themselves may be a million, and nobody reads them to find that their list is kept.
    """
    hasher = new_hasher()
    for each in others:
        hasher.update(f"{each}\0".encode())
    return f"{project_id} {snapshot} {hasher.hexdigest()}"


def answer(job: RunnerJob, files: FileList) -> StreamingResponse:
    """Return the answer for a job, streaming its list of files.

    Parameters:
        job: its own list of files is empty.
        files: the list to send instead.
    """
    head = job.model_dump_json(exclude={"files"}).encode().removesuffix(b"}") + b',"files":'

    async def parts() -> AsyncIterator[bytes]:
        yield head
        for start in range(0, files.size, _SENT_BYTES):
            # A short one is in memory, and needs no thread.
            is_short = files.size <= _IN_MEMORY_BYTES
            yield files.part(start) if is_short else await run_in_threadpool(files.part, start)
        yield b"}"

    length = {"Content-Length": str(len(head) + files.size + 1)}
    return StreamingResponse(parts(), headers=length, media_type="application/json")
