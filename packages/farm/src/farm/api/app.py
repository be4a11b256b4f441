"""Assembles the routes."""

from functools import cache

from farm_protocol.errors import ErrorCode
from farm_protocol.proof import ProofAnswer, ProofRequest, same
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.routing import Mount, Router
from starlette.types import ASGIApp

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
from farm.api.bodies import NOTHING_HERE, Bodies
from farm.api.context import Context
from farm.errors import ForbiddenError


def create_app(context: Context) -> ASGIApp:
    """Return the farm's API, working on the given parts."""
    # Runners first: they call most often.
    routes = Router(
        [Mount(runner.PREFIX, runner.create_app(context)), Mount("/", _users(context))],
        # Not even `Mount` matches a path with a line break.
        default=errors.answer(ErrorCode.NOT_FOUND, NOTHING_HERE),
    )

    return Bodies(routes, context)


def _users(context: Context) -> FastAPI:
    """Return the routes for users and their Envoys."""
    modules = (changes, blobs, account, users, catalogue, projects, submissions, jobs)
    app = FastAPI(
        # Used as they are: `include_router` would copy each one, which takes as long as the rest of
        # a farm's start.
        routes=[route for module in modules for route in module.router.routes],
        title="Render farm",
        version=context.version,
        # Those of FastAPI; ours is below.
        openapi_url=None,
        redirect_slashes=False,  # Nobody follows redirects; errors have one shape.
    )
    app.state.context = context
    errors.install(app)
    credentials.unknown_hash()  # Created later, the first unknown user would take twice as long.

    @app.get("/v1/health")
    async def health() -> dict[str, str]:
        """Identify this farm; needs no key."""
        return {"service": "farm", "version": context.version}

    @cache
    def described() -> bytes:
        return bytes(JSONResponse(app.openapi()).body)

    @app.get("/openapi.json", include_in_schema=False)
    async def description() -> Response:
        """Describe these routes; needs no key, so it is built once and costs next to nothing."""
        return Response(described(), media_type="application/json")

    @app.post("/v1/proof")
    async def proof(asked: ProofRequest) -> ProofAnswer:
        """Prove to a program that can read this farm's announcement that this is the farm."""
        if not same(asked.proof, context.identity.callers_proof(asked.nonce)):
            raise ForbiddenError(
                "Only a program that can read this farm's farm.json may ask for this."
            )
        return ProofAnswer(proof=context.identity.farms_proof(asked.nonce))

    return app
