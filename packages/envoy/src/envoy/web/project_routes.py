"""Projects: list, files, status, upload, submit."""

from fastapi import APIRouter

from envoy.submissions.wire import SubmitBody, UploadBody
from envoy.views.published import (
    FileRows,
    ProjectFiles,
    ProjectRows,
    ProjectStatus,
    Submitted,
    Uploaded,
)
from envoy.web.answers import WRONG
from envoy.web.services import Name, Use

router = APIRouter(responses=WRONG)


@router.get("/projects")
async def projects(use: Use) -> ProjectRows:
    """Return all projects of the signed-in account, including those still being uploaded."""
    return ProjectRows(projects=await use.project_lists.projects())


@router.get("/project/{name}/Files")
async def project_files(name: Name, use: Use) -> ProjectFiles:
    """Return the files of a project on the farm; an empty list for an unknown project."""
    return ProjectFiles(project_files=FileRows(all_files=await use.project_lists.files(name)))


@router.get("/project-status/{name}")
async def project_status(name: Name, use: Use) -> ProjectStatus:
    """Return the state of a project's upload; with empty ``Details`` for an unknown project."""
    return await use.status.project(name)


@router.post("/upload")
async def upload(body: UploadBody, use: Use) -> Uploaded:
    """Accept ``{"upload": [{"localRoot", "remoteRoot", "files"}]}``."""
    return Uploaded(project=await use.projects.upload(body))


@router.post("/project-submit", status_code=201)
async def project_submit(body: SubmitBody, use: Use) -> Submitted:
    """Accept a submission; answers once it is on disk."""
    entry = await use.projects.submit(body)
    return Submitted(project=entry.project, submission_id=entry.id, warnings=list(entry.warnings))
