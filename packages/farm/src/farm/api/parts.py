"""Bytes of a file that is no file of this machine: all of them, or one part."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

from farm_protocol.hashing import CHUNK_BYTES
from fastapi.responses import Response, StreamingResponse

BYTES = "application/octet-stream"

_ONE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


def part_of(file: BinaryIO, size: int, asked: str | None) -> Response:
    """Answer a file, which is closed then; 206 for a part, 416 for one that it has not.

    Parameters:
        size: of the file, in bytes.
        asked: the request's ``Range``. Several ranges, or another unit, mean all of it, which a
            server may always send.
    """
    headers = {"Accept-Ranges": "bytes"}
    wanted = _wanted(size, asked)
    if wanted is None:
        headers["Content-Length"] = str(size)
        return StreamingResponse(_chunks(file, range(size)), 200, headers, BYTES)
    if not wanted:
        file.close()
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Length"] = str(len(wanted))
    headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    return StreamingResponse(_chunks(file, wanted), 206, headers, BYTES)


def _wanted(size: int, asked: str | None) -> range | None:
    found = _ONE_RANGE.fullmatch(asked or "")
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None  # Such a range is no range (RFC 9110, 14.1.1).
    return range(int(first), min(size, int(last) + 1) if last else size)


def _chunks(file: BinaryIO, wanted: range) -> Iterator[bytes]:
    with closing(file):
        file.seek(wanted.start)
        left = len(wanted)
        while left and (chunk := file.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
