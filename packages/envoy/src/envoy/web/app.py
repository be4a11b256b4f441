"""The web application: routes behind the guard."""

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
        token: what each request must carry; None: nothing.
    """
    modules = (account_routes, catalogue_routes, project_routes, job_routes, envoy_routes)
    # No documentation pages: they would load scripts from elsewhere. The routes are used as they
    # are: `include_router` would copy each one, which delays the first answer.
    app = FastAPI(
        routes=[route for module in modules for route in module.router.routes],
        title="Envoy",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/envoy/openapi.json",
    )
    app.state.services = services
    answers.install(app)
    return Guard(app, port, token)
