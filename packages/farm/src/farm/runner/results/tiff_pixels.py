"""Are all pixels of a TIFF there, as they were written? Its readers take strips as they come.

Many renderers write the directories in front of the pixels: a file whose end is cut off then has
all that says what it is. Deflated pixels end with a checksum, at which libtiff does not look.
Layout: TIFF 6.0, BigTIFF as libtiff documents it, and zlib's streams in Adobe's note of 2002.
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
"""Tags with the offsets and the byte counts: of strips, of tiles."""
_COMPRESSION = 259
_DEFLATED = (8, 32946)
"""Values of the tag: as Adobe has registered it, and as libtiff wrote it before."""
_INTEGERS = {3: "H", 4: "I", 16: "Q"}
"""Types that such numbers have -> their codes in `struct`."""
_AT_ONCE = 8192
_BYTES_AT_ONCE = 1 << 20
# A hostile file must not take long: what is beyond is left to the reader. libtiff refuses more
# entries itself; the chunks are those of 130,000x130,000 pixels in tiles of 64x64.
_MOST_PAGES = 1024
_MOST_ENTRIES = 4096
_MOST_CHUNKS = 2**22


@dataclass(frozen=True)
class _Entry:
    """One entry of a directory; ``field`` has the values, or where they are when they are many."""

    kind: int
    count: int
    field: bytes


class _Tiff:
    """An open file, of which nothing behind its end is read."""

    def __init__(self, file: BinaryIO, size: int, order: str, big: bool) -> None:
        self._file = file
        self._size = size
        self._order = order
        self._place, self._entries = ("Q", "Q") if big else ("I", "H")

    def number(self, code: str, place: int) -> int:
        """Return the number at a place. Raises EOFError."""
        (found,) = struct.unpack(self._order + code, self._read(place, struct.calcsize("=" + code)))
        return int(found)

    def first(self) -> int:
        """Return where the first directory is. Raises EOFError."""
        # Behind the magic number, and BigTIFF's width of a place.
        return self.number(self._place, 8 if self._place == "Q" else 4)

    def directory(self, place: int) -> tuple[dict[int, _Entry], int]:
        """Return a directory's entries by their tags, and where the next is; 0 behind the last.

        Raises:
            EOFError: it ends behind the file's end.
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
        """Yield an entry's numbers; none of an entry that is missing or has other values.

        Raises:
            EOFError: they end behind the file's end.
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
        """Return whether a chunk is a whole stream of zlib with the right checksum at its end.

        Raises:
            EOFError: it ends behind the file's end.
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
            # Its writer still has it open, and has shortened it meanwhile.
            raise EOFError
        return found


class _Chunk(NamedTuple):
    """Where a strip or a tile is."""

    offset: int
    length: int
    deflated: bool


def ends_too_early(file: BinaryIO, size: int) -> bool:
    """Return whether a directory, a strip or a tile of a TIFF ends behind the file's end.

    Parameters:
        file: from its begin; one that is no TIFF does not end too early.
        size: of the file in bytes.
    """
    tiff = _opened(file, size)
    try:
        return tiff is not None and any(each.offset + each.length > size for each in _chunks(tiff))
    except EOFError:
        return True


def fails_a_checksum(file: BinaryIO, size: int) -> bool:
    """Return whether a deflated strip or tile of a TIFF is not what was written.

    Parameters:
        file: from its begin; it does not end too early.
        size: of the file in bytes.
    """
    tiff = _opened(file, size)
    try:
        # A chunk of no bytes is one that the writer has left out.
        return tiff is not None and any(
            each.deflated and each.length and not tiff.inflates(each.offset, each.length)
            for each in _chunks(tiff)
        )
    except EOFError:
        return True


def _opened(file: BinaryIO, size: int) -> _Tiff | None:
    """Return a TIFF, of which its head has been read; None for something else."""
    file.seek(0)
    head = file.read(4)
    order = _ORDERS.get(head[:2])
    magic = int.from_bytes(head[2:], "little" if order == "<" else "big")
    if order is None or magic not in (_CLASSIC, _BIG):
        return None
    return _Tiff(file, size, order, magic == _BIG)


def _chunks(tiff: _Tiff) -> Iterator[_Chunk]:
    """Yield each strip and tile of each page, as many as are looked at. Raises EOFError."""
    return islice(_all_chunks(tiff), _MOST_CHUNKS)


def _all_chunks(tiff: _Tiff) -> Iterator[_Chunk]:
    seen: set[int] = set()
    place = tiff.first()
    # The chain of a damaged file may lead back into itself.
    while place and place not in seen and len(seen) < _MOST_PAGES:
        seen.add(place)
        entries, place = tiff.directory(place)
        deflated = next(tiff.values(entries.get(_COMPRESSION)), 0) in _DEFLATED
        for offsets, counts in _TABLES:
            # Some writers leave the rest of a table out: libtiff then computes it.
            for offset, length in zip(
                tiff.values(entries.get(offsets)), tiff.values(entries.get(counts)), strict=False
            ):
                yield _Chunk(offset, length, deflated)
