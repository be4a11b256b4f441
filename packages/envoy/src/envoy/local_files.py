"""Reading the artist's files without holding up anything else."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from envoy.errors import FileChangedError, LocalFileError

CHUNK_BYTES = 1024 * 1024


async def file_parts(
    path: Path, size: int, sent: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    """Yield the first ``size`` bytes of a file, calling ``sent`` with the size of each part.

    Raises:
        LocalFileError: the file is gone or cannot be read.
        FileChangedError: it is shorter than ``size``.
    """
    left = size
    try:
        file = await asyncio.to_thread(path.open, "rb")
        try:
            while left:
                part = await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))
                if not part:
                    raise FileChangedError(f"The file {path} became shorter while it was sent.")
                yield part
                left -= len(part)
                sent(len(part))
        finally:
            file.close()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> LocalFileError:
    """Return the error for a local file that cannot be read, with one sentence naming it."""
    if isinstance(error, FileNotFoundError):
        return LocalFileError(f"The file {path} is gone. Put it back and submit again.")
    reason = error.strerror or str(error)
    return LocalFileError(f"The file {path} cannot be read ({reason}).")
