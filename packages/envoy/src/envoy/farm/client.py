"""The farm, as Envoy sees it: the only user of HTTP towards it.

Every method raises `FarmUnreachableError` when there is no answer and `FarmAnswerError` when the
answer is an error; nothing here tries again (see `patience`). What an answer may be is decided in
`answers`, and which addresses it may name in `addresses`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from farm_protocol.account import LoginAnswer, LoginRequest, UserInfo
from farm_protocol.catalogue import MachineType, ProductVersion
from farm_protocol.changes import Output, OutputList
from farm_protocol.files import (
    BlobRef,
    FileEntry,
    FileRemoval,
    Manifest,
    ManifestUpdate,
    MissingAnswer,
    MissingRequest,
    ProjectList,
    ProjectSummary,
    Ticket,
)
from farm_protocol.frames import FrameList
from farm_protocol.jobs import Job, JobLog, Submission, SubmissionCheck, SubmissionSpec
from farm_protocol.proof import Identity, ProofAnswer, ProofRequest, new_secret, same
from farm_protocol.sockets import is_another_users
from pydantic import BaseModel, FailFast, TypeAdapter

from envoy.errors import EnvoyError, FarmAnswerError, FarmUnreachableError, NotSignedInError
from envoy.farm.addresses import (
    Reach,
    Trace,
    files_of,
    only_as_far,
    only_to_own_user,
    origin,
    reach_of_farm,
    reach_of_host,
    ticket_url,
)
from envoy.farm.answers import (
    ANSWER_SECONDS,
    ERROR_BYTES,
    FILE_PAGE_BYTES,
    HEADERS,
    MOST_ROWS,
    PAGE_BYTES,
    SMALL_BYTES,
    STILL_SECONDS,
    WHOLE_BYTES,
    FileList,
    FilePage,
    News,
    Room,
    bound_head,
    bounded,
    bounded_check,
    check_status,
    content_of,
    endless,
    faulty,
    key_of,
    moving,
    news,
    no_cookies,
    parts_of,
    refuse_packed,
    require_progress,
    understood,
    unreachable,
    within,
)
from envoy.process.local_files import file_parts
from envoy.process.slots import STUCK_SECONDS

T = TypeVar("T")
Page = TypeVar("Page", Manifest, OutputList, ProjectList)
Row = TypeVar("Row", FileEntry, Output, ProjectSummary)

PART_BYTES = 1024 * 1024
START_SECONDS = 20.0
"""How long a call waits for an embedded farm that is starting."""
HEALTH_SECONDS = 3.0
LIST_SECONDS = 300.0
"""For all pages of a list."""
AGAIN_SECONDS = 0.1
"""Until a call that found no embedded farm at its address tries again."""
EMBEDDED = "embedded"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PRODUCTS = TypeAdapter(Annotated[list[ProductVersion], FailFast()])
_MACHINES = TypeAdapter(Annotated[list[MachineType], FailFast()])


class FarmClient:
    """Calls of one farm on behalf of one account.

    Parameters:
        url: the farm's address; "" for an embedded one that is still to start (`set_url`).
    """

    def __init__(self, url: str = "") -> None:
        loopback = not url or urlsplit(url).hostname in _LOOPBACK
        self._http = httpx.AsyncClient(
            headers=HEADERS,
            cookies=no_cookies(),
            event_hooks={"request": [bound_head] if url else [bound_head, only_to_own_user]},
            timeout=httpx.Timeout(60.0, connect=5.0, pool=None),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
            # A proxy of the environment must not see local data; and loading
            # the certificate store costs more than the rest of the start.
            trust_env=not loopback,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if loopback else True,
        )
        self._ready = asyncio.Event()
        self._is_embedded = not url
        self._missed = asyncio.Event()
        self._access_key = ""
        self.account = ""
        # The farm's reach when it last issued tickets.
        self._reach = reach_of_host(urlsplit(url).hostname or "localhost")
        self._is_elsewhere = False
        self.sign_ins = 0
        """How often somebody has signed in: a refusal from before may be about an older key."""
        self.url = ""
        self.set_url(url)

    def set_url(self, url: str) -> None:
        """Set the farm's address; "" when it is gone, which makes calls wait for its return."""
        self.url = url.rstrip("/")
        if self.url:
            self._ready.set()
        else:
            self._ready.clear()

    async def missed(self, seconds: float) -> None:
        """Return as soon as a call finds no farm at its address, or after ``seconds``."""
        self._missed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._missed.wait()

    @property
    def identity(self) -> str:
        """Which farm this is, as far as an access key is concerned: its address, or "embedded".

        The embedded farm's address changes, but it has proved to be ours.
        """
        return EMBEDDED if self._is_embedded else origin(self.url)

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
        path, signed = "/v1/products", bool(self.account)
        content = await self._send("GET", path, signed=signed, most=PAGE_BYTES)
        return await understood(_PRODUCTS, content, path)

    async def machines(self, query: Sequence[tuple[str, str]]) -> list[MachineType]:
        """Return the machine types that suit (app, operation, category, plugins)."""
        path, signed = "/v1/machines", bool(self.account)
        content = await self._send("GET", path, params=query, signed=signed, most=PAGE_BYTES)
        return await understood(_MACHINES, content, path)

    async def is_at_home(self, farm: Identity) -> bool:
        """Return whether the program at a farm's address is that farm.

        If not, it learns neither the secret nor anything that it could show to others; see
        `farm_protocol.proof`.
        """
        nonce = new_secret()
        asked = ProofRequest(nonce=nonce, proof=farm.callers_proof(nonce)).model_dump_json()
        headers = {"Content-Type": "application/json"}
        address = f"{farm.url.rstrip('/')}/v1/proof"
        try:
            async with (
                within(HEALTH_SECONDS),
                self._http.stream("POST", address, content=asked, headers=headers) as response,
            ):
                content = await content_of(response, SMALL_BYTES)
            check_status(response, content)
            answer = await understood(TypeAdapter(ProofAnswer), content, address)
        except (EnvoyError, httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
            return False
        return same(answer.proof, farm.farms_proof(nonce))

    # Projects and files

    async def projects(self) -> list[ProjectSummary]:
        """Return the account's projects. An older farm has no pages, and sends all at once."""
        room, path = Room("projects"), "/v1/projects"
        return await self._pages(room, path, ProjectList, lambda page: page.projects, PAGE_BYTES)

    async def manifest(self, project: str) -> list[FileEntry]:
        """Return all files of a project by path; an older farm sends all at once."""
        room, path, most = Room("files"), files_of(project), WHOLE_BYTES
        found = await self._pages(room, path, FileList, lambda page: page.files, most)
        return sorted(found, key=lambda each: each.path)

    async def manifest_page(self, project: str, folder: str, after: str) -> Manifest:
        """Return files in a folder of a project whose path comes after ``after``, by path."""
        params = [("folder", folder), ("after", after)]
        page = self._call("GET", files_of(project), FilePage, params=params, most=FILE_PAGE_BYTES)
        return require_progress(await page, after)

    async def remove_files(self, project: str, paths: list[str]) -> None:
        """Remove files from a project. At most `files.MAX_BATCH`."""
        await self._send("POST", f"{files_of(project)}/remove", json=FileRemoval(paths=paths))

    async def put_manifest(self, project: str, files: list[FileEntry]) -> None:
        """Add or replace files of a project. At most `files.MAX_BATCH`; blobs sent before."""
        await self._send("PUT", files_of(project), json=ManifestUpdate(files=files))

    async def missing(self, blobs: list[BlobRef]) -> list[Ticket]:
        """Return where to send those of ``blobs`` that the farm does not have yet."""
        request, path = MissingRequest(blobs=blobs), "/v1/blobs/missing"
        reach = self._reach

        def look(response: httpx.Response) -> None:
            nonlocal reach
            reach = reach_of_farm(self.url, response)

        content = await self._send("POST", path, json=request, most=PAGE_BYTES, look=look)
        answer = await understood(TypeAdapter(MissingAnswer), content, path)
        self._reach = reach
        return answer.tickets

    async def put_blob(
        self, ticket: Ticket, path: Path, root: str, size: int, sent: Callable[[int], None]
    ) -> None:
        """Send the bytes of a file, calling ``sent`` with the size of each part.

        Parameters:
            root: folder that it must lie below; see `envoy.process.local_files.open_local`.

        Raises:
            LocalFileError: the file is gone or cannot be read.
            FileChangedError: it is shorter than ``size`` by now.
            FarmAnswerError: with ``hash_mismatch`` when its bytes are not the announced ones.
        """
        url, own = ticket_url(await self._address(), ticket.url, self._reach)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        if own:
            headers |= self._authorization()
        loop = asyncio.get_running_loop()
        left = size
        # Longer than reading a file may take, so that a slow disk is not blamed on the farm.
        async with within(STUCK_SECONDS + ANSWER_SECONDS) as limit:

            def moved(count: int) -> None:
                nonlocal left
                left -= count
                reading = STUCK_SECONDS if left > 0 else 0.0
                limit.reschedule(loop.time() + ANSWER_SECONDS + reading)
                sent(count)

            parts = file_parts(path, root, size, moved)
            try:
                async with self._http.stream(
                    "PUT",
                    url,
                    content=parts,
                    headers=headers,
                    extensions={"trace": only_as_far(url, self._reach, own=own)},
                ) as response:
                    content = await content_of(response, ERROR_BYTES)
            except FarmAnswerError:
                if own:
                    # It may have moved nearer, which tickets for that address show.
                    await self.missing([BlobRef(hash=ticket.hash, size=size)])
                raise
            except httpx.HTTPError as error:
                if own and isinstance(error, httpx.ReadError | httpx.WriteError):
                    # A farm does not read what it refuses, and its answer may get lost.
                    await self.missing([BlobRef(hash=ticket.hash, size=size)])
                raise unreachable(error) from error
            finally:
                await parts.aclose()
        check_status(response, content)

    @asynccontextmanager
    async def blob(self, blob_hash: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a blob for reading; yields its bytes in parts of about `PART_BYTES`."""
        url = f"{await self._address()}/v1/blobs/{blob_hash}"
        headers = self._authorization()
        try:
            async with (
                within(STILL_SECONDS) as limit,
                self._http.stream(
                    "GET", url, headers=headers, extensions=self._not_here()
                ) as response,
            ):
                if not response.is_success:
                    check_status(response, await content_of(response, ERROR_BYTES))
                refuse_packed(response)
                limit.reschedule(None)
                yield moving(parts_of(response), limit, PART_BYTES)
        except httpx.HTTPError as error:
            raise unreachable(error) from error

    # Submissions and changes

    async def check(self, spec: SubmissionSpec) -> SubmissionCheck:
        """Validate a submission without creating it."""
        path = "/v1/submissions/check"
        check = await self._call("POST", path, SubmissionCheck, json=spec, most=PAGE_BYTES)
        return bounded_check(check)

    async def submit(self, spec: SubmissionSpec) -> Submission:
        """Submit; harmless to repeat with the same id."""
        path = "/v1/submissions"
        made = await self._call("POST", path, Submission, json=spec, most=PAGE_BYTES)
        return made.model_copy(update={"jobs": [bounded(job) for job in made.jobs]})

    async def act(self, job_id: str, action: str) -> Job:
        """Stop, suspend, resume or retry a job; returns how it stands then."""
        return await self._call("POST", f"/v1/jobs/{quote(job_id, safe='')}/{action}", Job)

    async def job_log(self, job_id: str, after: int) -> JobLog:
        """Return the next piece of a job's log after the cursor ``after``."""
        path = f"/v1/jobs/{quote(job_id, safe='')}/log"
        params = [("after", str(after))]
        piece = await self._call("GET", path, JobLog, params=params, most=WHOLE_BYTES)
        if piece.text and piece.cursor <= after:
            raise faulty("The farm sends the same piece of the log again and again.")
        return piece

    async def frames(self, job_id: str, after: int | None, *, flagged: bool) -> FrameList:
        """Return the next page of a job's frames by number; only those with flags if asked."""
        path = f"/v1/jobs/{quote(job_id, safe='')}/frames"
        params = [("flagged", str(flagged).lower())]
        params += [("after", str(after))] if after is not None else []
        return await self._call("GET", path, FrameList, params=params, most=PAGE_BYTES)

    async def outputs(self, job_id: str, room: Room) -> list[Output]:
        """Return all result files of a job, as far as there is ``room`` for them."""
        path = f"/v1/jobs/{quote(job_id, safe='')}/outputs"
        return await self._pages(room, path, OutputList, lambda page: page.outputs, PAGE_BYTES)

    async def changes(self, after: int, wait: float) -> News:
        """Return what is new since the cursor ``after``, waiting up to ``wait`` seconds."""
        path = "/v1/changes"
        params = [("after", str(after)), ("wait", f"{wait:g}")]
        content = await self._send("GET", path, params=params, most=PAGE_BYTES, waits=wait)
        return await news(content, path)

    # How

    async def _pages(
        self,
        room: Room,
        path: str,
        model: type[Page],
        rows_of: Callable[[Page], Sequence[Row]],
        most: int,
    ) -> list[Row]:
        """Return all rows of a list that comes in pages by path or name.

        Parameters:
            room: for all pages together.
            rows_of: those of a page.
            most: bytes of a page.
        """
        found: list[Row] = []
        cursors, last = set[str](), ""
        async with within(LIST_SECONDS):
            while last not in cursors and len(found) <= MOST_ROWS:
                cursors.add(last)
                content = await self._send("GET", path, params=[("after", last)], most=most)
                room.take(len(content))
                page = await understood(TypeAdapter(model), content, path)
                found += rows_of(page)
                if not page.more:
                    return found
                last = key_of(found[-1]) if rows_of(page) else ""
        raise endless(room.what)

    async def _call(
        self,
        method: str,
        path: str,
        model: type[T],
        *,
        json: BaseModel | None = None,
        params: Sequence[tuple[str, str]] = (),
        signed: bool = True,
        most: int = SMALL_BYTES,
    ) -> T:
        content = await self._send(method, path, json=json, params=params, signed=signed, most=most)
        return await understood(TypeAdapter(model), content, path)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: BaseModel | None = None,
        params: Sequence[tuple[str, str]] = (),
        signed: bool = True,
        most: int = SMALL_BYTES,
        waits: float = 0.0,
        look: Callable[[httpx.Response], None] = lambda _: None,
    ) -> bytes:
        """Return the body of a successful answer.

        Parameters:
            most: bytes that it may have.
            waits: seconds that the farm may take on purpose.
            look: called with the answer while it is still connected.
        """
        headers = self._authorization() if signed else {}
        if json is not None:
            headers["Content-Type"] = "application/json"
        until = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                async with (
                    within(waits + ANSWER_SECONDS),
                    self._http.stream(
                        method,
                        await self._address() + path,
                        content=None if json is None else json.model_dump_json(),
                        params=list(params) or None,
                        headers=headers,
                        timeout=httpx.Timeout(waits + 60.0, connect=5.0, pool=None),
                        extensions=self._not_here(),
                    ) as response,
                ):
                    look(response)
                    if not self._is_embedded and not self._is_elsewhere:
                        self._is_elsewhere = reach_of_farm(self.url, response) > Reach.THIS_MACHINE
                    content = await content_of(
                        response, most if response.is_success else ERROR_BYTES
                    )
            except httpx.ConnectError as error:
                # Nothing was sent. An embedded farm that has just ended is started again at once.
                if not self._is_embedded or asyncio.get_running_loop().time() > until:
                    raise unreachable(error) from error
                self._missed.set()
                await asyncio.sleep(AGAIN_SECONDS)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise unreachable(error) from error
            else:
                check_status(response, content)
                return content

    def _not_here(self) -> dict[str, Trace]:
        """Return what ends a call to this machine, for a farm that was elsewhere before.

        Its operator may point its name here, to programs that only this machine can reach. Another
        network is fine: inside a studio its name may mean another address.
        """
        if not self._is_elsewhere:
            return {}
        return {"trace": only_as_far(httpx.URL(self.url), Reach.NETWORK, own=True)}

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
        if self._is_embedded and is_another_users(self.url):
            self._missed.set()
            raise FarmUnreachableError(
                "The farm on this machine has ended, and another user's program has taken its port."
            )
        return self.url
