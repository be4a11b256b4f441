"""Which Blender saved a .blend, from the first bytes of the file.

A .blend begins with one of two headers::

    BLENDER-v304       until 4.5: pointer size (_ 4, - 8 bytes), byte order (V big), version
    BLENDER17-01v0500  since 5.0: length of the header, version of the format, byte order, version

Compressed, the header is the first thing inside a gzip stream (until 2.93) or a Zstandard frame
(since 3.0). The version is that of the release without its patch number: 3.4.1 saves ``304``.

Blender opens files of older versions. From newer ones it loses what it does not know, as 4.5 does
with a file of 5.0; 3.4 cannot open that at all.
"""

import io
import re
import zlib
from typing import BinaryIO, NamedTuple

import zstandard

_HEADER_BYTES = 17
_MAX_READ = 256 * 1024
"""More than the largest first block of a Zstandard frame (128 KiB), which is decoded as one."""
_MAX_WINDOW = 8 * 1024 * 1024
"""Memory that a Zstandard frame may ask for. Blender's own frames ask for 2 MiB at most."""

_OLD = re.compile(rb"BLENDER[-_][vV](\d)(\d\d)")
_NEW = re.compile(rb"BLENDER\d\d-\d\dv(\d\d)(\d\d)")
_GZIP = b"\x1f\x8b"


class BlendVersion(NamedTuple):
    """A release of Blender. Compares as expected: 2.93 < 3.4 < 4.2 < 5.0."""

    major: int
    minor: int

    def __str__(self) -> str:
        # Until 2.93 the minor version had two digits: 2.04 is not 2.4.
        return f"{self.major}.{self.minor:02}" if self.major < 3 else f"{self.major}.{self.minor}"


def saved_by(file: BinaryIO) -> BlendVersion | None:
    """Return the release that saved a .blend, plain or compressed.

    Reads at most 256 KiB, and expands no more than the header.

    Returns:
        None when it is not a .blend, or damaged before the end of its header.

    Raises:
        OSError: the file cannot be read.
    """
    head = file.read(_HEADER_BYTES)
    if not head.startswith(b"BLENDER"):
        head = _decompressed(head + file.read(_MAX_READ - _HEADER_BYTES))
    found = _OLD.match(head) or _NEW.match(head)
    return BlendVersion(int(found[1]), int(found[2])) if found else None


def _decompressed(data: bytes) -> bytes:
    """Return the first bytes inside ``data``; empty when it is neither gzip nor Zstandard."""
    try:
        if data.startswith(_GZIP):
            # 31: a gzip wrapper, with any window size.
            return zlib.decompressobj(31).decompress(data, _HEADER_BYTES)
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        with decompressor.stream_reader(io.BytesIO(data), read_across_frames=True) as stream:
            return stream.read(_HEADER_BYTES)
    except (zlib.error, zstandard.ZstdError):
        return b""
