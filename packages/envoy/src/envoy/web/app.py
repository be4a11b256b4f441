"""The web application: routes behind the guard."""

from farm_protocol.errors import ErrorBody
from fastapi import FastAPI
from starlette.types import ASGIApp

from envoy.process.token_file import Token
from envoy.version import __version__
from envoy.web import (
    account_routes,
    answers,
    catalogue_routes,
    envoy_routes,
    job_routes,
    project_routes,
)
from envoy.web.guard import Guard
from envoy.web.services import Services


def build_app(services: Services, port: int, token: Token | None = None) -> ASGIApp:
    """Return the application that answers at ``http://localhost:<port>``.

    Parameters:
        token: what each request must show; None: nothing.
    """
    # No documentation pages: they would load scripts from elsewhere.
    app = FastAPI(
        title="Envoy",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/envoy/openapi.json",
        responses={"default": {"model": ErrorBody, "description": "What is wrong."}},
    )
    app.state.services = services
    for routes in (account_routes, catalogue_routes, project_routes, job_routes, envoy_routes):
        app.include_router(routes.router)
    answers.install(app)
    return Guard(app, port, token)
