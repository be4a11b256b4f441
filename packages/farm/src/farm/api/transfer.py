"""Bytes in and out, for Envoy and for runners alike."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from farm_protocol.hashing import new_hasher
from fastapi import Request
from fastapi.responses import Response
from http_gate.bodies import announced
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from farm.api.context import Context
from farm.api.parts import part_of
from farm.db import accounts as account_rows
from farm.db import files
from farm.db.accounts import AccountRow
from farm.errors import HashMismatchError, InvalidRequestError, NotFoundError
from farm.stores.room import AHEAD_BYTES, Quota

LOOK_SECONDS = 10.0
"""How often to check whether bytes in transit are still wanted."""
LOOK_BYTES = AHEAD_BYTES // 2
"""Likewise: after so many of them."""


async def receive(
    context: Context,
    account_id: str,
    blob_hash: str,
    request: Request,
    quota: Callable[[], Quota | None],
    look_again: Callable[[], object] = lambda: None,
) -> None:
    """Store the request's body as this blob. Its sender is authenticated.

    Parameters:
        quota: returns what the account may store, or raises; called unless the blob is there
            already. None: this is a result, which only the disk limits beyond that call. A rendered
            frame is not lost because its user's storage is full; `farm.jobs.budget` does not let
            others start.
        look_again: called in a thread now and then while bytes arrive, see `LOOK_SECONDS` and
            `LOOK_BYTES`; its exceptions end the transfer.

    Raises:
        InvalidRequestError: the request does not state its size.
        HashMismatchError: these are different bytes, or not as many as announced.
        StorageFullError, QuotaExceededError: there is no room for the bytes.
    """
    size = announced(request.scope)
    if size is None:
        raise InvalidRequestError(
            {
                "Content-Length": [
                    "The request does not say how long its body is. Send it with a Content-Length"
                    " header."
                ]
            }
        )

    def look() -> tuple[int | None, Quota | None]:
        with context.database.read() as connection:
            there = files.known_blobs(connection, account_id, [blob_hash]).get(blob_hash)
        return there, quota() if there is None else None

    def remember(connection: Connection) -> None:
        files.add_blob(connection, account_id, blob_hash, size, datetime.now(UTC))

    with context.room.announced(account_id, size) as on_the_way:
        there, allowed = await run_in_threadpool(look)
        if there is not None:
            await _compare(request, blob_hash, size, there)
            return
        with context.room.taken(account_id, size, allowed, on_the_way) as arrived:
            incoming = await run_in_threadpool(context.store.begin, account_id, blob_hash, size)
            try:
                # Written from the event loop: a piece goes to the page cache in microseconds, and a
                # thread for each would cost more than the write.
                looked, since = time.monotonic(), 0
                async for chunk in request.stream():
                    if time.monotonic() - looked >= LOOK_SECONDS or since >= LOOK_BYTES:
                        await run_in_threadpool(look_again)
                        looked, since = time.monotonic(), 0
                    incoming.write(chunk)
                    arrived(len(chunk))
                    since += len(chunk)
                await run_in_threadpool(incoming.commit)
            finally:
                incoming.abort()
            await context.write(remember, account_id)


async def _compare(request: Request, blob_hash: str, size: int, there: int) -> None:
    """Read the bytes of a blob that exists already: they need no room. Raises HashMismatchError.

    Parameters:
        there: the size of the existing blob.
    """
    hasher = new_hasher()
    if size == there:
        async for chunk in request.stream():
            hasher.update(chunk)
    if hasher.hexdigest() != blob_hash:
        raise HashMismatchError("The bytes received do not match the BLAKE3 hash of the blob.")


def quota_of(connection: Connection, account: AccountRow) -> Quota:
    """Return what the account may store."""
    plan = account.plan
    alone = account_rows.is_alone(connection)
    return Quota(account.stored_bytes, plan.max_stored, plan.max_in_flight, alone=alone)


def take_rows(context: Context, connection: Connection, account_id: str, size: int) -> None:
    """Count the database's growth as stored by an account.

    Raises StorageFullError, QuotaExceededError.
    """
    account = account_rows.by_id(connection, account_id)
    context.room.check_rows(account_id, size, quota_of(connection, account))
    files.add_stored(connection, account_id, size)


def take_result_rows(context: Context, connection: Connection, account_id: str, size: int) -> None:
    """Likewise for what a runner reports, which may be more than its account's share."""
    account = account_rows.by_id(connection, account_id)
    context.room.check_result_rows(account_id, size, quota_of(connection, account))
    files.add_stored(connection, account_id, size)


def send(context: Context, account_id: str, blob_hash: str, asked: str | None) -> Response:
    """Answer with a blob, or part of it.

    Parameters:
        asked: the request's ``Range``.

    Raises:
        NotFoundError: the account has no such blob.
        BlobLostError, UnavailableError: the store does not have it, or not now.
    """
    with context.database.read() as connection:
        found = files.known_blobs(connection, account_id, [blob_hash])
    if not found:
        raise NotFoundError(f"There is no blob {blob_hash}.")
    return part_of(context.store.open(account_id, blob_hash), found[blob_hash], asked)
