"""Bytes in and out, for Envoy and for runners alike."""

from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from farm.api.context import Context
from farm.db import files
from farm.errors import NotFoundError


async def receive(context: Context, account_id: str, blob_hash: str, request: Request) -> None:
    """Store the request's body as this blob. Raises HashMismatchError, StorageFullError."""
    incoming = await run_in_threadpool(context.store.begin)
    try:
        # Written from the event loop: a piece goes to the page cache in microseconds, and a
        # thread for each would cost more than the write.
        async for chunk in request.stream():
            incoming.write(chunk)
        await run_in_threadpool(incoming.commit, account_id, blob_hash)
    finally:
        incoming.abort()

    def remember() -> None:
        with context.database.write() as connection:
            files.add_blob(connection, account_id, blob_hash, incoming.size, datetime.now(UTC))

    await run_in_threadpool(remember)


def send(context: Context, account_id: str, blob_hash: str) -> FileResponse:
    """Answer a blob; ``Range`` is understood. Raises NotFoundError."""
    with context.database.read() as connection:
        known = files.known_blobs(connection, account_id, [blob_hash])
    if not known:
        raise NotFoundError(f"There is no blob {blob_hash}.")
    return FileResponse(
        context.store.path(account_id, blob_hash), media_type="application/octet-stream"
    )
