"""What runners ask for and report; see `farm_protocol.runner`."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from farm_protocol.files import BlobHash
from farm_protocol.runner import (
    Claim,
    ClaimRequest,
    Finish,
    FrameDone,
    Heartbeat,
    HeartbeatAnswer,
    LogChunk,
    RunnerCommand,
    RunnerJob,
)
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute
from sqlalchemy import Connection

from farm.api import transfer
from farm.api.context import InContext, Runner, Secret, bearer, caller_of
from farm.api.context import runner as runner_that_asks
from farm.db import files, hosts, outputs
from farm.db import jobs as rows
from farm.errors import ClaimLostError
from farm.scheduler import claims


class _RunnersOnly(APIRoute):
    """Tells nobody but a runner what is wrong with a request.

    Most of these routes look the token up in the transaction in which they work. A request that
    does not get so far is judged here.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError:
                secret = await bearer(request.headers.get("authorization", ""))
                await run_in_threadpool(runner_that_asks, request.app.state.context, secret)
                raise

        return answer


router = APIRouter(prefix="/runner", route_class=_RunnersOnly)


@router.get("/job")
def get_job(context: InContext, caller: Runner) -> RunnerJob:
    """Return the job that the runner was started for, with the files to stage."""
    with context.database.read() as connection:
        row = rows.whole_row(connection, caller.job["id"])
        needed = rows.needed_by(connection, caller.job["id"])
        manifest = {file.path: file for file in files.entries(connection, row["project_id"])}
        # A job that follows another works on its results.
        manifest.update({file.path: file for file in outputs.entries(connection, needed)})
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
        gpu=context.has_gpu(row["machine_type"]),
        files=list(manifest.values()),
        output_folder=row["output_folder"],
        disk_store=str(context.store.account_folder(row["account_id"])),
    )


@router.post("/claims")
async def post_claim(context: InContext, secret: Secret, request: ClaimRequest) -> Claim:
    """Claim frames."""

    def work(connection: Connection) -> tuple[Claim, bool]:
        now = datetime.now(UTC)
        caller = caller_of(connection, secret, now)
        if request.host and request.programs:
            hosts.report(connection, request.host, request.programs, now)
        return claims.claim(
            connection, caller, request, context.slots, context.catalogue.definitions, now
        )

    claim, something_to_do = await context.write(work)
    context.changes.notify()
    if something_to_do:
        context.work.notify()
    return claim


@router.post("/claims/{claim_id}/heartbeat")
async def post_heartbeat(
    context: InContext, secret: Secret, claim_id: str, beat: Heartbeat
) -> HeartbeatAnswer:
    """Say that the runner lives, and hear what it shall do."""

    def work(connection: Connection) -> RunnerCommand:
        now = datetime.now(UTC)
        caller = caller_of(connection, secret, now)
        return claims.heartbeat(connection, caller, claim_id, beat.frame, now)

    return HeartbeatAnswer(command=await context.write(work))


@router.put("/blobs/{blob_hash}", status_code=201)
async def put_blob(
    context: InContext, caller: Runner, blob_hash: BlobHash, request: Request
) -> None:
    """Receive the bytes of a result. Only who holds a claim can have one."""
    if caller.claim is None:
        raise ClaimLostError("This runner holds no claim: what it rendered is not wanted.")
    await transfer.receive(context, caller.job["account_id"], blob_hash, request)


@router.get("/blobs/{blob_hash}")
def get_blob(context: InContext, caller: Runner, blob_hash: BlobHash) -> FileResponse:
    """Answer the bytes of a file to stage."""
    return transfer.send(context, caller.job["account_id"], blob_hash)


@router.post("/claims/{claim_id}/frames", status_code=204)
async def post_frame(context: InContext, secret: Secret, claim_id: str, report: FrameDone) -> None:
    """Report a finished frame."""

    def work(connection: Connection) -> None:
        now = datetime.now(UTC)
        caller = caller_of(connection, secret, now)
        claims.frame_done(connection, caller, claim_id, report, now)

    await context.write(work)
    context.changes.notify()


@router.post("/claims/{claim_id}/log", status_code=204)
async def post_log(context: InContext, secret: Secret, claim_id: str, chunk: LogChunk) -> None:
    """Append to the job's log."""

    def work(connection: Connection) -> None:
        caller = caller_of(connection, secret, datetime.now(UTC))
        claims.add_log(connection, caller, claim_id, chunk.offset, chunk.text)

    await context.write(work)


@router.post("/claims/{claim_id}/finish", status_code=204)
async def post_finish(context: InContext, secret: Secret, claim_id: str, report: Finish) -> None:
    """End the claim."""

    def work(connection: Connection) -> bool:
        now = datetime.now(UTC)
        caller = caller_of(connection, secret, now)
        return claims.finish(connection, caller, claim_id, report, now)

    something_to_do = await context.write(work)
    context.changes.notify()
    if something_to_do:
        context.work.notify()
