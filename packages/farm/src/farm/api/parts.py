"""Bytes of a file in a store: all of them, or one part."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from farm_protocol.hashing import CHUNK_BYTES
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

BYTES = "application/octet-stream"

_ONE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


def part_of(file: BinaryIO, size: int, asked: str | None) -> Response:
    """Answer with a file, and close it; 206 for a part, 416 for one that it does not have.

    Parameters:
        size: of the file, in bytes.
        asked: the request's ``Range``. For several ranges, or another unit, the whole file is sent,
            which is always allowed.
    """
    headers = {"Accept-Ranges": "bytes"}
    wanted = _wanted(size, asked)
    if wanted is None:
        headers["Content-Length"] = str(size)
        return _Bytes(file, range(size), 200, headers)
    if not wanted:
        file.close()
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Length"] = str(len(wanted))
    headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    return _Bytes(file, wanted, 206, headers)


def _wanted(size: int, asked: str | None) -> range | None:
    found = _ONE_RANGE.fullmatch(asked or "")
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None  # Such a range is invalid (RFC 9110, 14.1.1).
    return range(int(first), min(size, int(last) + 1) if last else size)


class _Bytes(StreamingResponse):
    """A part of a file, which is closed afterwards even if the client disconnects."""

    def __init__(self, file: BinaryIO, wanted: range, status: int, headers: dict[str, str]) -> None:
        super().__init__(_chunks(file, wanted), status, headers, BYTES)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _chunks(file: BinaryIO, wanted: range) -> Iterator[bytes]:
    file.seek(wanted.start)
    left = len(wanted)
    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk
