"""What runners ask for and report; see `farm_protocol.runner`.

Runners call more often than everybody else together. What FastAPI does for each request would cost
as much as all that the farm does for it, so this is an application of its own on what lies below
FastAPI: Starlette and pydantic.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from farm_protocol.files import BlobHash, Ticket
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
    Tickets,
    TicketsRequest,
)
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from farm.accounts.credentials import hash_secret
from farm.api import errors, transfer
from farm.api.context import Context, bearer
from farm.catalogue.matching import plugin_choices, unseen_plugins
from farm.db import files, job_rows, outputs, runners
from farm.db.engine.turns import Result
from farm.db.runners import Caller
from farm.errors import ClaimLostError, NotAuthenticatedError, NotFoundError
from farm.scheduler import claims

Body = TypeVar("Body", bound=BaseModel)

_BLOB_HASH: TypeAdapter[str] = TypeAdapter(BlobHash)


@dataclass(frozen=True, slots=True)
class _Call:
    """A runner's call.

    Attributes:
        secret: its token, which nobody has looked at yet.
        claim_id: the claim in the address; "" where there is none.
    """

    context: Context
    secret: str
    claim_id: str

    async def write(self, work: Callable[[Connection, Caller, datetime], Result]) -> Result:
        """Let ``work`` write for the runner; see `Context.write`. Raises NotAuthenticatedError."""

        def as_caller(connection: Connection) -> Result:
            now = datetime.now(UTC)
            return work(connection, self._caller(connection, now), now)

        return await self.context.write(as_caller)

    def caller(self) -> Caller:
        """Return who calls. Raises NotAuthenticatedError."""
        return caller(self.context, self.secret)

    def _caller(self, connection: Connection, now: datetime) -> Caller:
        return _known(connection, self.secret, now)


def caller(context: Context, secret: str) -> Caller:
    """Return whose token this is. Raises NotAuthenticatedError."""
    with context.database.read() as connection:
        return _known(connection, secret, datetime.now(UTC))


def _known(connection: Connection, secret: str, now: datetime) -> Caller:
    found = runners.caller(connection, hash_secret(secret), now)
    if found is None:
        raise NotAuthenticatedError("The runner's token is no longer valid.")
    return found


async def _post_claim(call: _Call, request: ClaimRequest) -> Claim:
    context = call.context

    def work(connection: Connection, caller: Caller, now: datetime) -> tuple[Claim, bool]:
        definitions = context.catalogue.definitions
        claim, more = claims.claim(
            connection,
            caller,
            request,
            context.slots,
            definitions,
            definitions.library.programs,
            now,
            context.unlicensed_seconds,
        )
        required = context.sandbox_mode(connection) == "required"
        return claim.model_copy(update={"sandbox_required": required}), more

    claim, something_to_do = await call.write(work)
    context.changes.notify()
    if something_to_do:
        context.work.notify()
    return claim


async def _post_heartbeat(call: _Call, beat: Heartbeat) -> HeartbeatAnswer:
    no_room = _has_no_room(call, beat.waiting_seconds)
    command = await call.write(
        lambda connection, caller, now: claims.heartbeat(
            connection, caller, call.claim_id, beat, now, no_room=no_room
        )
    )
    return HeartbeatAnswer(command=command)


def _has_no_room(call: _Call, waiting: float) -> bool:
    """Return whether the farm's disk is full: only asked when a runner waits."""
    return waiting > 0 and call.context.room.is_full()


async def _post_ready_soon(call: _Call, _: Heartbeat) -> HeartbeatAnswer:
    command = await call.write(claims.ready_soon)
    if command is not RunnerCommand.CONTINUE:
        call.context.work.notify()  # Its slot is free.
    return HeartbeatAnswer(command=command)


async def _post_frame(call: _Call, report: FrameDone) -> None:
    no_room = _has_no_room(call, report.waiting_seconds)
    *before, last = claims.portions(report)
    for portion in before:
        # Others may write in between. A runner that hears of no success sends all of it again.
        await call.write(
            partial(
                claims.frame_files,
                claim_id=call.claim_id,
                report=report,
                portion=portion,
                no_room=no_room,
            )
        )
    await call.write(
        lambda connection, caller, now: claims.frame_done(
            connection, caller, call.claim_id, report, now, portion=last, no_room=no_room
        )
    )
    call.context.changes.notify()


async def _post_log(call: _Call, chunk: LogChunk) -> None:
    await call.write(
        lambda connection, caller, _: claims.add_log(
            connection, caller, call.claim_id, chunk.offset, chunk.text
        )
    )


async def _post_finish(call: _Call, report: Finish) -> None:
    something_to_do = await call.write(
        lambda connection, caller, now: claims.finish(
            connection, caller, call.claim_id, report, now, call.context.unlicensed_seconds
        )
    )
    call.context.changes.notify()
    if something_to_do:
        call.context.work.notify()


def _job(call: _Call) -> RunnerJob:
    caller, context = call.caller(), call.context
    with context.database.read() as connection:
        row = caller.job
        work = job_rows.work(connection, row.id)
        needed = job_rows.needed_by(connection, row.id)
        manifest = {file.path: file for file in files.entries(connection, work.project_id)}
        # A job that follows another works on its results.
        manifest.update({file.path: file for file in outputs.entries(connection, needed)})
        offers = context.offers(connection)
        plugins = work.plugins
        sandbox = context.sandbox_mode(connection)
    return RunnerJob(
        job_id=row.id,
        name=row.name,
        app=row.app,
        app_version=row.app_version,
        operation=row.operation,
        template=row.template,
        scene=row.scene,
        parameters=work.parameters,
        plugins=plugins,
        plugin_choices=plugin_choices(offers, row.app, row.app_version, plugins),
        unseen_plugins=unseen_plugins(offers, row.app, plugins),
        gpu=context.has_gpu(row.machine_type),
        limits=context.limits(row.machine_type),
        licence_servers=context.catalogue.definitions.licence_servers(row.app, plugins),
        sandbox=sandbox,
        files=list(manifest.values()),
        output_folder=row.output_folder,
        source=context.store.source(row.account_id),
    )


def _blob(call: _Call, blob_hash: str, asked: str | None) -> Response:
    """Answer a blob that the job works on, and no other of its user's."""
    caller = call.caller()
    _require_of_job(call.context, caller, {blob_hash})
    return transfer.send(call.context, caller.job.account_id, blob_hash, asked)


def _tickets(call: _Call, request: TicketsRequest) -> Tickets:
    """Return where blobs are that the job works on."""
    caller, hashes = call.caller(), set(request.hashes)
    _require_of_job(call.context, caller, hashes)
    elsewhere = call.context.store.tickets(caller.job.account_id, hashes)
    tickets = [Ticket(hash=each, url=elsewhere.get(each, f"blobs/{each}")) for each in hashes]
    return Tickets(tickets=tickets)


def _require_of_job(context: Context, caller: Caller, hashes: set[str]) -> None:
    job_id = caller.job.id
    with context.database.read() as connection:
        others = hashes - files.blobs_of_job(connection, job_id, hashes)
        if others:
            needed = job_rows.needed_by(connection, job_id)
            others -= outputs.blobs_of_jobs(connection, needed, others)
    if others:
        raise NotFoundError(f"There is no blob {min(others)} among the files of this job.")


async def _get_job(request: Request) -> Response:
    return _answer(await run_in_threadpool(_job, await _call(request)))


async def _put_blob(request: Request) -> Response:
    call = await _call(request)
    caller = await run_in_threadpool(call.caller)
    blob_hash = _blob_hash(request)
    if caller.claim is None:  # Only who holds one can have results.
        raise ClaimLostError("This runner holds no claim, so its results are not accepted.")
    await transfer.receive(call.context, caller.job.account_id, blob_hash, request, _no_quota)
    return Response(status_code=201)


def _no_quota() -> None:
    """A result: see `transfer.receive`."""


async def _get_blob(request: Request) -> Response:
    call, asked = await _call(request), request.headers.get("range")
    return await run_in_threadpool(_blob, call, _blob_hash(request), asked)


async def _post_tickets(call: _Call, request: TicketsRequest) -> Tickets:
    return await run_in_threadpool(_tickets, call, request)


async def _call(request: Request) -> _Call:
    secret = await bearer(request.headers.get("authorization", ""))
    return _Call(request.app.state.context, secret, request.path_params.get("claim_id", ""))


def _answer(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


def _blob_hash(request: Request) -> str:
    try:
        return _BLOB_HASH.validate_python(request.path_params["blob_hash"])
    except ValidationError as error:
        raise errors.malformed(error, "path", "blob_hash") from None


def _post(
    path: str, model: type[Body], answer: Callable[[_Call, Body], Awaitable[BaseModel | None]]
) -> Route:
    """Return the route on which ``answer`` answers what ``model`` describes; None: 204."""

    async def endpoint(request: Request) -> Response:
        call = await _call(request)
        try:
            body = model.model_validate_json(await request.body())
        except ClientDisconnect:
            return Response(status_code=400)  # Nobody hears it: the runner was killed.
        except ValidationError as error:
            # Nobody but a runner is told what is wrong with a request.
            await run_in_threadpool(call.caller)
            raise errors.malformed(error, "body") from None
        found = await answer(call, body)
        return Response(status_code=204) if found is None else _answer(found)

    return Route(path, endpoint, methods=["POST"])


PREFIX = "/v1/runner"

ROUTES = [
    Route("/job", _get_job, methods=["GET"]),
    _post("/heartbeat", Heartbeat, _post_ready_soon),
    _post("/claims", ClaimRequest, _post_claim),
    _post("/claims/{claim_id}/heartbeat", Heartbeat, _post_heartbeat),
    Route("/blobs/{blob_hash}", _put_blob, methods=["PUT"]),
    Route("/blobs/{blob_hash}", _get_blob, methods=["GET"]),
    _post("/tickets", TicketsRequest, _post_tickets),
    _post("/claims/{claim_id}/frames", FrameDone, _post_frame),
    _post("/claims/{claim_id}/log", LogChunk, _post_log),
    _post("/claims/{claim_id}/finish", Finish, _post_finish),
]
"""Below `PREFIX`."""


def create_app(context: Context) -> Starlette:
    """Return the application that answers `ROUTES`."""
    app = Starlette(routes=ROUTES)
    app.state.context = context
    errors.install(app)
    return app
