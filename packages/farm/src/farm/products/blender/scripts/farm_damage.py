"""Which image files are certainly damaged, determined from their structure, without decoding them.

Of a PNG, JPEG, OpenEXR or TIFF file that was cut off, or of a PNG whose bytes have changed, a
renderer shows magenta, or a part, and goes on. What is not known for certain counts as sound.
"""

import mmap
import os
import re
import struct
import zlib
from typing import Any

_PNG, _JPEG, _EXR = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"\x76\x2f\x31\x01"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_KNOWN = (_PNG, _JPEG, _EXR, *_TIFF)
_FOREIGN = (b"GIF8", b"SIMPLE", *(b"P%d" % number for number in range(1, 8)))
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
"""In the pixels of a JPEG: what is neither a byte nor a restart."""
_NO_LENGTH = {0x01, 0xD8, *range(0xD0, 0xD8)}
_START_OF_SCAN, _END = 0xDA, 0xD9
_LINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}
"""Lines in a block of OpenEXR, by its compression."""
_OTHERWISE_STORED = 0x200 | 0x800 | 0x1000
"""OpenEXR's flags of tiles, deep pixels, and several parts."""
_NUMBERS = {3: "H", 4: "I"}
_PLACES = ((273, 279), (324, 325))
"""TIFF's tags of where strips or tiles are, and how long."""


def is_known(path: str) -> bool:
    """Return whether a file begins like one that `is_damaged` looks at."""
    with open(path, "rb") as file:
        return file.read(8).startswith(_KNOWN)


def is_foreign(path: str) -> bool:
    """Return whether a file begins like a picture that Blender cannot read, but Cycles can."""
    with open(path, "rb") as file:
        return file.read(8).startswith(_FOREIGN)


def is_damaged(path: str) -> bool:
    """Return whether a file is empty, or certainly an image that is damaged. Raises OSError."""
    if not os.path.getsize(path):
        return True
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        head = data[:8]
        try:
            if head == _PNG:
                return not _is_whole_png(data)
            if head.startswith(_JPEG):
                return not _is_whole_jpeg(data)
            if head.startswith(_EXR):
                return not _is_whole_exr(data)
            if head[:4] in _TIFF:
                return not _is_whole_tiff(data, _TIFF[head[:4]])
        except (struct.error, IndexError):
            return True  # It ends where more must come.
    return False


def _is_whole_png(data: Any) -> bool:
    at = len(_PNG)
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        (told,) = struct.unpack_from(">I", data, at + 8 + length)
        # An error elsewhere than in the pixels or colours is passed over.
        if name[:1].isupper() and zlib.crc32(data[at + 4 : at + 8 + length]) != told:
            return False
        if name == b"IEND":
            return True
        at += 12 + length


def _is_whole_jpeg(data: Any) -> bool:
    at = 2
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            return False
        kind, at = found[1][0], found.end()
        if kind == _END:
            return True
        if kind not in _NO_LENGTH:
            at += struct.unpack_from(">H", data, at)[0]


def _is_whole_exr(data: Any) -> bool:
    (version,) = struct.unpack_from("<I", data, 4)
    at, values = 8, {}
    while data[at] != 0:
        end = data.find(b"\0", at)
        start = data.find(b"\0", end + 1) + 1
        if end < 0 or start <= 0:
            return False
        (size,) = struct.unpack_from("<I", data, start)
        values[data[at:end]] = data[start + 4 : start + 4 + size]
        at = start + 4 + size
    lines = _LINES.get(values.get(b"compression", b"\xff")[0])
    if version & _OTHERWISE_STORED or lines is None or b"dataWindow" not in values:
        return True
    _, top, _, bottom = struct.unpack("<4i", values[b"dataWindow"])
    count = (bottom - top + lines) // lines
    offsets = struct.unpack_from(f"<{count}Q", data, at + 1)
    if not all(0 < each < len(data) for each in offsets):
        return False
    last = max(offsets)
    return bool(last + 8 + struct.unpack_from("<I", data, last + 4)[0] <= len(data))


def _is_whole_tiff(data: Any, order: str) -> bool:
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    found = {}
    for number in range(count):
        tag, kind, items, place = struct.unpack_from(f"{order}HHII", data, at + 2 + 12 * number)
        if kind in _NUMBERS:
            numbers = f"{order}{items}{_NUMBERS[kind]}"
            inside = struct.calcsize(numbers) <= 4
            place = at + 2 + 12 * number + 8 if inside else place
            found[tag] = (numbers, place)
    for places, lengths in _PLACES:
        if places in found and lengths in found:
            starts = struct.unpack_from(found[places][0], data, found[places][1])
            sizes = struct.unpack_from(found[lengths][0], data, found[lengths][1])
            return all(a + b <= len(data) for a, b in zip(starts, sizes))  # noqa: B905
    return True
