"""Are all pixels of a TIFF there? libtiff takes what is missing of a strip as it comes.

Many renderers write the directories in front of the pixels: a file whose end is cut off then has
all that says what it is. Layout: TIFF 6.0, and BigTIFF as libtiff documents it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

_ORDERS = {b"II": "<", b"MM": ">"}
_CLASSIC, _BIG = 42, 43
_TABLES = ((273, 279), (324, 325))
"""Tags with the offsets and the byte counts: of strips, of tiles."""
_INTEGERS = {3: "H", 4: "I", 16: "Q"}
"""Types that such numbers have -> their codes in `struct`."""
_AT_ONCE = 8192
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

    def _read(self, place: int, length: int) -> bytes:
        if place + length > self._size:
            raise EOFError
        self._file.seek(place)
        found = self._file.read(length)
        if len(found) < length:
            # Its writer still has it open, and has shortened it meanwhile.
            raise EOFError
        return found


def ends_too_early(file: BinaryIO, size: int) -> bool:
    """Return whether a directory, a strip or a tile of a TIFF ends behind the file's end.

    Parameters:
        file: from its begin; one that is no TIFF does not end too early.
        size: of the file in bytes.
    """
    head = file.read(4)
    order = _ORDERS.get(head[:2])
    magic = int.from_bytes(head[2:], "little" if order == "<" else "big")
    if order is None or magic not in (_CLASSIC, _BIG):
        return False
    tiff = _Tiff(file, size, order, magic == _BIG)
    try:
        return any(offset + count > size for offset, count in islice(_chunks(tiff), _MOST_CHUNKS))
    except EOFError:
        return True


def _chunks(tiff: _Tiff) -> Iterator[tuple[int, int]]:
    """Yield offset and byte count of each strip and tile of each page. Raises EOFError."""
    seen: set[int] = set()
    place = tiff.first()
    # The chain of a damaged file may lead back into itself.
    while place and place not in seen and len(seen) < _MOST_PAGES:
        seen.add(place)
        entries, place = tiff.directory(place)
        for offsets, counts in _TABLES:
            # Some writers leave the rest of a table out: libtiff then computes it.
            yield from zip(
                tiff.values(entries.get(offsets)), tiff.values(entries.get(counts)), strict=False
            )
