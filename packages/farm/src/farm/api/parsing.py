"""Large bodies are parsed and validated beside the event loop, a few at a time.

What a body says is found out in one step, from its bytes: `json.loads` alone would let nobody else
do anything for as long as it takes, which for a large body is a second. Small bodies are left to
their routes: a thread would cost more than they do.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from farm.api import errors
from farm.api.own_turns import OwnTurns

_PARSED = "farm.parsed"


async def parse(
    scope: Scope, model: type[BaseModel], body: bytes, turns: OwnTurns, sender: str
) -> None:
    """Find out what a body says, and keep it for its route.

    Parameters:
        turns: of those who parse.
        sender: the account whose turn it takes.

    Raises:
        RequestValidationError: it is not what the route takes.
        UnavailableError: too many bodies of the account wait already.
    """

    def found() -> BaseModel | RequestValidationError:
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            # It holds every fault, a kilobyte each. Passed on from thread to thread, it would be in
            # memory until somebody looks for what nobody needs any more.
            return errors.malformed(error, "body")

    async with turns.of(sender):
        parsed = await run_in_threadpool(found)
    if isinstance(parsed, RequestValidationError):
        raise parsed
    scope[_PARSED] = parsed


def parsed(scope: Scope) -> Any:
    """Return what `parse` has found; None: the route has to parse its body."""
    return scope.get(_PARSED)


class _ParsedRequest(Request):
    async def json(self) -> Any:
        """Return what the body says: FastAPI finds that it is valid at once."""
        return parsed(self.scope)


class LargeBodyRoute(APIRoute):
    """A route of FastAPI that takes what `parse` has found."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers requests."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if parsed(request.scope) is not None:
                request = _ParsedRequest(request.scope, request.receive)
            return await handle(request)

        return answer
