"""What goes wrong at a farm that stands in for another."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from farm_protocol.errors import RETRY, STATUS, ErrorBody, ErrorCode
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response


class Refusal(Exception):
    def __init__(
        self, code: ErrorCode, message: str, errors: dict[str, list[str]] | None = None
    ) -> None:
        self.status = STATUS[code]
        self.body = ErrorBody(code=code, message=message, errors=errors or {}, retry=code in RETRY)


@dataclass
class Fault:
    """What happens to the next ``times`` requests whose method and path begin like this.

    kind: an `ErrorCode`, "drop" (no answer), "corrupt" (other bytes), "hold" (waits for release),
    "lose answer" (does it, then waits for release), "pass" (nothing: for what comes before); or an
    application of ASGI that answers instead.
    """

    method: str
    path: str
    kind: Any
    times: int = 1


class Suffering(Protocol):
    """Whose requests go wrong.

    Attributes:
        requests: method, path and status of each; a status of 0 for no answer.
        held: set when a request waits for ``released``.
    """

    faults: list[Fault]
    requests: list[tuple[str, str, int]]
    released: threading.Event
    held: threading.Event


class Faulty:
    """Injects the faults, and remembers every request."""

    def __init__(self, farm: Suffering, app: FastAPI) -> None:
        self.farm, self.app = farm, app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        fault = next(
            (
                f
                for f in self.farm.faults
                if f.times and method == f.method and path.startswith(f.path)
            ),
            None,
        )

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.farm.requests.append((method, path, message["status"]))
            await send(message)

        if fault is None:
            await self.app(scope, receive, noted)
            return
        fault.times -= 1

        async def late(message: Any) -> None:
            self.farm.held.set()
            await asyncio.to_thread(self.farm.released.wait)
            await noted(message)

        if callable(fault.kind):
            await fault.kind(scope, receive, noted)
        elif fault.kind == "hold":
            self.farm.held.set()
            await asyncio.to_thread(self.farm.released.wait)
            await self.app(scope, receive, noted)
        elif fault.kind in ("pass", "lose answer"):
            await self.app(scope, receive, noted if fault.kind == "pass" else late)
        elif fault.kind == "drop":
            self.farm.requests.append((method, path, 0))
            length = [(b"content-length", b"1000")]
            await send({"type": "http.response.start", "status": 200, "headers": length})
        elif fault.kind == "corrupt":
            await Response(b"x" * 10)(scope, receive, noted)
        else:
            code = ErrorCode(fault.kind)
            body = Refusal(code, f"Injected: {code}.").body.model_dump(mode="json")
            await JSONResponse(body, status_code=STATUS[code])(scope, receive, noted)
