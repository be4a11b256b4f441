"""The check that every store makes before it keeps anything: are these the announced bytes?"""

from farm.errors import HashMismatchError


def require_announced(found: tuple[str, int], announced: tuple[str, int]) -> None:
    """Compare hash and size in bytes. Raises HashMismatchError."""
    if found != announced:
        raise HashMismatchError(
            "The bytes received do not match the announced BLAKE3 hash. "
            "The file may have changed while it was sent: hash and send it again."
        )
