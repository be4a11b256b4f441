"""BLAKE3 of whole files: the name of a blob.

BLAKE3 because it is cryptographic (a weaker hash would let one user plant another's bytes) and
faster than the disk. It releases Python's lock while it works.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

CHUNK_BYTES = 1024 * 1024


def new_hasher() -> blake3:
    """Return a hasher with ``update(bytes)`` and ``hexdigest()``; single-threaded."""
    return blake3()


def hash_file(path: Path, moved: Callable[[], None] = lambda: None) -> tuple[str, int]:
    """Return (64 hex digits, size in bytes) of a file. Raises OSError as `open` does.

    Parameters:
        moved: called after every piece; an exception that it raises ends the work.
    """
    with path.open("rb") as file:
        return hash_open(file, moved=moved)


def hash_open(
    file: BinaryIO, most: int | None = None, moved: Callable[[], None] = lambda: None
) -> tuple[str, int]:
    """Return (64 hex digits, size in bytes) of the rest of an open file.

    Parameters:
        most: bytes to read at most: a file may grow as fast as it is read. None: to its end.
        moved: called after every piece.
    """
    hasher = new_hasher()
    size = 0
    while chunk := file.read(CHUNK_BYTES if most is None else min(CHUNK_BYTES, most - size)):
        hasher.update(chunk)
        size += len(chunk)
        moved()
    return hasher.hexdigest(), size
