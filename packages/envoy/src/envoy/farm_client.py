"""The farm, as Envoy sees it: the only user of HTTP towards it.

Every method raises `FarmUnreachableError` when there is no answer and `FarmAnswerError` when the
answer is an error; nothing here tries again (see `patience`).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

import httpx
from farm_protocol.account import LoginAnswer, LoginRequest, UserInfo
from farm_protocol.catalogue import MachineType, ProductVersion
from farm_protocol.changes import Changes, Output, OutputList
from farm_protocol.errors import ErrorBody, ErrorCode
from farm_protocol.files import (
    BlobRef,
    FileEntry,
    Manifest,
    ManifestUpdate,
    MissingAnswer,
    MissingRequest,
    ProjectList,
    Ticket,
)
from farm_protocol.frames import FrameList
from farm_protocol.jobs import Job, JobLog, Submission, SubmissionCheck, SubmissionSpec
from pydantic import BaseModel, TypeAdapter, ValidationError

from envoy.errors import (
    FarmAnswerError,
    FarmUnreachableError,
    NotSignedInError,
)
from envoy.local_files import file_parts

T = TypeVar("T")

PART_BYTES = 1024 * 1024
START_SECONDS = 20.0
"""How long a call waits for an embedded farm that is starting."""
AGAIN_SECONDS = 0.1
"""Until a call that found no embedded farm at its address tries again."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PRODUCTS = TypeAdapter(list[ProductVersion])
_MACHINES = TypeAdapter(list[MachineType])


class FarmClient:
    """Calls of one farm on behalf of one account.

    Parameters:
        url: the farm's address; "" for an embedded one that is still to start (`set_url`).
    """

    def __init__(self, url: str = "") -> None:
        loopback = not url or urlsplit(url).hostname in _LOOPBACK
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(60.0, connect=5.0, pool=None),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
            # A proxy of the environment must not see what stays on this machine; and loading
            # the certificate store costs more than the rest of the start.
            trust_env=not loopback,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if loopback else True,
        )
        self._ready = asyncio.Event()
        self._is_embedded = not url
        self._missed = asyncio.Event()
        self._access_key = ""
        self.account = ""
        self.sign_ins = 0
        """How often somebody has signed in: a refusal from before may be about an older key."""
        self.url = ""
        self.set_url(url)

    def set_url(self, url: str) -> None:
        """Tell where the farm is; "" when it is gone, which makes calls wait for its return."""
        self.url = url.rstrip("/")
        if self.url:
            self._ready.set()
        else:
            self._ready.clear()

    async def missed(self, seconds: float) -> None:
        """Return as soon as a call finds nobody at the farm's address, or after ``seconds``."""
        self._missed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._missed.wait()

    def act_for(self, account: str, access_key: str) -> None:
        """Make all later calls on behalf of this account."""
        self.sign_ins += 1
        self.account = account
        self._access_key = access_key

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    # Account and catalogue

    async def login(self, request: LoginRequest) -> LoginAnswer:
        """Exchange a password or access key for an access key."""
        return await self._call("POST", "/v1/login", LoginAnswer, json=request, signed=False)

    async def me(self) -> UserInfo:
        """Return the account's published information."""
        return await self._call("GET", "/v1/me", UserInfo)

    async def products(self) -> list[ProductVersion]:
        """Return every product version, plug-ins included."""
        response = await self._send("GET", "/v1/products", signed=bool(self.account))
        return _read(_PRODUCTS, response)

    async def machines(self, query: Sequence[tuple[str, str]]) -> list[MachineType]:
        """Return the machine types that suit (app, operation, category, plugins)."""
        signed = bool(self.account)
        response = await self._send("GET", "/v1/machines", params=query, signed=signed)
        return _read(_MACHINES, response)

    async def health_at(self, url: str) -> dict[str, object]:
        """Return what the program at ``url`` says about itself, whoever that is."""
        try:
            response = await self._http.get(f"{url.rstrip('/')}/v1/health", timeout=3.0)
            answer = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise FarmUnreachableError(f"No farm answers at {url} ({error}).") from error
        return answer if isinstance(answer, dict) else {}

    # Projects and files

    async def projects(self) -> ProjectList:
        """Return the account's projects."""
        return await self._call("GET", "/v1/projects", ProjectList)

    async def manifest(self, project: str) -> Manifest:
        """Return all files of a project; none for an unknown one."""
        return await self._call("GET", f"/v1/projects/{quote(project, safe='')}/files", Manifest)

    async def put_manifest(self, project: str, files: list[FileEntry]) -> None:
        """Add or replace files of a project. At most `files.MAX_BATCH`; blobs sent before."""
        path = f"/v1/projects/{quote(project, safe='')}/files"
        await self._send("PUT", path, json=ManifestUpdate(files=files))

    async def missing(self, blobs: list[BlobRef]) -> list[Ticket]:
        """Return where to send those of ``blobs`` that the farm does not have yet."""
        request = MissingRequest(blobs=blobs)
        answer = await self._call("POST", "/v1/blobs/missing", MissingAnswer, json=request)
        return answer.tickets

    async def put_blob(
        self, ticket: Ticket, path: Path, size: int, sent: Callable[[int], None]
    ) -> None:
        """Send the bytes of a file, calling ``sent`` with the size of each part.

        Raises:
            LocalFileError: the file is gone or cannot be read.
            FileChangedError: it is shorter than ``size`` by now.
            FarmAnswerError: with ``hash_mismatch`` when its bytes are not the announced ones.
        """
        farm = httpx.URL(await self._address())
        url = farm.join(ticket.url)
        # A presigned address of an object store must not see our access key.
        own = (url.scheme, url.netloc) == (farm.scheme, farm.netloc)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        if own:
            headers |= self._authorization()
        content = file_parts(path, size, sent)
        try:
            response = await self._http.put(url, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        finally:
            await content.aclose()
        _check(response)

    @asynccontextmanager
    async def blob(self, blob_hash: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a blob for reading; yields its bytes in parts of at most 1 MiB."""
        url = f"{await self._address()}/v1/blobs/{blob_hash}"
        headers = self._authorization()
        try:
            async with self._http.stream("GET", url, headers=headers) as response:
                if response.status_code >= 400:
                    await response.aread()
                _check(response)
                yield response.aiter_bytes(PART_BYTES)
        except httpx.HTTPError as error:
            raise _unreachable(error) from error

    # Submissions and changes

    async def check(self, spec: SubmissionSpec) -> SubmissionCheck:
        """Validate a submission without making it."""
        return await self._call("POST", "/v1/submissions/check", SubmissionCheck, json=spec)

    async def submit(self, spec: SubmissionSpec) -> Submission:
        """Submit; harmless to repeat with the same id."""
        return await self._call("POST", "/v1/submissions", Submission, json=spec)

    async def act(self, job_id: str, action: str) -> Job:
        """Stop, suspend, resume or retry a job; returns how it stands then."""
        return await self._call("POST", f"/v1/jobs/{quote(job_id, safe='')}/{action}", Job)

    async def job_log(self, job_id: str, after: int) -> JobLog:
        """Return the next piece of a job's log after the cursor ``after``."""
        path = f"/v1/jobs/{quote(job_id, safe='')}/log"
        return await self._call("GET", path, JobLog, params=[("after", str(after))])

    async def frames(self, job_id: str, after: int | None, *, flagged: bool) -> FrameList:
        """Return the next page of a job's frames by number; only those with flags if asked."""
        path = f"/v1/jobs/{quote(job_id, safe='')}/frames"
        params = [("flagged", str(flagged).lower())]
        params += [("after", str(after))] if after is not None else []
        return await self._call("GET", path, FrameList, params=params)

    async def outputs(self, job_id: str) -> list[Output]:
        """Return all result files of a job."""
        path = f"/v1/jobs/{quote(job_id, safe='')}/outputs"
        found: list[Output] = []
        while True:
            after = found[-1].path if found else ""
            page = await self._call("GET", path, OutputList, params=[("after", after)])
            found += page.outputs
            if not page.more:
                return found

    async def changes(self, after: int, wait: float) -> Changes:
        """Return what is new since the cursor ``after``, waiting up to ``wait`` seconds."""
        params = [("after", str(after)), ("wait", f"{wait:g}")]
        limits = httpx.Timeout(wait + 20.0, connect=5.0, pool=None)
        return await self._call("GET", "/v1/changes", Changes, params=params, limits=limits)

    # How

    async def _call(
        self,
        method: str,
        path: str,
        model: type[T],
        *,
        json: BaseModel | None = None,
        params: Sequence[tuple[str, str]] = (),
        signed: bool = True,
        limits: httpx.Timeout | None = None,
    ) -> T:
        response = await self._send(
            method, path, json=json, params=params, signed=signed, limits=limits
        )
        return _read(TypeAdapter(model), response)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: BaseModel | None = None,
        params: Sequence[tuple[str, str]] = (),
        signed: bool = True,
        limits: httpx.Timeout | None = None,
    ) -> httpx.Response:
        headers = self._authorization() if signed else {}
        if json is not None:
            headers["Content-Type"] = "application/json"
        until = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                response = await self._http.request(
                    method,
                    await self._address() + path,
                    content=None if json is None else json.model_dump_json(),
                    params=list(params) or None,
                    headers=headers,
                    timeout=limits or httpx.USE_CLIENT_DEFAULT,
                )
            except httpx.ConnectError as error:
                # Nothing was sent. An embedded farm that has just ended is started again at once.
                if not self._is_embedded or asyncio.get_running_loop().time() > until:
                    raise _unreachable(error) from error
                self._missed.set()
                await asyncio.sleep(AGAIN_SECONDS)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise _unreachable(error) from error
            else:
                _check(response)
                return response

    def _authorization(self) -> dict[str, str]:
        if not self._access_key:
            raise NotSignedInError
        return {"Authorization": f"Bearer {self._access_key}"}

    async def _address(self) -> str:
        if not self.url:
            try:
                async with asyncio.timeout(START_SECONDS):
                    await self._ready.wait()
            except TimeoutError:
                raise FarmUnreachableError("The farm has not started yet.") from None
        return self.url


def _unreachable(error: Exception) -> FarmUnreachableError:
    reason = str(error) or type(error).__name__
    return FarmUnreachableError(f"The farm does not answer ({reason}).")


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status < 400:
        return
    try:
        body = ErrorBody.model_validate_json(response.content)
    except ValidationError:
        code = ErrorCode.INTERNAL if status >= 500 else ErrorCode.INVALID_REQUEST
        message = f"The farm answered {status} {response.reason_phrase}."
        body = ErrorBody(code=code, message=message, retry=status >= 500)
    raise FarmAnswerError(status, body)


def _read(adapter: TypeAdapter[T], response: httpx.Response) -> T:
    try:
        return adapter.validate_json(response.content)
    except ValidationError as error:
        where = response.url.path
        message = f"The farm's answer to {where} is not understood ({error.error_count()} faults)."
        body = ErrorBody(code=ErrorCode.INTERNAL, message=message, retry=True)
        raise FarmAnswerError(502, body) from error
