"""Recognises a file by its first bytes. Pure.

A signature of two or three letters could also begin a text or a program, so more than that is
checked where formats allow it; and for compressed files, their content.
"""

import math
import re
import struct
import zlib
from collections.abc import Callable, Sequence

Check = Callable[[bytes], bool]

HEAD_BYTES = 8192
_MOST_ELEMENTS = 2**28
"""Limit for a mesh. Four letters, read as a number, are more."""
_NUMBER = re.compile(rb"[-+]?\d{1,20}(?:\.\d{0,20})?(?:[eE][-+]?\d{1,3})?")
_WORDS = {
    *(b"v", b"vt", b"vn", b"vp", b"f", b"l", b"p", b"o", b"g", b"s", b"mtllib", b"usemtl"),
    *(b"cstype", b"deg", b"curv", b"curv2", b"surf", b"parm", b"end", b"mg", b"usemap"),
}
"""Of Wavefront meshes."""
_MOST_CELLS = 2**16
"""Limit for one side of a grid."""


def begins(*marks: bytes, at: int = 0) -> Check:
    """Return a check for files with any of these signatures at their beginning or at a given
    offset.
    """
    return lambda head: any(head.startswith(mark, at) for mark in marks)


def any_of(*checks: Check) -> Check:
    """Return a check that passes if any of several does."""
    return lambda head: any(check(head) for check in checks)


def unpacked(head: bytes) -> bytes:
    """Return the first bytes of gzip-compressed data; b"" for other data."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 64)
    except zlib.error:
        return b""


def is_blend(head: bytes) -> bool:
    """Return whether it is a .blend, compressed by zstd or gzip or not at all."""
    return begins(b"BLENDER", b"\x28\xb5\x2f\xfd")(head) or is_packed_blend(head)


def is_packed_blend(head: bytes) -> bool:
    """Return whether it is a .blend compressed by gzip."""
    return unpacked(head).startswith(b"BLENDER")


def is_riff(kind: bytes) -> Check:
    """Return a check for RIFF files of a kind."""
    return lambda head: head.startswith((b"RIFF", b"RF64")) and head[8:12] == kind


def is_aiff(head: bytes) -> bool:
    """Return whether it is a sound of Apple's."""
    return head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC")


def is_bmp(head: bytes) -> bool:
    """Return whether it is a Windows bitmap, by the size of its second header."""
    return head.startswith(b"BM") and _little(head, 14) in (12, 40, 52, 56, 64, 108, 124)


def is_sgi(head: bytes) -> bool:
    """Return whether it is an SGI picture, by its packing, depth and dimensions."""
    return (
        head.startswith(b"\x01\xda")
        and head[2:3] in (b"\0", b"\1")
        and head[3:4] in (b"\1", b"\2")
        and head[4:6] in (b"\0\1", b"\0\2", b"\0\3")
    )


def is_targa(head: bytes) -> bool:
    """Return whether it may be a Targa picture. It has no signature, but few values for its first
    bytes.
    """
    return (
        len(head) >= 18
        and head[1] in (0, 1)
        and head[2] in (1, 2, 3, 9, 10, 11)
        and head[12:14] != b"\0\0"
        and head[14:16] != b"\0\0"
        and head[16] in (8, 15, 16, 24, 32)
    )


def is_box(head: bytes) -> bool:
    """Return whether it is a film or sound in boxes: MP4, QuickTime."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat"):
        return True
    return head[4:8] in (b"wide", b"free", b"skip") and int.from_bytes(head[:4]) < 2**24


def is_transport(head: bytes) -> bool:
    """Return whether it is an MPEG transport stream: packets of 188 bytes, or 4 more.

    A single packet begins with a "G", as TypeScript may.
    """
    return any(
        len(head) > start + 188 and all(each == 0x47 for each in head[start::length])
        for start, length in ((0, 188), (4, 192))
    )


def is_outline(head: bytes) -> bool:
    """Return whether it is a TrueType or OpenType font, by its number of tables."""
    marks = (b"\0\1\0\0", b"true", b"OTTO")
    return head.startswith(marks) and 0 < int.from_bytes(head[4:6]) < 256


def is_usdz(head: bytes) -> bool:
    """Return whether it is a USD archive: its first file is USD, uncompressed."""
    if not head.startswith(b"PK\3\4") or head[8:10] != b"\0\0":
        return False
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return name.lower().endswith((b".usd", b".usda", b".usdc"))


def is_mdd(head: bytes) -> bool:
    """Return whether it may be a mesh cache: counts of frames and of points, then times."""
    frames, points = int.from_bytes(head[:4]), int.from_bytes(head[4:8])
    return 0 < frames < 2**24 and 0 < points < 2**31 and len(head) >= 12


def is_uni(head: bytes) -> bool:
    """Return whether it is a grid, mesh or configuration of Mantaflow's, Blender's fluids."""
    inner = unpacked(head)
    if inner.startswith((b"MNT", b"M4T", b"PB0", b"PD0", b"MD0", b"DDF2")):
        return True
    # A configuration has no signature: which fields there are, then the three sides of the domain.
    if len(inner) < 16 or _little(inner, 0) >= _MOST_CELLS:
        return False
    return all(0 < _little(inner, at) <= _MOST_CELLS for at in (4, 8, 12))


def is_stl(head: bytes) -> bool:
    """Return whether it is a mesh of triangles: a text, or by the numbers of its first ones."""
    first = [line.split() for line in _lines(head)[:2]]
    if [words[:1] for words in first] == [[b"solid"], [b"facet"]] and _are_numbers(first[1][2:]):
        return True
    triangles = head[84:HEAD_BYTES]
    count = min(_little(head, 80), len(triangles) // 50) if len(head) >= 134 else 0
    places = [struct.unpack_from("<12f", triangles, 50 * number) for number in range(count)]
    return count > 0 and all(
        (math.isfinite(each) and 1e-12 < abs(each) < 1e12) or each == 0
        for numbers in places
        for each in numbers
    )


def is_obj(head: bytes) -> bool:
    """Return whether it is a Wavefront mesh: each line has a word of it, and one is a point."""
    lines = [line.split() for line in _lines(head)]
    if not all(words[0] in _WORDS or words[0][:1] == b"#" for words in lines):
        return False
    return any(words[0] == b"v" and _are_numbers(words[1:]) and len(words) > 3 for words in lines)


def is_csv(head: bytes) -> bool:
    """Return whether it is a table of numbers below a line of names, which is all that counts."""
    names, *rows = [re.split(rb"[,;\t]", line) for line in _lines(head)] or [[]]
    return bool(rows) and all(len(row) == len(names) and _are_numbers(row) for row in rows)


def _lines(head: bytes) -> list[bytes]:
    """Return the lines of a text, but for empty ones and one that is cut off."""
    whole = head if len(head) < HEAD_BYTES else head[: head.rfind(b"\n") + 1]
    return [line for line in (each.strip() for each in whole.splitlines()) if line]


def _are_numbers(words: Sequence[bytes]) -> bool:
    return all(_NUMBER.fullmatch(word.strip()) for word in words)


def is_packed_mesh(head: bytes) -> bool:
    """Return whether it may be a fluid's surface: a number of points, then their positions."""
    inner = unpacked(head)
    if len(inner) < 4 or _little(inner, 0) >= _MOST_ELEMENTS:
        return False
    places = struct.unpack_from(f"<{min(3, (len(inner) - 4) // 4)}f", inner, 4)
    return all((math.isfinite(each) and 1e-12 < abs(each) < 1e12) or each == 0 for each in places)


def _little(head: bytes, at: int) -> int:
    return int.from_bytes(head[at : at + 4], "little")
