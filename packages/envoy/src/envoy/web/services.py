"""The parts that routes use: made by the composition root, carried by the app."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from farm_protocol.text import Line
from fastapi import Depends, Request
from pydantic import Field

from envoy.config import Settings
from envoy.farm.account import Account
from envoy.farm.client import FarmClient
from envoy.submissions.projects import Projects
from envoy.views.jobs import Jobs
from envoy.views.projects import ProjectLists
from envoy.views.status import Status


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of Envoy that HTTP can reach. ``stop`` begins a clean shutdown."""

    settings: Settings
    farm: FarmClient
    account: Account
    projects: Projects
    project_lists: ProjectLists
    jobs: Jobs
    status: Status
    stop: Callable[[], None]


def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


Use = Annotated[Services, Depends(_services)]
Name = Annotated[Line, Field(max_length=1000)]
"""A project's name in a URL."""
JobId = Annotated[Line, Field(max_length=200)]
"""A job in a URL: the farm's id, or the one chosen by the client."""
