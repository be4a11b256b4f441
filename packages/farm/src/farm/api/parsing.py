"""Large bodies are parsed and validated outside the event loop, a few at a time.

A body is parsed in one step, from its bytes: `json.loads` would block everything else while it
runs, which for a large body is a second. Small bodies are left to their routes: a thread would cost
more than parsing them.
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
    """Parse a body, and keep the result for its route.

    Parameters:
        turns: limits concurrent parsing.
        sender: the account whose turn it takes.

    Raises:
        RequestValidationError: it is not valid for the route.
        UnavailableError: too many bodies of the account wait already.
    """

    def found() -> BaseModel | RequestValidationError:
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            # It has every error, a kilobyte each. Passed from thread to thread, it would stay in
            # memory until the garbage collector runs.
            return errors.malformed(error, "body")

    async with turns.of(sender):
        parsed = await run_in_threadpool(found)
    if isinstance(parsed, RequestValidationError):
        raise parsed
    scope[_PARSED] = parsed


def parsed(scope: Scope) -> Any:
    """Return the result of `parse`; None: the route has to parse its body."""
    return scope.get(_PARSED)


class _ParsedRequest(Request):
    async def json(self) -> Any:
        """Return the body's value, which FastAPI then finds valid at once."""
        return parsed(self.scope)


class LargeBodyRoute(APIRoute):
    """A FastAPI route that uses the result of `parse`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if parsed(request.scope) is not None:
                request = _ParsedRequest(request.scope, request.receive)
            return await handle(request)

        return answer
