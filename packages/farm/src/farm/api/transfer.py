"""Bytes in and out, for Envoy and for runners alike."""

from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import FileResponse
from http_gate.bodies import announced
from http_gate.connections import known
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from farm.api.context import Context
from farm.db import accounts as rows
from farm.db import files
from farm.db.accounts import AccountRow
from farm.errors import InvalidRequestError, NotFoundError
from farm.stores.room import Quota


async def receive(
    context: Context, account_id: str, blob_hash: str, request: Request, quota: Quota | None
) -> None:
    """Store the request's body as this blob. Its sender is known.

    Parameters:
        quota: None: a result, which only the disk limits. A frame that was rendered is not lost
            for its user's storage; `farm.jobs.budget` lets no other one begin.

    Raises:
        InvalidRequestError: it does not say how large it is.
        HashMismatchError: these are other bytes, or not as many as announced.
        StorageFullError, QuotaExceededError: there is no room for them.
    """
    known(request.scope)
    size = announced(request.scope)
    if size is None:
        raise InvalidRequestError({"Content-Length": ["Say how many bytes are coming."]})
    with context.room.taken(account_id, size, quota) as arrived:
        incoming = await run_in_threadpool(context.store.begin)
        try:
            # Written from the event loop: a piece goes to the page cache in microseconds, and a
            # thread for each would cost more than the write.
            async for chunk in request.stream():
                incoming.write(chunk)
                arrived(len(chunk))
            await run_in_threadpool(incoming.commit, account_id, blob_hash, size)
        finally:
            incoming.abort()

        def remember() -> None:
            with context.database.write() as connection:
                files.add_blob(connection, account_id, blob_hash, size, datetime.now(UTC))

        await run_in_threadpool(remember)


def quota_of(connection: Connection, account: AccountRow) -> Quota:
    """Return what the account may store."""
    plan = account.plan
    alone = rows.is_alone(connection)
    return Quota(account.stored_bytes, plan.max_stored, plan.max_in_flight, alone=alone)


def send(context: Context, account_id: str, blob_hash: str) -> FileResponse:
    """Answer a blob; ``Range`` is understood. Raises NotFoundError."""
    with context.database.read() as connection:
        found = files.known_blobs(connection, account_id, [blob_hash])
    if not found:
        raise NotFoundError(f"There is no blob {blob_hash}.")
    return FileResponse(
        context.store.path(account_id, blob_hash), media_type="application/octet-stream"
    )
