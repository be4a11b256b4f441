"""Jobs of a project: progress, frames, results, logs and actions. Not part of the contract."""

from enum import StrEnum
from typing import Annotated

from farm_protocol.frames import FrameList
from farm_protocol.jobs import JobLog
from fastapi import APIRouter, Query

from envoy.views.own import (
    JobView,
    ProjectJobs,
    ProjectProgress,
    ProjectResults,
    StoppedUploads,
)
from envoy.web.answers import WRONG
from envoy.web.services import JobId, Name, Use

router = APIRouter(prefix="/envoy", responses=WRONG)

After = Annotated[int | None, Query(ge=-(2**31), lt=2**31)]
"""A frame number."""


class Action(StrEnum):
    """Actions on a job."""

    STOP = "stop"
    SUSPEND = "suspend"
    RESUME = "resume"
    RETRY = "retry"


@router.get("/projects/{name}/progress")
async def progress(name: Name, use: Use) -> ProjectProgress:
    """Return the progress of the project's newest submission, including downloads."""
    return await use.status.progress(name)


@router.post("/projects/{name}/stop-uploads")
async def stop_uploads(name: Name, use: Use) -> StoppedUploads:
    """Stop all running uploads of a project, and their submissions."""
    return StoppedUploads(stopped=await use.jobs.stop_uploads(name))


@router.get("/projects/{name}/jobs")
async def jobs(name: Name, use: Use) -> ProjectJobs:
    """Return the jobs of a project, newest submission first; none for an unknown project."""
    return ProjectJobs(jobs=await use.jobs.of_project(name))


@router.get("/projects/{name}/results")
async def results(name: Name, use: Use) -> ProjectResults:
    """Return each result file on the farm, and its local place."""
    return ProjectResults(results=await use.jobs.results(name))


@router.get("/jobs/{job_id}/frames")
async def frames(job_id: JobId, use: Use, after: After = None, flagged: bool = False) -> FrameList:
    """Return a page of a job's frames by number, with what looks wrong about each."""
    return await use.jobs.frames(job_id, after, flagged=flagged)


@router.get("/jobs/{job_id}/log")
async def log(job_id: JobId, use: Use, after: Annotated[int, Query(ge=0, lt=2**63)] = 0) -> JobLog:
    """Return the next piece of a job's log."""
    return await use.jobs.log(job_id, after)


@router.post("/jobs/{job_id}/{action}")
async def act(job_id: JobId, action: Action, use: Use) -> JobView:
    """Stop, suspend, resume or retry a job; returns the job."""
    return await use.jobs.act(job_id, action.value)
