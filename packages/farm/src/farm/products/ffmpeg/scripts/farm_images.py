"""Defects of images that FFmpeg does not notice, and harmless ones that it rejects.

Seen in FFmpeg 5.1: an empty image ends the sequence and a truncated EXR becomes black below, both
with exit code 0; with ``-err_detect explode`` the TIFF reader also refuses unknown tags.
"""

import os
import struct

_EXR_MAGIC = b"v/1\x01"
_EXTRA_SAMPLES = 338
_TILED, _DEEP, _PARTS = 0x200, 0x800, 0x1000
_MOST_READ = 1024 * 1024
"""Limit for header and table: more is left to FFmpeg, since reading whole files twice takes too
long.
"""


def strictness(suffix: str) -> "list[str]":
    """Return FFmpeg's arguments for images of a suffix: without them it skips damaged ones."""
    detect = [] if suffix in (".tif", ".tiff") else ["-err_detect", "explode"]
    return ["-xerror", *detect]


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


def exr_layers(path: str) -> "list[str]":
    """Return the layers of an EXR that are pictures, "" for the one without a name.

    A layer's name is the part before the last dot of its channels R, G and B; Blender calls its
    picture "ViewLayer.Combined".

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(_MOST_READ)
    channels = set(_channels(start)) if start[:4] == _EXR_MAGIC else set()
    layers = {name.rpartition(".")[0] for name in channels}
    return sorted(
        layer
        for layer in layers
        if channels >= {f"{layer}.{each}" if layer else each for each in "RGB"}
    )


def _channels(start: bytes) -> "list[str]":
    """Return the names of an EXR's channels: each is followed by 16 bytes of data."""
    found: list[str] = []
    try:
        place, end = _attribute(start, b"channels")
        while place < end and start[place]:
            name, place = _text(start, place)
            found.append(name.decode(errors="replace"))
            place += 16
    except (ValueError, struct.error):
        return []
    return found


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

    The header is followed by a table with the offset of each chunk; each chunk begins with its
    coordinates and its size (OpenEXR's file layout). Multi-part and deep files have a different
    layout and are left to FFmpeg, which refuses them.
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
    """Return where the chunks begin. Raises ValueError or struct.error for truncated files."""
    table = _header_end(start)
    offsets: list[int] = []
    first = len(start)
    # Chunks may be in any order; the table ends where the first one begins.
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
        _, _, place = _next_attribute(start, place)
    return place + 1


def _attribute(start: bytes, wanted: bytes) -> "tuple[int, int]":
    """Return where the value of an attribute begins and ends. Raises ValueError without one."""
    place = 8
    while place < len(start) and start[place]:
        name, value, place = _next_attribute(start, place)
        if name == wanted:
            return value, place
    raise ValueError(f"there is no {wanted!r}")


def _next_attribute(start: bytes, place: int) -> "tuple[bytes, int, int]":
    """Return an attribute's name, where its value begins, and where the next attribute does."""
    name, place = _text(start, place)
    _, place = _text(start, place)
    (length,) = struct.unpack_from("<I", start, place)
    return name, place + 4, place + 4 + length


def _text(start: bytes, place: int) -> "tuple[bytes, int]":
    end = start.index(b"\0", place)
    return start[place:end], end + 1
