"""The change feed."""

import time
from typing import Annotated

from farm_protocol.changes import Changes
from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

from farm.accounts.credentials import authenticate
from farm.api.context import InContext, Secret
from farm.db import feed

router = APIRouter()

POLL_SECONDS = 5.0
"""Looks again this often without being woken: another process may have written."""


@router.get("/changes")
async def get_changes(
    context: InContext,
    secret: Secret,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    wait: Annotated[float, Query(ge=0, le=30)] = 0,
) -> Changes:
    """Return what is new since ``after``; waits up to ``wait`` seconds for something."""

    def look() -> Changes:
        with context.database.read() as connection:
            # Each time: a key that is withdrawn while this waits is told nothing any more.
            account = authenticate(connection, secret)
            # A cursor from the future is one of another database: start again.
            known = after <= feed.newest(connection, account.id)
            return feed.after(connection, account.id, after if known else 0)

    until = time.monotonic() + wait
    while True:
        seen = context.changes.count
        found = await run_in_threadpool(look)
        left = until - time.monotonic()
        if found.jobs or found.outputs or left <= 0 or context.changes.closed:
            return found
        await context.changes.wait_async(seen, min(left, POLL_SECONDS))
