"""How large a compressed .blend may become when it is read.

blender-asset-tracer expands it into a temporary file.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from farm_protocol.inside import open_regular

MOST = 8 * 1024**3
_FREELY = 256 * 1024**2
_MAX_RATIO = 20
"""Absolute limit in bytes, bytes that any .blend may have, and for larger ones, how many times
their size. Scenes expand 2 to 8 times.
"""
_PLAIN = b"BLENDER"


def expanded(size: int) -> int:
    """Return how many bytes a .blend of this size may expand to."""
    return min(MOST, max(_FREELY, _MAX_RATIO * size))


def to_expand(blends: Iterable[Path]) -> int:
    """Return how many bytes any of these files may become; 0 when none is compressed."""
    most = 0
    for path in set(blends):
        with os.fdopen(open_regular(path), "rb") as file:
            if file.read(len(_PLAIN)) != _PLAIN:
                most = max(most, expanded(os.fstat(file.fileno()).st_size))
    return most
