"""Turns every error into the protocol's one shape. Nothing else creates error answers."""

import itertools
import logging
import sqlite3
import sys
from typing import Literal

from farm_protocol.errors import RETRY, STATUS, ErrorBody, ErrorCode
from farm_protocol.faults import fault_text
from farm_protocol.text import shortened
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from farm.errors import FarmError, TooManyAttemptsError

logger = logging.getLogger(__name__)

_CODES = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.NOT_FOUND, 413: ErrorCode.TOO_LARGE}
"""Codes for errors that the framework answers by itself; others are `INVALID_REQUEST`."""


MOST_FAULTS = 2_000
"""Limit of one request; more errors are only counted, since each takes 10 µs of everybody's time.
"""
MOST_FIELDS, MOST_TEXTS = 100, 1_000
LONGEST_NAME, LONGEST_TEXT, LONGEST_MESSAGE = 300, 1_000, 4_000
"""Limit of an answer: the errors may be longer than the request. One field may have as many texts
as there are files, all of which may be missing.
"""
_AWAY = ("08", "53", "57")
"""Classes of PostgreSQL's error codes: no connection, no resources, an administrator at work."""
_LOCK_NOT_AVAILABLE = "55P03"
_DISK_FULL = "53100"


def install(app: Starlette) -> None:
    """Make ``app`` answer all errors this way."""
    app.add_exception_handler(FarmError, _farm_error)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http_error)
    of_databases: list[type[Exception]] = [OperationalError, *_drivers_errors()]
    for kind in of_databases:
        app.add_exception_handler(kind, _database_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


def _drivers_errors() -> list[type[Exception]]:
    """Return the exceptions that drivers raise themselves: `farm.db.engine.prepared` calls them
    directly.
    """
    found: list[type[Exception]] = [sqlite3.OperationalError]
    if "psycopg" in sys.modules:  # Loading it takes a while, and only farms with PostgreSQL have.
        from psycopg import OperationalError as OfPostgres

        found.append(OfPostgres)
    return found


def malformed(
    error: ValidationError, where: Literal["body", "path"], *name: str
) -> RequestValidationError:
    """Return what FastAPI would raise when a request's ``where``, or ``name`` of it, is wrong."""
    count = error.error_count()
    if count > MOST_FAULTS:
        ours = ValueError(f"There are {count} errors, too many to list")
        fault = {"type": "value_error", "loc": (where, *name), "ctx": {"error": ours}}
        return RequestValidationError([fault])
    return RequestValidationError(
        [{**each, "loc": (where, *name, *each["loc"])} for each in error.errors()]
    )


def answer(
    code: ErrorCode, message: str, errors: dict[str, list[str]] | None = None
) -> JSONResponse:
    """Return the answer for a code, limited in length."""
    shown = {
        shortened(name, LONGEST_NAME): [
            shortened(text, LONGEST_TEXT) for text in texts[:MOST_TEXTS]
        ]
        for name, texts in itertools.islice((errors or {}).items(), MOST_FIELDS)
    }
    body = ErrorBody(
        code=code,
        message=shortened(message, LONGEST_MESSAGE),
        errors=shown,
        retry=code in RETRY,
    )
    return JSONResponse(body.model_dump(), STATUS[code])


async def _farm_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FarmError)
    response = answer(error.code, error.message, error.errors)
    if isinstance(error, TooManyAttemptsError):
        response.headers["Retry-After"] = str(error.seconds)
    return response


async def _malformed(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return malformed_answer(error)


def malformed_answer(error: RequestValidationError) -> JSONResponse:
    """Return the answer to a request that does not match its route."""
    errors: dict[str, list[str]] = {}
    for each in itertools.islice(error.errors(), MOST_FIELDS):
        # The first part only says "body" or "query"; indexes are written as in our other errors.
        parts = each["loc"][1:] if len(each["loc"]) > 1 else each["loc"]
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
        errors.setdefault(name.lstrip("."), []).append(fault_text(each))
    shown = " ".join(f"{name}: {texts[0]}" for name, texts in errors.items())
    return answer(ErrorCode.INVALID_REQUEST, f"The request is not valid. {shown}", errors)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, ErrorCode.INVALID_REQUEST)
    return answer(code, f"{error.detail}.")


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    fault: BaseException | None = error.orig if isinstance(error, OperationalError) else error
    if _is_full(fault):
        logger.error("the database cannot write: %s", fault)
        message = "The farm's disk is full. Work continues when there is space."
        return answer(ErrorCode.STORAGE_FULL, message)
    if _is_away(fault):
        logger.error("the database does not answer: %s", fault)
        return answer(
            ErrorCode.UNAVAILABLE, "The farm's database does not answer. Try again later."
        )
    return await _unexpected(request, error)


def _is_full(fault: BaseException | None) -> bool:
    """Return whether the database's disk is full."""
    return _of_sqlite(fault) == sqlite3.SQLITE_FULL or _of_postgres(fault) == _DISK_FULL


def _is_away(fault: BaseException | None) -> bool:
    """Return whether the database is unreachable, or another writer takes too long."""
    if type(fault).__module__.startswith("psycopg"):
        # No code: the connection was lost. A value beyond a limit is an OperationalError as well,
        # and retrying would not help.
        code = _of_postgres(fault)
        return code is None or code[:2] in _AWAY or code == _LOCK_NOT_AVAILABLE
    return _of_sqlite(fault) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _of_sqlite(fault: BaseException | None) -> int | None:
    """Return the kind of an SQLite error, without the details in its upper bytes."""
    code: int | None = getattr(fault, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _of_postgres(fault: BaseException | None) -> str | None:
    code: str | None = getattr(fault, "sqlstate", None)
    return code


async def _gone(_request: Request, _error: Exception) -> Response:
    # There is nobody left to answer, and frequent disconnects must not fill the log.
    return Response(status_code=400)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.exception("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
    return answer(ErrorCode.INTERNAL, "The farm failed unexpectedly. Its log has the details.")
