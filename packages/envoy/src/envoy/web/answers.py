"""Errors as answers: the one place where they become HTTP, in the one shape of `ErrorBody`."""

import itertools
import json
import logging
import sqlite3
from collections.abc import Sequence
from typing import Any

from farm_protocol.errors import STATUS, ErrorBody, ErrorCode
from farm_protocol.faults import fault_text
from farm_protocol.text import shortened
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from envoy.errors import (
    FarmAnswerError,
    FarmUnreachableError,
    InvalidRequestError,
    NotOnFarmError,
    StartError,
)
from envoy.journal.database import may_pass

log = logging.getLogger(__name__)

WRONG: dict[int | str, dict[str, Any]] = {
    "default": {"model": ErrorBody, "description": "What is wrong."}
}
"""Errors that every route may answer, for the description."""

MOST_FAULTS, LONGEST_NAME, LONGEST_TEXT = 100, 300, 1_000
"""Limit of an answer to a malformed request, which must not be longer than the request."""


def answer(body: ErrorBody, status: int | None = None) -> Response:
    """Return an error answer; the status is the code's unless given."""
    # A message may quote the request, which need not be valid Unicode.
    content = json.dumps(body.model_dump(), ensure_ascii=False).encode("utf-8", "replace")
    status = status or STATUS[ErrorCode(body.code)]
    return Response(content, status, media_type="application/json")


def install(app: FastAPI) -> None:
    """Make ``app`` answer all errors in this shape."""

    @app.exception_handler(InvalidRequestError)
    async def invalid(_: Request, error: InvalidRequestError) -> Response:
        code = ErrorCode.INVALID_REQUEST
        return answer(ErrorBody(code=code, message=str(error), errors=error.errors))

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        errors: dict[str, list[str]] = {}
        for fault in itertools.islice(error.errors(), MOST_FAULTS):
            field = shortened(_field(fault["loc"]), LONGEST_NAME)
            errors.setdefault(field, []).append(shortened(fault_text(fault), LONGEST_TEXT))
        refused = InvalidRequestError(errors)
        code = ErrorCode.INVALID_REQUEST
        return answer(ErrorBody(code=code, message=str(refused), errors=errors))

    @app.exception_handler(FarmAnswerError)
    async def refused(_: Request, error: FarmAnswerError) -> Response:
        return answer(error.body, error.status)

    @app.exception_handler(NotOnFarmError)
    async def too_early(_: Request, error: NotOnFarmError) -> Response:
        return answer(ErrorBody(code=ErrorCode.CONFLICT, message=str(error), retry=True))

    @app.exception_handler(FarmUnreachableError)
    async def unreachable(_: Request, error: FarmUnreachableError) -> Response:
        code = ErrorCode.UNAVAILABLE
        return answer(ErrorBody(code=code, message=f"{error} Try again.", retry=True))

    @app.exception_handler(StartError)
    async def unusable(_: Request, error: StartError) -> Response:
        return answer(ErrorBody(code=ErrorCode.INTERNAL, message=str(error)))

    @app.exception_handler(sqlite3.OperationalError)
    async def no_room(request: Request, error: sqlite3.OperationalError) -> Response:
        if not may_pass(error):
            return await fault(request, error)
        return answer(ErrorBody(code=ErrorCode.STORAGE_FULL, message=_try_again(error), retry=True))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        code = ErrorCode.NOT_FOUND if error.status_code == 404 else ErrorCode.INVALID_REQUEST
        path = shortened(request.url.path, LONGEST_NAME)
        message = f"{request.method} {path}: {error.detail}."
        return answer(ErrorBody(code=code, message=message), error.status_code)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        message = f"Envoy failed unexpectedly ({type(error).__name__}). Its log has the details."
        return answer(ErrorBody(code=ErrorCode.INTERNAL, message=message, retry=True))


def _try_again(error: Exception) -> str:
    return (
        f"Envoy cannot write its journal ({error}). Make room on the disk of its data"
        " folder, then try again."
    )


def _field(location: Sequence[str | int]) -> str:
    """Return ``jobs[0].name`` for ("body", "project_request", "jobs", 0, "name")."""
    field = ""
    for part in location:
        if isinstance(part, int):
            field += f"[{part}]"
        elif part not in ("body", "project_request"):
            field += f".{part}" if field else part
    return field or "body"
