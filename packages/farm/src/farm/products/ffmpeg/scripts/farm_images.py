"""Defects of images that FFmpeg does not notice, and harmless ones that it rejects.

Seen in FFmpeg 5.1: an empty image ends the sequence and a truncated EXR becomes black below, both
with exit code 0; with ``-err_detect explode`` the TIFF reader also refuses unknown tags.
"""

import os
import struct

import farm_exr

_EXTRA_SAMPLES = 338


def strictness(suffix: str) -> "list[str]":
    """Return FFmpeg's arguments for images of a suffix: it skips damaged ones without these.

    Besides, it needs ``-xerror``.
    """
    return [] if suffix in (".tif", ".tiff") else ["-err_detect", "explode"]


def trouble(path: str) -> str:
    """Return why an image is incomplete, where FFmpeg would not say so; "" when nothing is wrong.

    Raises:
        OSError: it cannot be read.
    """
    size = os.path.getsize(path)
    if size == 0:
        return "it is empty"
    if os.path.splitext(path)[1].lower() == ".exr" and _exr_end(path) > size:
        return "it ends too early"
    return ""


def png_has_alpha(path: str) -> bool:
    """Return whether a PNG may have an alpha channel. Raises OSError."""
    with open(path, "rb") as file:
        start = file.read(26)
    # Grey and colour with alpha; a palette may have it in a separate chunk.
    return start[25:26] in (b"\3", b"\4", b"\6")


def tiff_is_multiplied(path: str) -> bool:
    """Return whether the colours of a TIFF were multiplied by its alpha channel. Raises OSError."""
    with open(path, "rb") as file:
        start = file.read(8)
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(start[:4])
        if order is None:
            return False
        file.seek(*struct.unpack(f"{order}I", start[4:]))
        tags = file.read(2 + 12 * 256)
    try:
        (count,) = struct.unpack_from(f"{order}H", tags)
        for place in range(2, 2 + 12 * min(count, 256), 12):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", tags, place)
            if (tag, kind, values) == (_EXTRA_SAMPLES, 3, 1):
                return bool(value == 1)
    except struct.error:
        pass
    return False


def _exr_end(path: str) -> int:
    """Return where the last of an EXR's chunks ends, in bytes; 0 when unknown.

    Deep files have a different layout and are left to FFmpeg, which refuses them.
    """
    with open(path, "rb") as file:
        if file.read(4) != farm_exr.MAGIC:
            return 0
        file.seek(0)
        size = os.path.getsize(path)
        try:
            layout = farm_exr.read_layout(file)
            if any(layout.is_deep(part) for part in range(len(layout.headers))):
                return 0
            last = max(layout.places)
            part = 0
            if layout.flags & farm_exr.PARTS:
                file.seek(last)
                (part,) = struct.unpack("<I", file.read(4))
            return farm_exr.chunk_end(file, layout, part, last)[1]
        except (IndexError, ValueError, struct.error):
            return size + 1 if size < farm_exr.MOST_READ else 0
