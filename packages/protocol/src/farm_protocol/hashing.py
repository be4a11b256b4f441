"""BLAKE3 of whole files: the name of a blob.

BLAKE3 because it is cryptographic (a weaker hash would let one user plant another's bytes) and
faster than the disk. Released from Python's lock while it works.
"""

from pathlib import Path

from blake3 import blake3

CHUNK_BYTES = 1024 * 1024


def new_hasher() -> blake3:
    """Return a hasher with ``update(bytes)`` and ``hexdigest()``; single-threaded."""
    return blake3()


def hash_file(path: Path) -> tuple[str, int]:
    """Return (64 hex digits, size in bytes) of a file. Raises OSError as `open` does."""
    hasher = new_hasher()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hasher.update(chunk)
            size += len(chunk)
    return hasher.hexdigest(), size
