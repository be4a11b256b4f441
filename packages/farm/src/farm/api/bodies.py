"""The bodies of requests: their limit for each route, and who may send one.

Before a route sees a request, its body has been read: complete, within the route's limit, and from
a sender with a valid key. The key is checked before a byte of the body is read. Three kinds may
come from strangers, and are small: a login, an Envoy's question whether this farm is its own, and
the frequent reports of runners, whose token is checked when they are parsed. A runner's large
bodies are not among them.

Blobs are not read here: their routes know the sender before they write a byte.

Large ones are parsed here as well: see `farm.api.parsing`.

Users' requests also wait for their turn here; see `farm.api.own_turns`.
"""

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass

from farm_protocol.errors import ErrorCode
from farm_protocol.files import FileRemoval, ManifestUpdate, MissingRequest
from farm_protocol.jobs import SubmissionSpec
from farm_protocol.runner import MAX_OUTPUTS, ClaimRequest, FrameDone, LogChunk
from fastapi.exceptions import RequestValidationError
from http_gate.bodies import (
    SMALL,
    BodyLimit,
    BodyMemory,
    BusyError,
    TooLargeError,
    announced,
    read_whole,
    replay,
    too_large,
)
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from farm.accounts.credits import require_positive
from farm.api import context as callers
from farm.api import errors, parsing, runner
from farm.api.context import Context, bearer
from farm.api.own_turns import OwnTurns
from farm.errors import InsufficientCreditsError, NotAuthenticatedError, UnavailableError


@dataclass(frozen=True, slots=True)
class Large:
    """A route with large bodies: their model, and their limit."""

    model: type[BaseModel]
    limit: BodyLimit


LARGE: dict[tuple[str, str], Large] = {
    # 5,000 blobs of a project: their hashes and sizes.
    ("POST", "/v1/blobs/missing"): Large(MissingRequest, BodyLimit(1 << 20, 30_000, 15_000)),
    # 5,000 files with the longest possible paths.
    ("PUT", "/v1/projects/{name}/files"): Large(
        ManifestUpdate, BodyLimit(24 << 20, 200_000, 30_000)
    ),
    ("POST", "/v1/projects/{name}/files/remove"): Large(
        FileRemoval, BodyLimit(24 << 20, 20_000, 10_000)
    ),
    # 1,000 jobs with their parameters, plus the paths of all pending files.
    ("POST", "/v1/submissions"): Large(SubmissionSpec, BodyLimit(32 << 20, 200_000, 100_000)),
    ("POST", "/v1/submissions/check"): Large(
        SubmissionSpec, BodyLimit(64 << 20, 1_200_000, 100_000)
    ),
    # The programs of a host; the files of a job that is done as a whole; a million characters, as
    # JSON writes them.
    ("POST", "/v1/runner/claims"): Large(ClaimRequest, BodyLimit(1 << 20, 20_000, 5_000)),
    ("POST", "/v1/runner/claims/{claim_id}/frames"): Large(
        # Of each file three values and their brackets; flags and warnings beside them.
        FrameDone,
        BodyLimit(32 << 20, 4 * MAX_OUTPUTS + 20_000, 320_000),
    ),
    ("POST", "/v1/runner/claims/{claim_id}/log"): Large(
        LogChunk, BodyLimit(8 << 20, SMALL.values, SMALL.names, is_text=True)
    ),
}
"""Every other body is `SMALL`."""

FOR_CREDITS = ("POST", "/v1/submissions/check")
"""Only for accounts with credits. An existing submission is returned without."""

COSTLY = frozenset({("POST", "/v1/submissions"), ("POST", "/v1/submissions/check")})
"""They have fewer turns than other requests."""

WITHOUT_TURNS = frozenset({"/v1/changes", "/v1/health"})
"""One takes a turn itself for each query, but none while it waits for news; the other does no work
that takes time.
"""

FOR_STRANGERS = frozenset({("POST", "/v1/login"), ("POST", "/v1/proof")})

MOST_HELD, MOST_HELD_OF_ONE = 256 << 20, 96 << 20
"""Bytes of bodies in memory, in total and for one account."""

NOTHING_HERE = "There is nothing at this address."

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""No path may contain one: a route's pattern would ignore a line break at the end, and the request
would bypass everything that depends on the exact path.
"""

_BLOB = re.compile(r"/v1/(runner/)?blobs/[0-9a-f]{64}")
_LARGE = [
    (method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), large)
    for (method, path), large in LARGE.items()
]


def _large(method: str, path: str) -> Large | None:
    for its_method, pattern, large in _LARGE:
        if its_method == method and pattern.fullmatch(path):
            return large
    return None


def limit_of(method: str, path: str) -> BodyLimit:
    """Return the limit of bodies sent to this path."""
    large = _large(method, path)
    return large.limit if large else SMALL


class Bodies:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        """Wrap the ASGI app."""
        self._app = app
        self._context = context
        self._memory = BodyMemory(MOST_HELD, MOST_HELD_OF_ONE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body, or answer why not."""
        if scope["type"] == "http" and _CONTROL.search(scope["path"]):
            nothing = errors.answer(ErrorCode.NOT_FOUND, NOTHING_HERE)
            await nothing(scope, receive, send)
            return
        size = announced(scope) if scope["type"] == "http" else 0
        if scope["type"] != "http" or _knows_itself(scope, size):
            await self._app(scope, receive, send)
            return
        limit = limit_of(scope["method"], scope["path"])
        try:
            if size is not None and size > limit.size:
                raise too_large(limit)
            sender = await self._sender(scope, size)
            with self._memory.reservation(sender) as take:
                body = await read_whole(receive, limit, take) if size != 0 else b""
                await self._in_turn(sender, scope, body, receive, send)
        except TooLargeError as error:
            await errors.answer(ErrorCode.TOO_LARGE, str(error))(scope, receive, send)
        except (NotAuthenticatedError, InsufficientCreditsError, UnavailableError) as error:
            await errors.answer(error.code, error.message)(scope, receive, send)
        except BusyError as error:
            await errors.answer(ErrorCode.UNAVAILABLE, str(error))(scope, receive, send)
        except ClientDisconnect:
            return  # There is nobody left to answer.

    async def _in_turn(
        self, sender: str, scope: Scope, body: bytes, receive: Receive, send: Send
    ) -> None:
        turns = self._turns_for(scope) if sender else None
        if turns is None:
            await self._pass_on(sender, scope, body, receive, send)
            return
        async with AsyncExitStack() as turn:
            await turn.enter_async_context(turns.of(sender))

            async def answer(message: Message) -> None:
                # The work is done. How fast the answer is read must not matter to others.
                if message["type"] == "http.response.start":
                    await turn.aclose()
                await send(message)

            await self._pass_on(sender, scope, body, receive, answer)

    async def _pass_on(
        self, sender: str, scope: Scope, body: bytes, receive: Receive, send: Send
    ) -> None:
        """Let the route answer. A large body is passed in parsed form.

        Raises InsufficientCreditsError, UnavailableError.
        """
        method, path = scope["method"], scope["path"]
        if sender and (method, path) == FOR_CREDITS:
            await run_in_threadpool(self._require_credits, sender)
        large = _large(method, path)
        if large is not None and len(body) > SMALL.size:
            try:
                await parsing.parse(scope, large.model, body, self._context.turns.parsing, sender)
            except RequestValidationError as error:
                await errors.malformed_answer(error)(scope, receive, send)
                return
        await self._app(scope, replay(body, receive) if body else receive, send)

    def _require_credits(self, account_id: str) -> None:
        with self._context.database.read() as connection:
            require_positive(connection, account_id)

    def _turns_for(self, scope: Scope) -> OwnTurns | None:
        """Return the turns for a user's request."""
        method, path = scope["method"], scope["path"]
        if _of_runner(path) or path in WITHOUT_TURNS:
            return None
        if (method, path) in COSTLY:
            return self._context.turns.submitting
        reads = method in ("GET", "HEAD")
        return self._context.turns.reading if reads else self._context.turns.writing

    async def _sender(self, scope: Scope, size: int | None) -> str:
        """Return the sender's account; "" for permitted strangers. Raises NotAuthenticatedError."""
        if (scope["method"], scope["path"]) in FOR_STRANGERS:
            return ""
        authorization = Headers(scope=scope).get("authorization", "")
        if size == 0:
            # Without a body, the route itself refuses senders without a valid key.
            try:
                return await self._account(scope, await bearer(authorization))
            except NotAuthenticatedError:
                return ""
        secret = await bearer(authorization)
        if _of_runner(scope["path"]) and size is not None and size <= SMALL.size:
            return ""
        return await self._account(scope, secret)

    async def _account(self, scope: Scope, secret: str) -> str:
        if _of_runner(scope["path"]):
            caller = await run_in_threadpool(runner.caller, self._context, secret)
            runner.tell(scope, caller)
            return caller.job.account_id
        return (await callers.sender(scope, self._context, secret)).id


def _knows_itself(scope: Scope, size: int | None) -> bool:
    """Return whether a request needs nothing from `Bodies`."""
    if scope["method"] == "PUT" and _BLOB.fullmatch(scope["path"]):
        return True
    return size == 0 and (_of_runner(scope["path"]) or scope["path"] in WITHOUT_TURNS)


def _of_runner(path: str) -> bool:
    return path.startswith(runner.PREFIX + "/")
