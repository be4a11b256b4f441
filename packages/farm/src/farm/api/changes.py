"""The change feed."""

import time
from typing import Annotated

from farm_protocol.changes import Changes
from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

from farm.accounts.credentials import authenticate
from farm.api.context import Account, InContext, Secret
from farm.db import feed

router = APIRouter(prefix="/v1")

POLL_SECONDS = 5.0
"""Checks this often without being woken: another process may have written."""


@router.get("/changes")
async def get_changes(
    context: InContext,
    account: Account,
    secret: Secret,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    wait: Annotated[float, Query(ge=0, le=30)] = 0,
) -> Changes:
    """Return what is new since ``after``; waits up to ``wait`` seconds for something."""

    def news(*, again: bool = False) -> Changes:
        with context.database.read() as connection:
            if again:
                # A key that was withdrawn during the wait gets no more news.
                authenticate(connection, secret)
            # A cursor from the future belongs to another database: start again.
            known = after <= feed.newest(connection, account.id)
            return feed.after(connection, account.id, after if known else 0)

    async def look(*, again: bool = False) -> Changes:
        # Not during the wait: only the query needs a thread.
        async with context.turns.reading.of(account.id):
            return await run_in_threadpool(news, again=again)

    until = time.monotonic() + wait
    seen = context.changes.count
    found = await look()
    if found.jobs or found.outputs or wait <= 0 or context.changes.closed:
        return found
    with context.polls.of(account.id) as poll:
        while True:
            left = until - time.monotonic()
            if found.jobs or found.outputs or left <= 0 or poll.over or context.changes.closed:
                return found
            await poll.wait(context.changes, seen, min(left, POLL_SECONDS))
            seen = context.changes.count
            found = await look(again=True)
