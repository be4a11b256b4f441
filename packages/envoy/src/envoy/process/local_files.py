"""Reads the artist's files without blocking anything else.

A file is opened below the project's folder and never through a link that leads out of it; only
regular files are read (`farm_protocol.inside`), and never beyond their size when they were opened
or announced.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from farm_protocol.inside import NotRegularError, open_below
from farm_protocol.paths import UnsafePathError
from farm_protocol.real_paths import real_path

from envoy.errors import FileChangedError, LocalFileError
from envoy.process.slots import STUCK_SECONDS
from envoy.process.threads import in_thread

CHUNK_BYTES = 1024 * 1024


def open_local(path: Path, root: str) -> int:
    """Open a file to upload; returns a descriptor. Blocking.

    Parameters:
        root: local folder that must contain the target of ``path``; ``path`` itself where no link
            at all may be on it; "" for files that were accepted before this was recorded: their own
            folder.

    Raises:
        LocalFileError: it is gone, cannot be read, is not a regular file, or lies elsewhere.
    """
    folder = Path(root) if root else Path(real_path(path)).parent
    try:
        return open_below(folder, path)
    except UnsafePathError as error:
        raise LocalFileError(f"{error} It was not sent. Submit again.") from error
    except OSError as error:
        raise unreadable(path, error) from error


async def file_parts(
    path: Path, root: str, size: int, sent: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    """Yield the first ``size`` bytes of a file, calling ``sent`` with the size of each part.

    Parameters:
        root: see `open_local`.

    Raises:
        LocalFileError: the file is gone, cannot be read, or does not answer.
        FileChangedError: it is shorter than ``size``.
    """
    left = size
    try:
        async with asyncio.timeout(STUCK_SECONDS) as limit:
            reader = _Reader(await in_thread(open_local, path, root))
            try:
                while left:
                    part = await in_thread(reader.read, min(CHUNK_BYTES, left))
                    if not part:
                        raise FileChangedError(
                            f"The file {path} became shorter while it was being sent."
                        )
                    limit.reschedule(None)
                    yield part
                    limit.reschedule(asyncio.get_running_loop().time() + STUCK_SECONDS)
                    left -= len(part)
                    sent(len(part))
            finally:
                reader.close()
    except TimeoutError as error:
        raise stuck(path) from error
    except OSError as error:
        raise unreadable(path, error) from error


def stamp_of(size: int, mtime_ns: int, ctime_ns: int, inode: str) -> str:
    """Return a text that differs once a file has been written again, or replaced.

    Parameters: of ``os.stat``.
    """
    if os.name == "nt":
        # The change time is the creation time, and a folder's listing has no inodes.
        return f"{size} {mtime_ns}"
    # Programs can set a file's modification time, but not its change time.
    return f"{size} {mtime_ns} {ctime_ns} {inode}"


def stamp_of_status(status: os.stat_result) -> str:
    """Return the `stamp_of` a file."""
    return stamp_of(status.st_size, status.st_mtime_ns, status.st_ctime_ns, str(status.st_ino))


class _Reader:
    """A descriptor that one thread may still be reading when another closes it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._busy = self._closed = False

    def read(self, count: int) -> bytes:
        with self._lock:
            if self._closed:
                return b""
            self._busy = True
        try:
            return os.read(self._descriptor, count)
        finally:
            with self._lock:
                self._busy = False
                if self._closed:
                    os.close(self._descriptor)

    def close(self) -> None:
        with self._lock:
            if not self._closed and not self._busy:
                os.close(self._descriptor)
            self._closed = True


def unreadable(path: Path, error: OSError) -> LocalFileError:
    """Return the error for an unreadable local file, with one message that names it."""
    if isinstance(error, FileNotFoundError):
        return LocalFileError(f"The file {path} no longer exists. Put it back and submit again.")
    if isinstance(error, NotRegularError):
        return LocalFileError(f"{path} is no longer a regular file. Submit again.")
    reason = error.strerror or str(error)
    return LocalFileError(f"The file {path} cannot be read ({reason}).")


def stuck(path: Path | str) -> LocalFileError:
    """Return the error for a file whose disk does not answer."""
    return LocalFileError(
        f"The disk of the file {path} has not answered for {STUCK_SECONDS:.0f} s. Submit again when"
        " it works."
    )
