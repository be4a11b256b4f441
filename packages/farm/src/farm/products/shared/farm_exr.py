"""OpenEXR files as bytes: their headers, a text in them, and one part of several.

Nothing of a picture is decoded. Only the standard library of Python 3.7 or newer: scripts inside
renderers use it, and so does the one that makes films. A file is a magic number, flags, a header
for each part, a table with the place of each chunk, and the chunks (OpenEXR's file layout).
"""

import os
import shutil
import struct
from typing import BinaryIO, NamedTuple

MAGIC = b"v/1\x01"
TILED, DEEP, PARTS = 0x200, 0x800, 0x1000
_LONG_NAMES = 0x400
_VERSION = 2
_FIRST_READ = 1024 * 1024
MOST_READ = 64 * 1024 * 1024
"""Limit of headers and table."""
_VIEWS = b"stringvector"
VIEW_NOTE = "farmView"
"""The text, JSON, in which Blender's side notes how a scene is shown, and the films' side reads it.
"""


class Header(NamedTuple):
    """The header of one part.

    Attributes:
        begin: where it begins; ``end``: where its last byte is, a zero.
        values: name -> (type, place of the value, where it ends).
    """

    begin: int
    end: int
    values: "dict[bytes, tuple[bytes, int, int]]"


class Layout(NamedTuple):
    """The beginning of a file.

    Attributes:
        start: its bytes, up to the first chunk.
        flags: of the file.
        headers: of its parts.
        table: where the places of the chunks stand.
        places: of the chunks, in the order of the table; 0 for one that was never written.
    """

    start: bytes
    flags: int
    headers: "list[Header]"
    table: int
    places: "list[int]"

    def value(self, part: int, name: bytes) -> "bytes | None":
        """Return the value of a part's attribute; None without it."""
        found = self.headers[part].values.get(name)
        return None if found is None else self.start[found[1] : found[2]]

    def text(self, part: int, name: bytes) -> str:
        """Return the text of a part's attribute; "" without it."""
        return (self.value(part, name) or b"").decode("utf-8", "replace")

    def texts(self, part: int, name: bytes) -> "list[str]":
        """Return a list of texts that an attribute holds; [] without it. Raises ValueError."""
        kind, place, end = self.headers[part].values.get(name, (b"", 0, 0))
        found = []
        while kind == _VIEWS and place < end:
            (length,) = struct.unpack_from("<I", self.start, place)
            found.append(self.start[place + 4 : place + 4 + length].decode("utf-8", "replace"))
            place += 4 + length
        return found

    def channels(self, part: int) -> "list[str]":
        """Return the names of a part's channels. Raises ValueError or struct.error."""
        _, place, end = self.headers[part].values.get(b"channels", (b"", 0, 0))
        found = []
        while place < end and self.start[place]:
            name, place = _text(self.start, place)
            found.append(name.decode("utf-8", "replace"))
            # Type, linearity and sampling.
            place += 16
        return found

    def is_deep(self, part: int) -> bool:
        """Return whether a part's pixels are lists of samples."""
        kind = self.value(part, b"type") or b""
        return kind.startswith(b"deep") or bool(self.flags & DEEP and not self.flags & PARTS)

    def is_tiled(self, part: int) -> bool:
        """Return whether a part consists of tiles."""
        return b"tiles" in self.headers[part].values


def read_layout(file: BinaryIO) -> Layout:
    """Return the layout of a file that is read from its beginning.

    Raises:
        ValueError, struct.error: it is no OpenEXR file, or not whole up to its first chunk.
    """
    start = file.read(_FIRST_READ)
    if start[:4] != MAGIC:
        raise ValueError("it is not an OpenEXR file")
    (flags,) = struct.unpack_from("<I", start, 4)
    headers = []  # type: list[Header]
    place = 8
    while not headers or (flags & PARTS and start[place : place + 1] != b"\0"):
        headers.append(_header(start, place))
        place = headers[-1].end + 1
    table = place + 1 if flags & PARTS else place
    return Layout(*_with_places(file, start, flags, headers, table))


def _with_places(
    file: BinaryIO, start: bytes, flags: int, headers: "list[Header]", table: int
) -> "tuple[bytes, int, list[Header], int, list[int]]":
    places = []  # type: list[int]
    at, first = table, 0
    # Chunks may be in any order; the table ends where the first one begins.
    while not first or at < first:
        if at + 8 > len(start):
            if len(start) >= MOST_READ:
                raise ValueError("its table is too long")
            more = file.read(len(start))
            if not more:
                raise ValueError("it ends within its table")
            start += more
        (place,) = struct.unpack_from("<Q", start, at)
        at += 8
        places.append(place)
        if place and (not first or place < first):
            first = place
    return start[:at], flags, headers, table, places


def _header(start: bytes, begin: int) -> Header:
    values = {}  # type: dict[bytes, tuple[bytes, int, int]]
    place = begin
    while start[place : place + 1] != b"\0":
        name, place = _text(start, place)
        kind, place = _text(start, place)
        (length,) = struct.unpack_from("<I", start, place)
        values[name] = (kind, place + 4, place + 4 + length)
        place += 4 + length
        if place >= len(start):
            raise ValueError("it ends within its header")
    return Header(begin, place, values)


def _text(start: bytes, place: int) -> "tuple[bytes, int]":
    end = start.index(b"\0", place)
    return start[place:end], end + 1


def chunk_end(file: BinaryIO, layout: Layout, part: int, place: int) -> "tuple[int, int]":
    """Return where a chunk's own data begin, after the number of its part, and where they end.

    Parameters:
        part: to which it belongs, which is no deep one.

    Raises:
        struct.error: the file ends before.
    """
    begin = place + (4 if layout.flags & PARTS else 0)
    size_at = begin + (16 if layout.is_tiled(part) else 4)
    file.seek(size_at)
    (size,) = struct.unpack("<I", file.read(4))
    return begin, size_at + 4 + size


def add_text(path: str, name: str, text: str) -> None:
    """Add a text to the first header of a file, which appears anew, by a rename.

    Raises:
        ValueError, struct.error: it is no OpenEXR file that is understood, or has an attribute of
            this name already; it stays as it is.
        OSError: it cannot be read or written.
    """
    value = text.encode()
    added = name.encode() + b"\0string\0" + struct.pack("<I", len(value)) + value
    new = f"{path}.new"
    with open(path, "rb") as source:
        layout = read_layout(source)
        head = layout.headers[0]
        if name.encode() in head.values:
            raise ValueError(f"it has a {name} already")
        length = len(added)
        places = [place + length if place else 0 for place in layout.places]
        with open(new, "wb") as target:
            target.write(layout.start[: head.end] + added + layout.start[head.end : layout.table])
            target.write(struct.pack(f"<{len(places)}Q", *places))
            source.seek(len(layout.start))
            shutil.copyfileobj(source, target, _FIRST_READ)
    os.replace(new, path)


def write_part(path: str, part: int, target: str) -> None:
    """Write one part of a file of several as a file of its own.

    Raises:
        ValueError, struct.error: the file is not whole.
        OSError: it cannot be read or written.
    """
    with open(path, "rb") as source, open(target, "wb") as file:
        layout = read_layout(source)
        counts = [_chunk_count(layout, each) for each in range(len(layout.headers))]
        first = sum(counts[:part])
        places = layout.places[first : first + counts[part]]
        header = layout.headers[part]
        if len(places) != counts[part]:
            raise ValueError("it has too few chunks")
        kept = layout.flags & _LONG_NAMES | (TILED if layout.is_tiled(part) else 0)
        file.write(MAGIC + struct.pack("<I", _VERSION | kept))
        file.write(layout.start[header.begin : header.end + 1])
        table = file.tell()
        written = []
        file.seek(8 * len(places), os.SEEK_CUR)
        size = os.fstat(source.fileno()).st_size
        for place in places:
            begin, end = chunk_end(source, layout, part, place)
            if not place or end > size:
                raise ValueError("it ends too early")
            written.append(file.tell())
            source.seek(begin)
            file.write(source.read(end - begin))
        file.seek(table)
        file.write(struct.pack(f"<{len(written)}Q", *written))


def _chunk_count(layout: Layout, part: int) -> int:
    value = layout.value(part, b"chunkCount")
    if value is None or len(value) != 4:
        raise ValueError("a part does not say how many chunks it has")
    return int(struct.unpack("<I", value)[0])
