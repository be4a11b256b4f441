"""Runners' requests and reports; see `farm_protocol.runner`.

Runners call more often than everybody else together. FastAPI's work for each request would cost as
much as the farm's own, so this is a separate application on FastAPI's foundations: Starlette and
pydantic.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from farm_protocol.files import BlobHash, KnownFile, Ticket
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
from http_gate.bodies import announced
from http_gate.connections import known
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from farm.accounts.credentials import hash_secret
from farm.api import errors, runner_job, transfer
from farm.api.context import Context, bearer
from farm.api.parsing import parsed
from farm.catalogue.matching import plugin_choices, unseen_plugins
from farm.db import accounts, earlier_results, feed, job_rows, manifests, outputs, runners
from farm.db.engine.turns import Result
from farm.db.runners import Caller
from farm.errors import (
    ClaimLostError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    StorageFullError,
)
from farm.jobs.status_messages import no_runner
from farm.scheduler import claims, writer

Body = TypeVar("Body", bound=BaseModel)

_NO_ROOM = "there is no room on the farm's disk for the list of the project's files."

_BLOB_HASH: TypeAdapter[str] = TypeAdapter(BlobHash)


@dataclass(frozen=True, slots=True)
class _Call:
    """A runner's call.

    Attributes:
        secret: its token, not checked yet.
        claim_id: the claim in the address; "" where there is none.
    """

    context: Context
    secret: str
    claim_id: str

    async def write(self, work: Callable[[Connection, Caller, datetime], Result]) -> Result:
        """Let ``work`` write for the runner; see `Context.write`. Raises NotAuthenticatedError."""

        def as_caller(connection: Connection) -> Result:
            now = datetime.now(UTC)
            return work(connection, _known(connection, self.secret, now), now)

        # Who has no valid token takes no turn to write, from whoever has one.
        account_id = await self.account_id()
        try:
            return await self.context.write(as_caller, account_id)
        except NotAuthenticatedError:
            self.context.runners.forget(hash_secret(self.secret))
            raise

    async def account_id(self) -> str:
        """Return the account of a caller, which was valid once. Raises NotAuthenticatedError."""
        token_hash = hash_secret(self.secret)
        account_id = self.context.runners.account_of(token_hash)
        if account_id is None:
            account_id = (await run_in_threadpool(self.caller)).job.account_id
            self.context.runners.add(token_hash, account_id)
        return account_id

    @asynccontextmanager
    async def report(self) -> AsyncIterator[None]:
        """Let the runner's reports come one after the other, as it sends them."""
        await self.account_id()
        async with self.context.turns.reports.of(hash_secret(self.secret)):
            yield

    def take(self, connection: Connection, account_id: str, size: int) -> None:
        """Count what a report adds to the database; see `transfer.take_result_rows`."""
        transfer.take_result_rows(self.context, connection, account_id, size)

    async def read(self, work: Callable[[Connection, Caller], Result]) -> Result:
        """Let ``work`` read for the runner, in its turn. Raises NotAuthenticatedError."""
        caller = await run_in_threadpool(self.caller)

        def as_caller() -> Result:
            with self.context.database.read() as connection:
                return work(connection, _known(connection, self.secret, datetime.now(UTC)))

        async with self.context.turns.runners.of(caller.job.account_id):
            return await run_in_threadpool(as_caller)

    def caller(self) -> Caller:
        """Return the caller. Raises NotAuthenticatedError."""
        return caller(self.context, self.secret)


def caller(context: Context, secret: str) -> Caller:
    """Return the owner of this token. Raises NotAuthenticatedError."""
    with context.database.read() as connection:
        return _known(connection, secret, datetime.now(UTC))


def tell(scope: Scope, caller: Caller) -> None:
    """Attribute a connection to this runner, for the gate. Each runner counts separately."""
    known(scope, f"runner {caller.runner.id}")


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
        required = {
            "sandbox_required": context.sandbox_mode(connection) == "required",
            "limits_required": context.limits_mode == "required",
        }
        return claim.model_copy(update=required), more

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
    """Return whether the farm's disk is full: only checked when a runner waits."""
    return waiting > 0 and call.context.room.is_full()


async def _post_ready_soon(call: _Call, _: Heartbeat) -> HeartbeatAnswer:
    command = await call.write(claims.ready_soon)
    if command is not RunnerCommand.CONTINUE:
        call.context.work.notify()  # Its slot is free.
    return HeartbeatAnswer(command=command)


async def _post_frame(call: _Call, report: FrameDone) -> None:
    async with call.report():
        await _frame_done(call, report)
    call.context.changes.notify()


async def _frame_done(call: _Call, report: FrameDone) -> None:
    no_room = _has_no_room(call, report.waiting_seconds)
    *before, last = claims.portions(report)
    if before:
        await call.read(
            lambda connection, caller: claims.check_report(
                connection, caller, call.claim_id, report
            )
        )
    for portion in before:
        # Others may write in between. A runner without an answer resends all of it.
        await call.write(
            partial(
                claims.frame_files,
                claim_id=call.claim_id,
                report=report,
                portion=portion,
                take=call.take,
                no_room=no_room,
            )
        )
    await call.write(
        lambda connection, caller, now: claims.frame_done(
            connection,
            caller,
            call.claim_id,
            report,
            now,
            portion=last,
            take=call.take,
            no_room=no_room,
        )
    )


async def _post_log(call: _Call, chunk: LogChunk) -> None:
    async with call.report():
        await call.write(
            lambda connection, caller, _: claims.add_log(
                connection, caller, call.claim_id, chunk.offset, chunk.text, call.take
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


def _job(call: _Call, caller: Caller) -> Response:
    context = call.context
    with context.database.read() as connection:
        row = caller.job
        work = job_rows.work(connection, row.id)
        needed = job_rows.needed_by(connection, row.id)
        uses = earlier_results.used_by(connection, row.id)

        def made() -> Generator[list[KnownFile]]:
            # If a path occurs twice, the last file counts. An uploaded file comes before results of
            # earlier jobs under its name; and a job that follows another uses its results.
            for use in uses:
                yield from earlier_results.portions(connection, use)
            yield from manifests.portions(connection, work.project_id, work.snapshot)
            for job_id in needed:
                yield from outputs.portions(connection, job_id)

        settled = [*map(str, uses), *map(str, feed.lines_of_needed(connection, row.id))]
        key = runner_job.key_of(work.project_id, work.snapshot, settled)
        files = context.file_lists.of(key, made, lambda: context.changes.closed)
        offers = context.offers(connection)
        plugins = work.plugins
        sandbox = context.sandbox_mode(connection)
    job = RunnerJob(
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
        limits_mode=context.limits_mode,
        files=[],
        output_folder=row.output_folder,
        source=context.store.source(row.account_id),
    )
    return runner_job.answer(job, files)


def _blob(call: _Call, caller: Caller, blob_hash: str, asked: str | None) -> Response:
    """Answer with a blob that the job uses, and no other of its user's."""
    _require_of_job(call.context, caller, {blob_hash})
    return transfer.send(call.context, caller.job.account_id, blob_hash, asked)


def _tickets(call: _Call, caller: Caller, request: TicketsRequest) -> Tickets:
    """Return where to fetch blobs that the job uses."""
    hashes = set(request.hashes)
    _require_of_job(call.context, caller, hashes)
    elsewhere = call.context.store.tickets(caller.job.account_id, hashes)
    tickets = [Ticket(hash=each, url=elsewhere.get(each, f"blobs/{each}")) for each in hashes]
    return Tickets(tickets=tickets)


def _require_of_job(context: Context, caller: Caller, hashes: set[str]) -> None:
    job_id = caller.job.id
    with context.database.read() as connection:
        others = hashes - manifests.blobs_of_job(connection, job_id, hashes)
        if others:
            needed = job_rows.needed_by(connection, job_id)
            others -= outputs.blobs_of_jobs(connection, needed, others)
        if others:
            others -= earlier_results.blobs_of_job(connection, job_id, others)
    if others:
        raise NotFoundError(f"The files of this job include no blob {min(others)}.")


async def _get_job(request: Request) -> Response:
    call = await _call(request)
    caller = await _caller(request, call)
    try:
        async with call.context.turns.jobs.of(caller.job.account_id):
            return await run_in_threadpool(_job, call, caller)
    except StorageFullError:
        await call.write(_say_full)
        call.context.changes.notify()
        raise


def _say_full(connection: Connection, caller: Caller, _: datetime) -> None:
    row = job_rows.row(connection, caller.job.id)
    writer.set_message_at_work(connection, row, no_runner(_NO_ROOM))


async def _put_blob(request: Request) -> Response:
    call = await _call(request)
    caller = await _caller(request, call)
    blob_hash = _blob_hash(request)
    claim_id = _claim_of(caller)
    limit = call.context.limits(caller.job.machine_type).file_bytes
    if limit is not None and (announced(request.scope) or 0) > limit:
        raise InvalidRequestError(
            {
                "Content-Length": [
                    f"Result files on this machine type may have at most {limit} bytes."
                ]
            }
        )

    account_id = caller.job.account_id

    def look_again() -> None:
        if _claim_of(call.caller()) != claim_id:
            raise _no_claim()
        check_share()

    def check_share() -> None:
        with call.context.database.read() as connection:
            quota = transfer.quota_of(connection, accounts.by_id(connection, account_id))
        call.context.room.check_result(account_id, announced(request.scope) or 0, quota)

    async with call.context.turns.results.of(caller.runner.id):
        await transfer.receive(
            call.context, account_id, blob_hash, request, check_share, look_again
        )
    return Response(status_code=201)


def _claim_of(caller: Caller) -> str:
    """Return the claim whose results a runner sends. Raises ClaimLostError."""
    if caller.claim is None:
        raise _no_claim()
    return caller.claim.id


def _no_claim() -> ClaimLostError:
    return ClaimLostError("This runner holds no claim, so its results are not accepted.")


async def _get_blob(request: Request) -> Response:
    call, asked = await _call(request), request.headers.get("range")
    caller = await _caller(request, call)
    blob_hash = _blob_hash(request)
    async with call.context.turns.runners.of(caller.job.account_id):
        return await run_in_threadpool(_blob, call, caller, blob_hash, asked)


async def _post_tickets(call: _Call, request: TicketsRequest) -> Tickets:
    caller = await run_in_threadpool(call.caller)
    async with call.context.turns.runners.of(caller.job.account_id):
        return await run_in_threadpool(_tickets, call, caller, request)


async def _caller(request: Request, call: _Call) -> Caller:
    """Return the caller of a transfer, which may take long. Raises NotAuthenticatedError."""
    caller = await run_in_threadpool(call.caller)
    tell(request.scope, caller)
    return caller


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
    """Return the route on which ``answer`` answers requests of type ``model``; None: 204."""

    async def endpoint(request: Request) -> Response:
        call = await _call(request)
        try:
            body = parsed(request.scope) or model.model_validate_json(await request.body())
        except ClientDisconnect:
            return Response(status_code=400)  # Nobody is listening: the runner was killed.
        except ValidationError as error:
            # Only runners are told what is wrong with a request.
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
