"""Envoy's own API: health, activity, stop. Used by ``envoy status``, ``envoy stop`` and the UI."""

import os

from fastapi import APIRouter

from envoy.version import __version__
from envoy.views.own import Activity, Health, Stopping
from envoy.web.answers import WRONG
from envoy.web.services import Use

router = APIRouter(prefix="/envoy", responses=WRONG)


@router.get("/health")
async def health(use: Use) -> Health:
    """Identify this Envoy."""
    return Health(
        service="envoy",
        version=__version__,
        pid=os.getpid(),
        data_dir=str(use.settings.data_dir),
        farm_url=use.farm.url,
        signed_in_as=use.account.email,
    )


@router.get("/activity")
async def activity(use: Use) -> Activity:
    """Return what Envoy is doing: all recent submissions with their jobs and downloads."""
    return await use.status.activity()


@router.post("/stop", status_code=202)
async def stop(use: Use) -> Stopping:
    """Begin a clean shutdown."""
    use.stop()
    return Stopping(stopping=True)
