"""Envoy's own API: health, activity, stop. Used by ``envoy status``, ``envoy stop`` and the UI."""

import os
from typing import Any

from fastapi import APIRouter

from envoy import __version__
from envoy.web.services import Use

router = APIRouter(prefix="/envoy")


@router.get("/health")
async def health(use: Use) -> dict[str, Any]:
    """Return who this is: ``{"service": "envoy", "version", "pid", "data_dir", ...}``.

    ``farm_url`` is "" while an embedded farm is not running, ``signed_in_as`` while nobody is.
    """
    return {
        "service": "envoy",
        "version": __version__,
        "pid": os.getpid(),
        "data_dir": str(use.settings.data_dir),
        "farm_url": use.farm.url,
        "signed_in_as": use.account.email,
    }


@router.get("/activity")
async def activity(use: Use) -> dict[str, Any]:
    """Return what Envoy is doing: ``{"submissions": [...], "waiting_for": "", "problems": []}``.

    Each submission: ``submission_id``, ``project``, ``name`` ("" for a bare upload), ``state``
    (uploading, submitting, submitted, failed), ``sentence``, ``warnings``, ``bytes_done`` and
    ``bytes_total`` of its upload, ``jobs`` (as the farm last told, in the farm's own words),
    ``submitted_at`` (UTC) and ``downloads``: ``files_total``, ``files_done``, ``files_failed``,
    ``bytes_done``, ``bytes_total``, ``folders``, ``sentence``. ``waiting_for`` is one sentence
    that says what holds Envoy up, or "".
    """
    return await use.status.activity()


@router.post("/stop", status_code=202)
async def stop(use: Use) -> dict[str, bool]:
    """Begin a clean shutdown; 202 ``{"stopping": true}``."""
    use.stop()
    return {"stopping": True}
