"""Projects: list, files, status, upload, submit."""

from typing import Any

from fastapi import APIRouter

from envoy.submissions.wire import SubmitBody, UploadBody
from envoy.web.services import Name, Use

router = APIRouter()


@router.get("/projects")
async def projects(use: Use) -> dict[str, Any]:
    """Return ``{"projects": [{"name", "deleting", "num_files", "total_size", ...}]}``."""
    return {"projects": await use.projects.listing()}


@router.get("/project/{name}/Files")
async def project_files(name: Name, use: Use) -> dict[str, Any]:
    """Return ``{"project_files": {"all_files": [...]}}``; an empty list for an unknown project."""
    return {"project_files": {"all_files": await use.projects.files(name)}}


@router.get("/project-status/{name}")
async def project_status(name: Name, use: Use) -> dict[str, Any]:
    """Return the published status object; with empty ``Details`` for an unknown project."""
    return await use.status.project(name)


@router.post("/upload")
async def upload(body: UploadBody, use: Use) -> dict[str, str]:
    """Accept ``{"upload": [{"localRoot", "remoteRoot", "files"}]}``; 200 ``{"ID": project}``."""
    return {"ID": await use.projects.upload(body)}


@router.post("/project-submit", status_code=201)
async def project_submit(body: SubmitBody, use: Use) -> dict[str, Any]:
    """Accept a submission; 201 ``{"ID": project, "submission_id", "warnings"}`` once on disk.

    ``warnings``: what looks wrong so far; the jobs may get more.
    """
    entry = await use.projects.submit(body)
    return {"ID": entry.project, "submission_id": entry.id, "warnings": list(entry.warnings)}
