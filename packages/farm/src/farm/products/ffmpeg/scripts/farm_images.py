"""What FFmpeg does not notice of images that are not whole, and what it notices too much of.

Seen in FFmpeg 5.1: an empty image ends the sequence and a truncated EXR is shown black below, both
with exit code 0; with ``-err_detect explode`` TIFF's reader also refuses tags that it does not
know.
"""

import os
import struct

_EXR_MAGIC = b"v/1\x01"
_TILED, _DEEP, _PARTS = 0x200, 0x800, 0x1000
_MOST_READ = 1024 * 1024
"""Bytes of header and table: more are left to FFmpeg, reading whole files twice takes too long."""


def strictness(suffix: str) -> "list[str]":
    """Return FFmpeg's arguments for images of a suffix: without them it leaves out damaged ones."""
    detect = [] if suffix in (".tif", ".tiff") else ["-err_detect", "explode"]
    return ["-xerror", *detect]


def trouble(path: str) -> str:
    """Return why an image is not whole, as far as FFmpeg would not say; "" when nothing is wrong.

    Raises:
        OSError: it cannot be read.
    """
    size = os.path.getsize(path)
    if size == 0:
        return "it is empty"
    if os.path.splitext(path)[1].lower() == ".exr" and _exr_end(path) > size:
        return "it ends too early"
    return ""


def _exr_end(path: str) -> int:
    """Return where the last of an EXR's chunks ends, in bytes; 0 when that is not known.

    After the header stands a table with the place of each chunk; each chunk begins with its
    coordinates and its size (OpenEXR's file layout). Files of several parts and deep ones are laid
    out otherwise and left to FFmpeg, which refuses them.
    """
    with open(path, "rb") as file:
        start = file.read(_MOST_READ)
        if start[:4] != _EXR_MAGIC:
            return 0
        try:
            (flags,) = struct.unpack_from("<I", start, 4)
            if flags & (_DEEP | _PARTS):
                return 0
            last = max(_chunks(start))
        except (struct.error, ValueError):
            return 0 if len(start) == _MOST_READ else len(start) + 1
        size_at = last + (16 if flags & _TILED else 4)
        file.seek(size_at)
        size = file.read(4)
    return size_at + 4 + int.from_bytes(size, "little")


def _chunks(start: bytes) -> "list[int]":
    """Return where the chunks begin. Raises ValueError or struct.error when that is cut off."""
    table = _header_end(start)
    offsets: list[int] = []
    first = len(start)
    # Chunks may be in any order; the table ends where the first of all begins.
    while table < first:
        (offset,) = struct.unpack_from("<Q", start, table)
        first = min(first, offset)
        offsets.append(offset)
        table += 8
    return offsets


def _header_end(start: bytes) -> int:
    """Return where the header ends: after attributes of name, type, size and value."""
    place = 8
    while place < len(start) and start[place]:
        for _text in ("name", "type"):
            place = start.index(b"\0", place) + 1
        (length,) = struct.unpack_from("<I", start, place)
        place += 4 + length
    return place + 1
