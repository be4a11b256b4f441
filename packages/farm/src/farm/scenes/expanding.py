"""How large a compressed .blend may become when it is looked through.

blender-asset-tracer expands it into a temporary file.
"""

import os
from collections.abc import Iterable
from pathlib import Path

MOST = 8 * 1024**3
_FREELY = 256 * 1024**2
_MAX_RATIO = 20
"""Bytes at most, bytes that any may have, and how many times its size a larger one. Scenes become
2 to 8 times as large."""
_PLAIN = b"BLENDER"


def expanded(size: int) -> int:
    """Return how many bytes a .blend of this size may have when it is expanded."""
    return min(MOST, max(_FREELY, _MAX_RATIO * size))


def to_expand(blends: Iterable[Path]) -> int:
    """Return how many bytes any of these files may become; 0 when none is compressed."""
    most = 0
    for path in set(blends):
        with path.open("rb") as file:
            if file.read(len(_PLAIN)) != _PLAIN:
                most = max(most, expanded(os.fstat(file.fileno()).st_size))
    return most
