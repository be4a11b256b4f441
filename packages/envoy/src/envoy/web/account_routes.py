"""Signing in, credits, user information."""

from datetime import UTC
from typing import Any

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from envoy.errors import FarmAnswerError
from envoy.farm.answers import faulty
from envoy.submissions.wire import AuthBody
from envoy.views.published import Credits, SignedIn, UserAnswer
from envoy.web.answers import WRONG
from envoy.web.services import Use

router = APIRouter(responses=WRONG)


_WRONG: dict[int | str, dict[str, Any]] = {
    401: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.post("/auth", response_model=SignedIn, responses=_WRONG)
async def auth(body: AuthBody, use: Use) -> SignedIn | Response:
    """Sign in with ``{"Username", "AccessKey"}`` (a password or an access key).

    A 401 has a *text* body, as published.
    """
    if not body.username or not body.access_key:
        return PlainTextResponse("Enter your e-mail address and password.", status_code=401)
    try:
        email = await use.account.sign_in(body.username, body.access_key)
    except FarmAnswerError as error:
        if error.status == 401:
            return PlainTextResponse(str(error), status_code=401)
        raise
    return SignedIn(email=email)


@router.get("/credits-info")
async def credits_info(use: Use) -> Credits:
    """Return what the user can spend; 401 when nobody is signed in."""
    return Credits(credits_available=(await use.farm.me()).credits_available)


@router.get("/user-info")
async def user_info(use: Use) -> UserAnswer:
    """Return the documented fields of `get_user_info`."""
    user = await use.farm.me()
    created = user.created
    if created.tzinfo:
        try:
            created = created.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            raise faulty(
                f"The farm says that the account was created in the year {created.year}, which"
                " cannot be."
            ) from None
    return UserAnswer(data=user.model_copy(update={"created": created}))
