"""Signing in, credits, user information."""

from datetime import UTC
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, PlainTextResponse, Response

from envoy.errors import FarmAnswerError
from envoy.submissions.wire import AuthBody
from envoy.web.services import Use

router = APIRouter()


@router.post("/auth")
async def auth(body: AuthBody, use: Use) -> Response:
    """Sign in with ``{"Username", "AccessKey"}`` (a password or an access key).

    200 ``{"email"}``; 401 with a *text* body when they are wrong, as published.
    """
    if not body.username or not body.access_key:
        return PlainTextResponse("Enter your e-mail address and password.", status_code=401)
    try:
        email = await use.account.sign_in(body.username, body.access_key)
    except FarmAnswerError as error:
        if error.status == 401:
            return PlainTextResponse(str(error), status_code=401)
        raise
    return JSONResponse({"email": email})


@router.get("/credits-info")
async def credits_info(use: Use) -> dict[str, float]:
    """Return ``{"credits_available": <credits>}``; 401 when nobody is signed in."""
    return {"credits_available": (await use.farm.me()).credits_available}


@router.get("/user-info")
async def user_info(use: Use) -> dict[str, Any]:
    """Return ``{"data": {...}}`` with the documented fields of `get_user_info`."""
    user = await use.farm.me()
    created = user.created
    if created.tzinfo:
        created = created.astimezone(UTC).replace(tzinfo=None)
    return {"data": user.model_dump(mode="json") | {"created": created.isoformat()}}
