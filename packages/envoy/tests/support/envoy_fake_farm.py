"""A farm in memory that takes the protocol literally: strict models, verified hashes, faults on
demand. A real HTTP server in a thread of its own."""

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import uvicorn
from blake3 import blake3
from envoy_faults import Fault, Faulty, Refusal
from farm_protocol.account import LoginAnswer, LoginRequest, UserInfo
from farm_protocol.catalogue import MachineType, ProductVersion
from farm_protocol.changes import Changes, GoneOutput, Output, OutputList
from farm_protocol.errors import ErrorBody, ErrorCode
from farm_protocol.files import (
    FileEntry,
    FileRemoval,
    KnownFile,
    Manifest,
    ManifestUpdate,
    MissingAnswer,
    MissingRequest,
    ProjectList,
    ProjectRevision,
    ProjectSummary,
    Ticket,
)
from farm_protocol.frames import Frame, FrameList
from farm_protocol.jobs import (
    Job,
    JobLog,
    JobState,
    Submission,
    SubmissionCheck,
    SubmissionSpec,
)
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, Response

EMAIL = "artist@example.com"
PASSWORD = "correct horse"
DEVICE = "5a" * 32
STATES = {
    "stop": JobState.STOPPED,
    "suspend": JobState.SUSPENDED,
    "resume": JobState.READY,
    "retry": JobState.READY,
}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeFarm:
    def __init__(self) -> None:
        self.url = ""
        self.wakers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = []
        self.reset()

    def reset(self) -> None:
        self.farm_id = "farm-1"
        self.users = {EMAIL: PASSWORD, "other@example.com": "other"}
        self.keys: dict[str, str] = {}
        self.devices: list[str] = []
        self.credits = 100.0
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: defaultdict[tuple[str, str], dict[str, FileEntry]] = defaultdict(dict)
        self.revisions: Counter[tuple[str, str]] = Counter()
        self.is_older = False  # It knows nothing of revisions.
        self.snapshots: dict[str, dict[str, FileEntry]] = {}
        self.submissions: dict[str, tuple[str, Submission]] = {}
        self.specs: dict[str, SubmissionSpec] = {}
        self.checks: list[SubmissionSpec] = []
        self.feed: list[tuple[str, Output | GoneOutput | Job]] = []
        self.page = 10**6
        self.logs: dict[str, list[str]] = {}
        self.frames: dict[str, list[Frame]] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, int]] = []
        self.refuse_check: Refusal | None = None
        self.on_check: Callable[[], object] | None = None
        self.released = threading.Event()
        self.held = threading.Event()

    def count(self, method: str, path: str) -> int:
        return sum(m == method and p.startswith(path) for m, p, _ in list(self.requests))

    def key_of(self, email: str) -> str:
        return f"key-{email}"

    def change_files(
        self, account: str, project: str, files: Mapping[str, FileEntry | None]
    ) -> ProjectRevision:
        """Change files of a project, as a client would that has sent their blobs; None: gone."""
        there = self.manifests[account, project]
        before = dict(there)
        for path, file in files.items():
            if file is None:
                there.pop(path, None)
            else:
                there[path] = file
        changes = int(there != before)
        self.revisions[account, project] += changes
        return ProjectRevision(revision=self.revisions[account, project], changes=changes)

    def emit(self, account: str, event: Output | GoneOutput | Job) -> None:
        self.feed.append((account, event))
        for loop, waker, _ in list(self.wakers):
            loop.call_soon_threadsafe(waker.set)

    @property
    def is_asked_for_news(self) -> bool:
        """Whether a question waits for what the feed does not have yet."""
        return any(after >= len(self.feed) for _, _, after in list(self.wakers))

    def output(
        self, submission_id: str, path: str, data: bytes, blob_hash: str = "", size: int = -1
    ) -> None:
        """A result appears."""
        account, submission = self.submissions[submission_id]
        name = blob_hash or blake3(data).hexdigest()
        self.blobs[account, name] = data
        self.emit(
            account,
            Output(
                submission_id=submission_id,
                job_id=submission.jobs[0].id,
                frame=1,
                path=path,
                hash=name,
                size=len(data) if size < 0 else size,
                created_at=NOW,
            ),
        )

    def lose(self, submission_id: str, path: str) -> None:
        """A result disappears."""
        account, submission = self.submissions[submission_id]
        job_id = submission.jobs[0].id
        self.emit(account, GoneOutput(submission_id=submission_id, job_id=job_id, path=path))

    def app(self) -> FastAPI:
        app = FastAPI()
        farm = self

        def signed_in(request: Request) -> str:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            for email, key in farm.keys.items():
                if key == given:
                    return email
            raise Refusal(ErrorCode.NOT_AUTHENTICATED, "The access key is not valid.")

        @app.exception_handler(Refusal)
        async def refusal(_: Request, error: Refusal) -> JSONResponse:
            return JSONResponse(error.body.model_dump(mode="json"), status_code=error.status)

        @app.exception_handler(RequestValidationError)
        async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
            body = ErrorBody(code="invalid_request", message=str(error.errors()))
            return JSONResponse(body.model_dump(), status_code=400)

        @app.get("/v1/health")
        async def health() -> dict[str, Any]:
            return {"service": "farm", "data_dir": "/elsewhere"}

        @app.post("/v1/login")
        async def login(body: LoginRequest) -> LoginAnswer:
            farm.devices.append(body.device)
            if body.secret not in (farm.users.get(body.email), farm.keys.get(body.email)):
                raise Refusal(ErrorCode.NOT_AUTHENTICATED, "Wrong e-mail address or password.")
            farm.keys.setdefault(body.email, farm.key_of(body.email))
            device = "" if body.device == DEVICE else DEVICE
            return LoginAnswer(email=body.email, access_key=farm.keys[body.email], device=device)

        @app.get("/v1/me")
        async def me(request: Request) -> UserInfo:
            return UserInfo(
                created=datetime(2019, 7, 1, 15, 27, 48),
                credits_available=farm.credits,
                credits_consumed=200.0,
                email_address=signed_in(request),
                job_throughput_limit=30,
                max_throughput=30,
                name="Artist",
                service_plan="Standard",
            )

        @app.get("/v1/products")
        async def products() -> list[ProductVersion]:
            row = ProductVersion(
                id="blender:4.2.0", name="Blender", app_type="blender", version="4.2.0"
            )
            return [row]

        @app.get("/v1/machines")
        async def machines(
            app: str,
            operation: str,
            category: str = "",
            plugins: Annotated[tuple[str, ...], Query()] = (),
        ) -> list[MachineType]:
            name = "-".join([app, operation, category, *plugins])
            return [
                MachineType(id="m", name=name, gpu=False, is_default=True, credits_per_hour=1.0)
            ]

        @app.get("/v1/projects")
        async def projects(request: Request) -> ProjectList:
            account = signed_in(request)
            rows = [
                ProjectSummary(
                    name=name,
                    num_files=len(files),
                    total_size=sum(file.size for file in files.values()),
                    updated_at=NOW,
                )
                for (owner, name), files in farm.manifests.items()
                if owner == account
            ]
            return ProjectList(projects=rows)

        @app.get("/v1/projects/{name}/files")
        async def manifest(
            name: str, request: Request, after: str | None = None, folder: str = ""
        ) -> Manifest:
            files = [
                KnownFile(**file.model_dump())
                for file in farm.manifests.get((signed_in(request), name), {}).values()
                if file.path.startswith(f"{folder or name}/")
            ]
            if after is None:
                return Manifest(files=files)
            left = sorted((each for each in files if each.path > after), key=lambda f: f.path)
            return Manifest(files=left[:2], more=len(left) > 2)

        @app.put("/v1/projects/{name}/files", response_model=None)
        async def put_manifest(
            name: str, body: ManifestUpdate, request: Request
        ) -> Response | ProjectRevision:
            account = signed_in(request)
            for file in body.files:
                if file.path.split("/")[0] != name:
                    raise Refusal(ErrorCode.INVALID_REQUEST, f"{file.path} is not in {name}.")
                data = farm.blobs.get((account, file.hash))
                if data is None or len(data) != file.size:
                    raise Refusal(ErrorCode.INVALID_REQUEST, f"{file.path}: blob not sent.")
            revision = farm.change_files(account, name, {file.path: file for file in body.files})
            return Response(status_code=204) if farm.is_older else revision

        @app.post("/v1/projects/{name}/files/remove")
        async def remove_files(name: str, body: FileRemoval, request: Request) -> ProjectRevision:
            return farm.change_files(signed_in(request), name, dict.fromkeys(body.paths))

        @app.post("/v1/blobs/missing")
        async def missing(body: MissingRequest, request: Request) -> MissingAnswer:
            account = signed_in(request)
            return MissingAnswer(
                tickets=[
                    Ticket(hash=blob.hash, url=f"/v1/blobs/{blob.hash}")
                    for blob in body.blobs
                    if (account, blob.hash) not in farm.blobs
                ]
            )

        @app.put("/v1/blobs/{name}")
        async def put_blob(name: str, request: Request) -> Response:
            account = signed_in(request)
            data = await request.body()
            if blake3(data).hexdigest() != name:
                raise Refusal(ErrorCode.HASH_MISMATCH, "The bytes have another hash.")
            farm.blobs[account, name] = data
            return Response(status_code=204)

        @app.get("/v1/blobs/{name}")
        async def get_blob(name: str, request: Request) -> Response:
            data = farm.blobs.get((signed_in(request), name))
            if data is None:
                raise Refusal(ErrorCode.NOT_FOUND, "There is no such blob.")
            return Response(data, media_type="application/octet-stream")

        @app.post("/v1/submissions/check")
        async def check(body: SubmissionSpec, request: Request) -> SubmissionCheck:
            account = signed_in(request)
            farm.checks.append(body)
            if farm.on_check:
                farm.on_check()
            if farm.refuse_check:
                raise farm.refuse_check
            farm.require_scenes(account, body, body.pending_files)
            return SubmissionCheck(warnings=["From the check."])

        @app.post("/v1/submissions")
        async def submit(body: SubmissionSpec, request: Request) -> Submission:
            account = signed_in(request)
            if body.id not in farm.submissions:
                farm.require_scenes(account, body, [])
                if farm.is_older and "revision" in body.model_fields_set:
                    raise Refusal(ErrorCode.INVALID_REQUEST, "Extra inputs are not permitted.")
                if body.revision not in (None, farm.revisions[account, body.project]):
                    raise Refusal(ErrorCode.PROJECT_CHANGED, "Send the files again.")
                farm.snapshots[body.id] = dict(farm.manifests[account, body.project])
                farm.specs[body.id] = body
                jobs = [make_job(body, n) for n in range(len(body.jobs))]
                farm.submissions[body.id] = (
                    account,
                    Submission(
                        id=body.id,
                        project=body.project,
                        name=body.name,
                        output_folder=body.output_folder,
                        submitted_at=NOW,
                        jobs=jobs,
                    ),
                )
                for job in jobs:
                    farm.emit(account, job)
            return farm.submissions[body.id][1]

        @app.post("/v1/jobs/{job_id}/{action}")
        async def act(job_id: str, action: str, request: Request) -> Job:
            job = farm.job(signed_in(request), job_id)
            if action not in STATES:
                raise Refusal(ErrorCode.INVALID_REQUEST, f"There is no action '{action}'.")
            if job.state is JobState.COMPLETED:
                raise Refusal(ErrorCode.CONFLICT, f"'{job.name}' is completed.")
            return farm.change(job_id, state=STATES[action])

        @app.get("/v1/jobs/{job_id}/log")
        async def job_log(job_id: str, request: Request, after: int = 0) -> JobLog:
            farm.job(signed_in(request), job_id)
            lines = farm.logs.get(job_id, [])
            return JobLog(text="".join(lines[after : after + 1]), cursor=min(after + 1, len(lines)))

        @app.get("/v1/jobs/{job_id}/frames")
        async def frames(
            job_id: str, request: Request, after: int = -1, flagged: bool = False
        ) -> FrameList:
            farm.job(signed_in(request), job_id)
            found = [
                each
                for each in farm.frames.get(job_id, [])
                if each.number > after and (each.flags or not flagged)
            ]
            return FrameList(frames=found[:2], more=len(found) > 2)

        @app.get("/v1/jobs/{job_id}/outputs")
        async def outputs(job_id: str, request: Request, after: str = "") -> OutputList:
            account = signed_in(request)
            farm.job(account, job_id)
            found = {
                event.path: event
                for owner, event in farm.feed
                if owner == account and isinstance(event, Output) and event.job_id == job_id
            }
            paths = sorted(path for path in found if path > after)
            return OutputList(outputs=[found[p] for p in paths[:1]], more=len(paths) > 1)

        @app.get("/v1/changes")
        async def changes(request: Request, after: int, wait: float = 0) -> Changes:
            account = signed_in(request)
            waker = asyncio.Event()
            entry = (asyncio.get_running_loop(), waker, after)
            farm.wakers.append(entry)
            try:
                if after >= len(farm.feed):
                    await asyncio.wait_for(waker.wait(), min(wait, 30))
            except TimeoutError:
                pass
            finally:
                farm.wakers.remove(entry)
            end = min(after + farm.page, len(farm.feed))
            events = [event for owner, event in farm.feed[after:end] if owner == account]
            return Changes(
                farm_id=farm.farm_id,
                cursor=max(after, end),
                more=end < len(farm.feed),
                gone=[event for event in events if isinstance(event, GoneOutput)],
                outputs=[event for event in events if isinstance(event, Output)],
                jobs=[event for event in events if isinstance(event, Job)],
            )

        return app

    def job(self, account: str, job_id: str) -> Job:
        for owner, submission in self.submissions.values():
            for job in submission.jobs:
                if (owner, job.id) == (account, job_id):
                    return job
        raise Refusal(ErrorCode.NOT_FOUND, f"There is no job '{job_id}'.")

    def change(self, job_id: str, **values: Any) -> Job:
        """Something happens to a job."""
        for account, submission in self.submissions.values():
            for n, job in enumerate(submission.jobs):
                if job.id == job_id:
                    submission.jobs[n] = job.model_copy(update=values)
                    self.emit(account, submission.jobs[n])
                    return submission.jobs[n]
        raise AssertionError(job_id)

    def require_scenes(self, account: str, spec: SubmissionSpec, pending: list[str]) -> None:
        there = self.manifests.get((account, spec.project), {})
        for n, job in enumerate(spec.jobs):
            if job.path not in there and job.path not in pending:
                message = f"The scene '{job.path}' is not in the project."
                field = f"jobs[{n}].path"
                raise Refusal(ErrorCode.INVALID_REQUEST, message, {field: [message]})

    @contextmanager
    def serving(self, port: int = 0) -> Iterator["FakeFarm"]:
        server = uvicorn.Server(
            uvicorn.Config(
                Faulty(self, self.app()),
                port=port,
                log_config=None,  # That of others in this process stays as it is.
                timeout_graceful_shutdown=1,
            )
        )
        sock = server.config.bind_socket()
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])))
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            server.should_exit = True
            for loop, waker, _ in list(self.wakers):
                loop.call_soon_threadsafe(waker.set)
            thread.join()
            sock.close()


def make_job(spec: SubmissionSpec, n: int, state: JobState = JobState.READY) -> Job:
    return Job(
        id=f"{spec.id}-{n}",
        client_id=spec.jobs[n].id,
        submission_id=spec.id,
        project=spec.project,
        submission_name=spec.name,
        name=spec.jobs[n].name,
        app=spec.jobs[n].app,
        app_version=spec.jobs[n].app_version,
        operation=spec.jobs[n].operation,
        state=state,
        message="",
        warnings=[],
        frames_total=1,
        frames_done=0,
        frames_failed=0,
        frames_running=0,
        credits=0.0,
        output_folder=spec.output_folder,
        submitted_at=NOW,
        started_at=None,
        finished_at=None,
    )
