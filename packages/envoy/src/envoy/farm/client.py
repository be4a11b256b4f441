"""The farm's API, as Envoy uses it.

Every method raises `FarmUnreachableError` when there is no answer and `FarmAnswerError` when the
answer is an error; nothing here tries again (see `patience`). What an answer may be is decided in
`answers`, which addresses it may name in `addresses`, and how it is called in `calls`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

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
    ProjectRevision,
    ProjectSummary,
    Ticket,
)
from farm_protocol.frames import FrameList
from farm_protocol.jobs import Job, JobLog, Submission, SubmissionCheck, SubmissionSpec
from farm_protocol.models import Request
from pydantic import FailFast, TypeAdapter

from envoy.errors import FarmAnswerError
from envoy.farm.addresses import (
    files_of,
    only_as_far,
    reach_of_farm,
    ticket_url,
)
from envoy.farm.answers import (
    ANSWER_SECONDS,
    ERROR_BYTES,
    FILE_PAGE_BYTES,
    PAGE_BYTES,
    STILL_SECONDS,
    WHOLE_BYTES,
    FileList,
    FilePage,
    News,
    Room,
    bounded,
    bounded_check,
    check_status,
    content_of,
    faulty,
    moving,
    news,
    parts_of,
    refuse_packed,
    require_progress,
    understood,
    unreachable,
    within,
)
from envoy.farm.calls import FarmCalls
from envoy.process.local_files import file_parts
from envoy.process.slots import STUCK_SECONDS

PART_BYTES = 1024 * 1024
_PRODUCTS = TypeAdapter(Annotated[list[ProductVersion], FailFast()])
_MACHINES = TypeAdapter(Annotated[list[MachineType], FailFast()])


class FarmClient(FarmCalls):
    """The routes of a farm, for one account."""

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

    async def remove_files(self, project: str, paths: list[str]) -> ProjectRevision | None:
        """Remove files from a project. At most `files.MAX_BATCH`. An older farm answers None."""
        path = f"{files_of(project)}/remove"
        return await self._revision("POST", path, FileRemoval(paths=paths))

    async def put_manifest(self, project: str, files: list[FileEntry]) -> ProjectRevision | None:
        """Add or replace files of a project. At most `files.MAX_BATCH`; blobs sent before.

        An older farm answers None.
        """
        return await self._revision("PUT", files_of(project), ManifestUpdate(files=files))

    async def _revision(self, method: str, path: str, json: Request) -> ProjectRevision | None:
        content = await self._send(method, path, json=json)
        if not content:
            return None
        return await understood(TypeAdapter(ProjectRevision), content, path)

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
