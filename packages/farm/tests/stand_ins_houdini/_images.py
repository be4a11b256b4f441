"""Real images: a gradient that moves with the frame. Image libraries are imported late."""

import os
import struct
import zlib

NOT_IMAGES = (".sc", ".bgeo", ".geo", ".sim", ".vdb", ".abc", ".ifd", ".ass", ".rs", ".rat")


def write(path: str, width: int, height: int, frame: int, share: "float | None" = None) -> None:
    """Write a file of the kind that its extension names.

    Parameters:
        share: how much of the file is kept, 0 to 1; None for all of it.

    Raises:
        OSError: it cannot be written, or there is no such kind of image.
    """
    extension = os.path.splitext(path)[1].lower()
    if extension in NOT_IMAGES:
        with open(path, "wb") as file:
            file.write(b"stand-in %d\n" % frame * 20)
    elif extension == ".png":
        with open(path, "wb") as file:
            file.write(_png(width, height, frame))
    else:
        _with_library(path, width, height, frame)
    if share is not None:
        with open(path, "r+b") as file:
            file.truncate(int(os.path.getsize(path) * share))


def _pixels(width: int, height: int, frame: int) -> "list[bytes]":
    """Return rows of 8-bit RGB."""
    rows = []
    for y in range(height):
        row = bytearray()
        for x in range(width):
            row += bytes([(x * 4 + frame * 16) % 256, y * 4 % 256, frame * 7 % 256])
        rows.append(bytes(row))
    return rows


def _png(width: int, height: int, frame: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in _pixels(width, height, frame)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def _with_library(path: str, width: int, height: int, frame: int) -> None:
    import OpenImageIO as oiio

    kind = oiio.HALF if path.lower().endswith(".exr") else oiio.UINT8
    image = oiio.ImageBuf(oiio.ImageSpec(width, height, 3, kind))
    shade = frame * 7 % 256 / 255
    corners = (0, 0, shade), (1, 0, shade), (0, 1, shade), (1, 1 - shade, shade)
    oiio.ImageBufAlgo.fill(image, *corners)
    if not image.write(path):
        raise OSError(image.geterror())
