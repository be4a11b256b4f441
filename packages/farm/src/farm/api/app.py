"""Puts the routes together."""

from farm_protocol.errors import ErrorCode
from farm_protocol.proof import ProofAnswer, ProofRequest, same
from fastapi import FastAPI
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
        # Not even `Mount` knows an address with a line break.
        default=errors.answer(ErrorCode.NOT_FOUND, NOTHING_HERE),
    )

    return Bodies(routes, context)


def _users(context: Context) -> FastAPI:
    """Return what users and their Envoys ask for."""
    app = FastAPI(
        title="Render farm",
        version=context.version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # Nobody follows them; what is wrong has one shape.
    )
    app.state.context = context
    errors.install(app)
    credentials.unknown_hash()  # Made later, the first unknown user would take twice as long.
    for module in (changes, blobs, account, users, catalogue, projects, submissions, jobs):
        app.include_router(module.router, prefix="/v1")

    @app.get("/v1/health")
    async def health() -> dict[str, str]:
        """Say who is here; needs no key."""
        return {"service": "farm", "version": context.version}

    @app.post("/v1/proof")
    async def proof(asked: ProofRequest) -> ProofAnswer:
        """Prove to a program that can read this farm's announcement that this is the farm."""
        if not same(asked.proof, context.identity.callers_proof(asked.nonce)):
            raise ForbiddenError(
                "Only a program that can read this farm's announcement may ask for this."
            )
        return ProofAnswer(proof=context.identity.farms_proof(asked.nonce))

    return app
