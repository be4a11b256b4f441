"""What runners ask for and report; see `farm_protocol.runner`."""

from datetime import UTC, datetime

from farm_protocol.files import BlobHash
from farm_protocol.runner import (
    Claim,
    ClaimRequest,
    Finish,
    FrameDone,
    Heartbeat,
    HeartbeatAnswer,
    LogChunk,
    RunnerJob,
)
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from farm.api import transfer
from farm.api.context import InContext, Runner
from farm.db import claims as claim_rows
from farm.db import files, hosts
from farm.db import jobs as rows
from farm.errors import ClaimLostError
from farm.scheduler import claims

router = APIRouter(prefix="/runner")


@router.get("/job")
def get_job(context: InContext, runner: Runner) -> RunnerJob:
    """Return the job that the runner was started for, with the files to stage."""
    with context.database.read() as connection:
        row = rows.row(connection, runner.job_id)
        needed = rows.needed_by(connection, runner.job_id)
        manifest = {file.path: file for file in files.entries(connection, row["project_id"])}
        # A job that follows another works on its results.
        manifest.update({file.path: file for file in rows.output_files(connection, needed)})
    return RunnerJob(
        job_id=row["id"],
        name=row["name"],
        app=row["app"],
        app_version=row["app_version"],
        operation=row["operation"],
        template=row["template"],
        scene=row["scene"],
        parameters=row["parameters"],
        plugins=row["plugins"],
        files=list(manifest.values()),
        output_folder=row["output_folder"],
        disk_store=str(context.store.account_folder(row["account_id"])),
    )


@router.post("/claims")
def post_claim(context: InContext, runner: Runner, request: ClaimRequest) -> Claim:
    """Claim frames."""
    with context.database.write() as connection:
        now = datetime.now(UTC)
        claim = claims.claim(connection, runner, request, context.slots, now)
        if request.host and request.programs:
            hosts.report(connection, request.host, request.programs, now)
    context.notify()
    return claim


@router.post("/claims/{claim_id}/heartbeat")
def post_heartbeat(
    context: InContext, runner: Runner, claim_id: str, beat: Heartbeat
) -> HeartbeatAnswer:
    """Say that the runner lives, and hear what it shall do."""
    with context.database.write() as connection:
        command = claims.heartbeat(connection, runner, claim_id, beat.frame, datetime.now(UTC))
    return HeartbeatAnswer(command=command)


@router.put("/blobs/{blob_hash}", status_code=201)
async def put_blob(
    context: InContext, runner: Runner, blob_hash: BlobHash, request: Request
) -> None:
    """Receive the bytes of a result. Only who holds a claim can have one."""
    with context.database.read() as connection:
        if not claim_rows.open_claims(connection, runner_id=runner.id):
            raise ClaimLostError("This runner holds no claim: what it rendered is not wanted.")
    await transfer.receive(context, _account_id(context, runner), blob_hash, request)


@router.get("/blobs/{blob_hash}")
def get_blob(context: InContext, runner: Runner, blob_hash: BlobHash) -> FileResponse:
    """Answer the bytes of a file to stage."""
    return transfer.send(context, _account_id(context, runner), blob_hash)


@router.post("/claims/{claim_id}/frames", status_code=204)
def post_frame(context: InContext, runner: Runner, claim_id: str, report: FrameDone) -> None:
    """Report a finished frame."""
    with context.database.write() as connection:
        claims.frame_done(connection, runner, claim_id, report, datetime.now(UTC))
    context.changes.notify()


@router.post("/claims/{claim_id}/log", status_code=204)
def post_log(context: InContext, runner: Runner, claim_id: str, chunk: LogChunk) -> None:
    """Append to the job's log."""
    with context.database.write() as connection:
        claims.add_log(connection, runner, claim_id, chunk.offset, chunk.text)


@router.post("/claims/{claim_id}/finish", status_code=204)
def post_finish(context: InContext, runner: Runner, claim_id: str, report: Finish) -> None:
    """End the claim."""
    with context.database.write() as connection:
        claims.finish(connection, runner, claim_id, report, datetime.now(UTC))
    context.notify()


def _account_id(context: InContext, runner: Runner) -> str:
    with context.database.read() as connection:
        account_id: str = rows.row(connection, runner.job_id)["account_id"]
    return account_id
