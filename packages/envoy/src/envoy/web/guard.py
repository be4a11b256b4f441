"""Decides who may talk to Envoy at all: programs of this machine, and no browser.

Envoy reads any file of its user and writes downloads, and browsers let every web page send requests
to ``localhost``. Even a page at Envoy's own address need not be Envoy's: while no Envoy runs, any
user may listen on its port, and pages that the browser loaded then remain. So each request must
pass these checks, before anything else sees it:

    Host            one of ours: a foreign name that resolves to 127.0.0.1 (DNS rebinding) is not
    Origin          none: browsers send it for pages, programs do not
    Sec-Fetch-Site  none: browsers send it, even for what is typed into the address bar, of
                    which a service worker that was there before gets the answer
    Authorization   in the strict mode: ``Bearer`` and the token of `envoy.process.token_file`
    Content-Type    JSON for every change: forms, which need no permission to cross sites, are not
    body            no larger than its address may need: see `LARGE`

There are no CORS headers, so no page of another origin can read an answer either. How Envoy's own
pages will be distinguished: docs/decisions/0048-pages-of-envoy.md.
"""

from hmac import compare_digest

from farm_protocol.errors import STATUS, ErrorBody, ErrorCode
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
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from envoy.process.token_file import Token

_FILES = BodyLimit(64 << 20, 2_000_000, 200_000)
LARGE = {"/project-submit": _FILES, "/upload": _FILES}
"""Addresses whose bodies name the files of a whole project. Every other body is `SMALL`."""

MOST_HELD = 192 << 20
"""Limit on bytes of bodies in memory."""

_PRELOADS = "service-worker-navigation-preload"
"""A browser requests a service worker with this header."""
_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Guard:
    """ASGI middleware; the outermost.

    Parameters:
        port: the port that Envoy listens on.
        token: for the strict mode; None: Envoy is not strict.
    """

    def __init__(self, app: ASGIApp, port: int, token: Token | None = None) -> None:
        self._app = app
        self._token = token
        self._memory = BodyMemory(MOST_HELD, MOST_HELD)
        self._hosts = frozenset(f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer why not."""
        headers = Headers(scope=scope)
        refusal = self._stranger(scope, headers) or self._without_token(headers)
        if scope["type"] == "websocket":
            if not refusal:
                await self._app(scope, receive, send)
            elif "websocket.http.response" in scope.get("extensions", {}):
                await refusal(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        if refusal:
            await refusal(scope, receive, send)
            return
        if scope["method"] in _CHANGES and not _is_json(headers):
            message = "Changes must be sent as JSON. Set Content-Type to application/json."
            await _refuse(415, ErrorCode.INVALID_REQUEST, message)(scope, receive, send)
            return
        limit = LARGE.get(scope["path"], SMALL)
        size = announced(scope)
        try:
            if size is not None and size > limit.size:
                raise too_large(limit)
            with self._memory.reservation("") as take:
                body = await read_whole(receive, limit, take)
                await self._app(scope, replay(body, receive), send)
        except TooLargeError as error:
            code = ErrorCode.TOO_LARGE
            await _refuse(STATUS[code], code, str(error))(scope, receive, send)
        except BusyError as error:
            code = ErrorCode.UNAVAILABLE
            await _refuse(STATUS[code], code, str(error))(scope, receive, send)
        except ClientDisconnect:
            return  # There is nobody left to answer.

    def _stranger(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        """Return the refusal for a remote sender, or for a page in a browser."""
        hosts = headers.getlist("host")
        sites = headers.getlist("sec-fetch-site")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            message = "Envoy answers only at its own address on this machine, such as localhost."
        elif headers.getlist("origin") or sites or _PRELOADS in headers:
            message = "Web pages are not allowed to use Envoy. Use a script, or the envoy command."
        else:
            return None
        refusal = _refuse(403, ErrorCode.FORBIDDEN, message)
        if sites == ["none"] and scope["type"] == "http":
            # The user's own visit, which no page causes: stored data of this site is removed.
            refusal.headers["Clear-Site-Data"] = '"cache", "storage"'
        return refusal

    def _without_token(self, headers: Headers) -> JSONResponse | None:
        """Return the refusal for a sender without the token, where one is required."""
        if self._token is None:
            return None
        shown = headers.getlist("authorization")
        if not shown:
            fault = "each request must carry its token (Authorization: Bearer TOKEN)"
        elif len(shown) > 1 or not _is_bearer(shown[0], self._token.value):
            fault = "the token of this request is wrong"
        else:
            return None
        code = ErrorCode.TOKEN_REQUIRED
        message = f"This Envoy is strict, and {fault}. The token is in {self._token.path}."
        refusal = _refuse(STATUS[code], code, message)
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal


def _is_json(headers: Headers) -> bool:
    kinds = headers.getlist("content-type")
    return [kind.split(";", 1)[0].strip().lower() for kind in kinds] == ["application/json"]


def _is_bearer(shown: str, token: str) -> bool:
    scheme, _, value = shown.partition(" ")
    # In constant time. As bytes: it may be any text.
    is_it = compare_digest(value.strip().encode(), token.encode())
    return is_it and scheme.lower() == "bearer"


def _refuse(status: int, code: ErrorCode, message: str) -> JSONResponse:
    body = ErrorBody(code=code, message=message)
    return JSONResponse(body.model_dump(mode="json"), status_code=status)
