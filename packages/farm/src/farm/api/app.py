"""Puts the routes together."""

import re

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from farm.accounts import credentials
from farm.api import (
    account,
    blobs,
    catalogue,
    changes,
    errors,
    jobs,
    projects,
    runner,
    submissions,
    users,
)
from farm.api.context import Context

MAX_BODY_BYTES = 64 << 20
"""Of one JSON body, which is read before anybody is asked for a key. The largest that is meant is a
check of a submission that names the files of a whole project."""

_BLOB = re.compile(r"/v1/(runner/)?blobs/[0-9a-f]{64}")
"""What is sent to such an address goes to the disk piece by piece, when its sender is known."""


def create_app(context: Context) -> ASGIApp:
    """Return the farm's API, working on the given parts."""
    # Runners first: they call most often.
    routes = Router([Mount(runner.PREFIX, runner.create_app(context)), Mount("/", _users(context))])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        is_blob = scope["type"] == "http" and _BLOB.fullmatch(scope["path"])
        await routes(scope, receive if is_blob else _limited(receive), send)

    return app


def _limited(receive: Receive) -> Receive:
    # Starlette's RequestBodyLimitMiddleware answers in plain text, and not by our handlers.
    size = 0

    async def receive_some() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, f"The request is larger than {MAX_BODY_BYTES >> 20} MiB")
        return message

    return receive_some


def _users(context: Context) -> FastAPI:
    """Return what users and their Envoys ask for."""
    app = FastAPI(title="Render farm", version=context.version, docs_url=None, redoc_url=None)
    app.state.context = context
    errors.install(app)
    credentials.unknown_hash()  # Made later, the first unknown user would take twice as long.
    for module in (changes, blobs, account, users, catalogue, projects, submissions, jobs):
        app.include_router(module.router, prefix="/v1")

    @app.get("/v1/health")
    async def health() -> dict[str, str]:
        """Say who is here; needs no key."""
        return {
            "service": "farm",
            "version": context.version,
            "data_dir": str(context.data_dir),
        }

    return app
