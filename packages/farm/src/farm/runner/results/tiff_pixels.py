"""Detects truncated and corrupt TIFF files, which TIFF readers may accept.

Many renderers write the directories before the pixels, so that a truncated file still has a
complete description. Deflate-compressed pixels end with a checksum, which libtiff does not verify.
The formats are TIFF 6.0, BigTIFF as documented by libtiff, and zlib streams as in Adobe's technical
note of 2002.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, NamedTuple

_ORDERS = {b"II": "<", b"MM": ">"}
_CLASSIC, _BIG = 42, 43
_TABLES = ((273, 279), (324, 325))
"""Tags of the offsets and byte counts, for strips and for tiles."""
_COMPRESSION = 259
_DEFLATED = (8, 32946)
"""Values of the compression tag: Adobe's, and the older one of libtiff."""
_INTEGERS = {3: "H", 4: "I", 16: "Q"}
"""Types of integers -> format characters of `struct`."""
_AT_ONCE = 8192
_BYTES_AT_ONCE = 1 << 20
# Limits for hostile files; beyond them, only libtiff checks the file. It refuses more entries
# itself. The number of chunks suffices for 130,000x130,000 pixels in tiles of 64x64.
_MOST_PAGES = 1024
_MOST_ENTRIES = 4096
_MOST_CHUNKS = 2**22


@dataclass(frozen=True)
class _Entry:
    """An entry of a directory. ``field``: the values, or their offset if they do not fit."""

    kind: int
    count: int
    field: bytes


class _Tiff:
    """An open TIFF file; reads beyond its end raise EOFError."""

    def __init__(self, file: BinaryIO, size: int, order: str, big: bool) -> None:
        self._file = file
        self._size = size
        self._order = order
        self._place, self._entries = ("Q", "Q") if big else ("I", "H")

    def number(self, code: str, place: int) -> int:
        """Return the number at an offset; ``code``: its format character. Raises EOFError."""
        (found,) = struct.unpack(self._order + code, self._read(place, struct.calcsize("=" + code)))
        return int(found)

    def first(self) -> int:
        """Return the offset of the first directory. Raises EOFError."""
        # After the magic number, and in BigTIFF the size of offsets.
        return self.number(self._place, 8 if self._place == "Q" else 4)

    def directory(self, place: int) -> tuple[dict[int, _Entry], int]:
        """Return a directory's entries by tag, and the offset of the next one; 0 after the last.

        Raises:
            EOFError: the directory extends beyond the end of the file.
        """
        count = self.number(self._entries, place)
        if count > _MOST_ENTRIES:
            return {}, 0
        place += struct.calcsize("=" + self._entries)
        width = struct.calcsize("=" + self._place)
        layout = struct.Struct(f"{self._order}HH{self._place}{width}s")
        table = self._read(place, count * layout.size)
        entries = {tag: _Entry(*rest) for tag, *rest in layout.iter_unpack(table)}
        return entries, self.number(self._place, place + len(table))

    def values(self, entry: _Entry | None) -> Iterator[int]:
        """Yield the integers of an entry; nothing if it is missing or has another type.

        Raises:
            EOFError: they extend beyond the end of the file.
        """
        code = _INTEGERS.get(entry.kind) if entry else None
        if entry is None or code is None:
            return
        width, left = struct.calcsize("=" + code), entry.count
        if left * width <= len(entry.field):
            yield from struct.unpack_from(f"{self._order}{left}{code}", entry.field)
            return
        (place,) = struct.unpack(self._order + self._place, entry.field)
        while left:
            some = min(left, _AT_ONCE)
            yield from struct.unpack(f"{self._order}{some}{code}", self._read(place, some * width))
            place += some * width
            left -= some

    def inflates(self, place: int, length: int) -> bool:
        """Return whether a chunk is a complete zlib stream with a correct checksum.

        Raises:
            EOFError: it extends beyond the end of the file.
        """
        stream = zlib.decompressobj()
        end = place + length
        try:
            while place < end and not stream.eof:
                some = self._read(place, min(_BYTES_AT_ONCE, end - place))
                place += len(some)
                while some and not stream.eof:
                    stream.decompress(some, _BYTES_AT_ONCE)
                    some = stream.unconsumed_tail
        except zlib.error:
            return False
        return stream.eof

    def _read(self, place: int, length: int) -> bytes:
        if place + length > self._size:
            raise EOFError
        self._file.seek(place)
        found = self._file.read(length)
        if len(found) < length:
            # The file was shortened meanwhile by a program that still has it open.
            raise EOFError
        return found


class _Chunk(NamedTuple):
    """A strip or a tile."""

    offset: int
    length: int
    deflated: bool


def ends_too_early(file: BinaryIO, size: int) -> bool:
    """Return whether a directory, a strip or a tile of a TIFF extends beyond the end of the file.

    Parameters:
        file: open file; if it is not a TIFF, the answer is False.
        size: size of the file in bytes.
    """
    tiff = _opened(file, size)
    try:
        return tiff is not None and any(each.offset + each.length > size for each in _chunks(tiff))
    except EOFError:
        return True


def fails_a_checksum(file: BinaryIO, size: int) -> bool:
    """Return whether a deflate-compressed strip or tile of a TIFF is corrupt.

    Parameters:
        file: open file that is not truncated.
        size: size of the file in bytes.
    """
    tiff = _opened(file, size)
    try:
        # Writers may omit chunks: these have a length of 0.
        return tiff is not None and any(
            each.deflated and each.length and not tiff.inflates(each.offset, each.length)
            for each in _chunks(tiff)
        )
    except EOFError:
        return True


def _opened(file: BinaryIO, size: int) -> _Tiff | None:
    """Read the header; return None if this is not a TIFF."""
    file.seek(0)
    head = file.read(4)
    order = _ORDERS.get(head[:2])
    magic = int.from_bytes(head[2:], "little" if order == "<" else "big")
    if order is None or magic not in (_CLASSIC, _BIG):
        return None
    return _Tiff(file, size, order, magic == _BIG)


def _chunks(tiff: _Tiff) -> Iterator[_Chunk]:
    """Yield the strips and tiles of all pages, up to a limit. Raises EOFError."""
    return islice(_all_chunks(tiff), _MOST_CHUNKS)


def _all_chunks(tiff: _Tiff) -> Iterator[_Chunk]:
    seen: set[int] = set()
    place = tiff.first()
    # In a corrupt file, the chain of directories may contain a cycle.
    while place and place not in seen and len(seen) < _MOST_PAGES:
        seen.add(place)
        entries, place = tiff.directory(place)
        deflated = next(tiff.values(entries.get(_COMPRESSION)), 0) in _DEFLATED
        for offsets, counts in _TABLES:
            # Some writers truncate these tables; libtiff then computes the rest.
            for offset, length in zip(
                tiff.values(entries.get(offsets)), tiff.values(entries.get(counts)), strict=False
            ):
                yield _Chunk(offset, length, deflated)
