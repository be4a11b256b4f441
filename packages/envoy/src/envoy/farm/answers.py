"""Validation of the farm's answers: bounded in size and time, and of the right types.

A farm may be broken, or hostile. Whatever it sends, an answer costs Envoy a bounded amount of
memory and time: it is read in pieces up to a limit, never decompressed, never fetched from
elsewhere (a redirect is an error), and all parts that are kept are validated.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from itertools import pairwise
from typing import Annotated, Any, TypeVar

import httpx
from farm_protocol import heads
from farm_protocol.changes import FarmId, GoneOutput, Output
from farm_protocol.errors import ErrorBody, ErrorCode
from farm_protocol.files import MAX_BATCH, FileEntry, KnownFile, Manifest, ProjectSummary
from farm_protocol.jobs import Job, SubmissionCheck
from farm_protocol.models import Answer, FirstFault, Int64
from farm_protocol.text import escaped
from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from envoy.errors import FarmAnswerError, FarmUnreachableError
from envoy.process.threads import in_thread

T = TypeVar("T")

HEADERS = {"Accept-Encoding": "identity"}
"""A few compressed bytes can expand to any number, so compression is neither accepted nor undone.
"""


def no_cookies() -> CookieJar:
    """Return a jar that stays empty: a farm's cookies would be kept without bounds."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


ERROR_BYTES = 2**20
SMALL_BYTES = 2**20
"""Limit of answers about one thing."""
PAGE_BYTES = 2**26
"""Limit of one page of a list."""
WHOLE_BYTES = 2**27
"""Limit of lists without pages on an older farm (all files of a project), and of a job's log."""
DENSE_BYTES, DENSE_NESTED_BYTES, DENSE_VALUES = 8, 64, 10_000
"""Minimum average number of bytes per value in JSON, and in addition per list or object, after the
first ``DENSE_VALUES``. Denser JSON takes many times its size in memory when it is parsed."""
MOST_NESTED, MOST_NESTED_NEWS, MOST_VALUES = 300_000, 100_000, 1_500_000
"""Limits of lists and objects in an answer, of those in a page of the change feed, and of values in
either. Pages of a farm have a tenth of that. Only the list of all files of a large project, from an
older farm, comes close."""
AT_ONCE_BYTES = 2**18
"""A larger answer is parsed in a thread, since it takes longer than others should wait."""
FILE_PAGE_BYTES = 2**25
"""Limit of one page of a project's files: enough for 5,000 files with the longest possible paths.
"""
MOST_WHOLE_ROWS = 250_000
"""Limit of a project's files on an older farm, which sends all of them at once."""
MOST_PAGE_ROWS = 10_000
"""Limit of rows in a page of the change feed; pages of a farm have a tenth of that."""
MANY_PARTS, SMALLEST_PARTS = 10_000, 32
"""After this many parts of an answer, parts must have this many bytes on average: each part costs
time, so chunks of one byte would delay everybody.
"""
TURN_PARTS = 100
"""Parts of an answer after which others get a turn, since data that has arrived is read without
waiting.
"""
ANSWER_SECONDS = 120.0
"""Limit for request and answer together: a server could send a byte now and then for ever."""
STILL_SECONDS = 60.0
"""How long a file's transfer may stall; a part of `SLOWEST_BYTES` must arrive in this time."""
SLOWEST_BYTES = 2**16
MOST_ROWS = 1_000_000
"""Of a list that comes in pages."""
LISTED_BYTES = 3 * 2**27
"""Limit of all pages that are read for one request: enough for a million usual results."""
MOST_MESSAGE = 2000
"""Characters of a message from the farm."""
MOST_WARNINGS = 20_000
"""Characters of all warnings of a job."""
MOST_CHECK_WARNINGS = 100_000
"""Characters of all warnings about a submission, which may have a thousand jobs."""
MOST_TEXT = 4096
"""Characters of the names of a result."""


@dataclass(frozen=True, slots=True)
class News:
    """News from the change feed. ``faults``: messages about unusable rows."""

    farm_id: str
    cursor: int
    more: bool
    outputs: tuple[Output, ...]
    jobs: tuple[Job, ...]
    refused: tuple["RefusedOutput", ...]
    gone: tuple[GoneOutput, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RefusedOutput:
    """A result with a known place that the farm describes wrongly."""

    submission_id: str
    path: str
    message: str


class _Changes(Answer):
    """`farm_protocol.changes.Changes` before its rows are validated one by one."""

    farm_id: FarmId
    cursor: Int64
    outputs: Annotated[list[JsonValue], Field(max_length=MOST_PAGE_ROWS)]
    jobs: Annotated[list[JsonValue], Field(max_length=MOST_PAGE_ROWS)]
    gone: Annotated[list[JsonValue], Field(max_length=MOST_PAGE_ROWS)] = []
    more: bool = False


class FilePage(Manifest):
    """One page of a project's files."""

    files: Annotated[list[KnownFile], FirstFault] = Field(max_length=MAX_BATCH)


class FileList(Manifest):
    """All files of a project, of an older farm, or one page of them."""

    files: Annotated[list[KnownFile], FirstFault] = Field(max_length=MOST_WHOLE_ROWS)


class Room:
    """How much may still be listed for one request, however many lists that takes."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._left = LISTED_BYTES

    def take(self, size: int) -> None:
        """Count a page of so many bytes. Raises FarmAnswerError when there are too many."""
        self._left -= size
        if self._left < 0:
            raise faulty(
                f"The farm's list of {self.what} is larger than {LISTED_BYTES} bytes, which is more"
                " than Envoy reads."
            )


async def bound_head(request: httpx.Request) -> None:
    """End a request whose answer has too many interim responses; a hook of httpx."""
    others = request.extensions.get("trace")

    async def look(event: str, info: Mapping[str, Any]) -> None:
        if others is not None:
            await others(event, info)
        heads.look(event, info, httpx.RemoteProtocolError)

    request.extensions["trace"] = look


async def content_of(response: httpx.Response, most: int) -> bytes:
    """Return the body of an answer that is being streamed, of at most so many bytes.

    Raises:
        FarmAnswerError: there is more, or it is compressed.
        httpx.HTTPError: it breaks off.
    """
    refuse_packed(response)
    found = bytearray()
    async for part in parts_of(response):
        found += part
        if len(found) > most:
            where = response.url.path
            raise faulty(f"The farm's answer to {where} is larger than {most} bytes.")
    return bytes(found)


async def parts_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield a body as it arrives, with turns for others in between.

    Raises:
        FarmAnswerError: it comes in too many too small parts.
    """
    count, size = 0, 0
    async for part in response.aiter_raw():
        count += 1
        size += len(part)
        if count % TURN_PARTS == 0:
            if count >= MANY_PARTS and size < count * SMALLEST_PARTS:
                where = response.url.path
                raise faulty(f"The farm's answer to {where} comes in too many small parts.")
            await asyncio.sleep(0)
        yield part


def refuse_packed(response: httpx.Response) -> None:
    """Raise FarmAnswerError if the body is compressed."""
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        where = response.url.path
        raise faulty(f"The farm's answer to {where} is compressed, which Envoy did not ask for.")


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Run something for a limited time; `asyncio.Timeout.reschedule` gives it more.

    Raises:
        FarmUnreachableError: it takes longer.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError:
        raise FarmUnreachableError("The farm does not answer (it takes too long).") from None


async def moving(
    parts: AsyncIterator[bytes], limit: asyncio.Timeout, size: int
) -> AsyncIterator[bytes]:
    """Yield data in larger parts, as long as enough arrives in `STILL_SECONDS`.

    Parameters:
        limit: limits waiting for bytes, but not the caller's work on them.
        size: of a part, in bytes.
    """
    loop = asyncio.get_running_loop()
    gathered = bytearray()
    come, until = 0, loop.time() + STILL_SECONDS
    limit.reschedule(until)
    async for part in parts:
        come += len(part)
        if come >= SLOWEST_BYTES:
            come, until = 0, loop.time() + STILL_SECONDS
        gathered += part
        if len(gathered) >= size:
            left = until - loop.time()
            limit.reschedule(None)
            yield bytes(gathered)
            gathered.clear()
            until = loop.time() + left
        limit.reschedule(until)
    limit.reschedule(None)
    if gathered:
        yield bytes(gathered)


def check_status(response: httpx.Response, content: bytes) -> None:
    """Raise FarmAnswerError unless the answer is a success."""
    status = response.status_code
    if 200 <= status < 300:
        return
    if status > 599:
        raise faulty(f"The farm answered {status}, which is not an HTTP status.")
    if status < 400:
        raise faulty(
            f"The farm answered {status} instead of doing what it was asked. Envoy follows"
            " no redirects. Check the farm's address."
        )
    try:
        body = read(TypeAdapter(ErrorBody), content, response.url.path)
        # Scripts print it unchanged.
        errors = {
            escaped(field[:MOST_MESSAGE]): [escaped(each[:MOST_MESSAGE]) for each in messages]
            for field, messages in body.errors.items()
        }
        message = escaped(body.message[:MOST_MESSAGE])
        body = body.model_copy(update={"message": message, "errors": errors})
    except FarmAnswerError:
        code = ErrorCode.INTERNAL if status >= 500 else ErrorCode.INVALID_REQUEST
        message = f"The farm answered {status} {escaped(response.reason_phrase[:100])}."
        body = ErrorBody(code=code, message=message, retry=status >= 500)
    raise FarmAnswerError(status, body)


def faulty(message: str, *, may_pass: bool = True) -> FarmAnswerError:
    """Return the error for an answer that makes no sense."""
    if not may_pass:
        return FarmAnswerError(409, ErrorBody(code=ErrorCode.CONFLICT, message=message))
    return FarmAnswerError(502, ErrorBody(code=ErrorCode.INTERNAL, message=message, retry=True))


def endless(what: str) -> FarmAnswerError:
    """Return the error for an endless list."""
    return faulty(f"The farm's list of {what} never ends.")


def require_progress(page: Manifest, after: str) -> Manifest:
    """Return a page of files that come after ``after``, one after the other.

    Raises FarmAnswerError when they do not.
    """
    paths = [after, *(file.path for file in page.files)]
    ascend = all(one < two for one, two in pairwise(paths))
    if not ascend or (page.more and not page.files):
        raise endless("files")
    return page


def key_of(row: FileEntry | Output | ProjectSummary) -> str:
    """Return the key after which a farm continues a list."""
    return row.name if isinstance(row, ProjectSummary) else row.path


async def understood(adapter: TypeAdapter[T], content: bytes, where: str) -> T:
    """Return an answer as `read` does; a large one is parsed in a thread."""
    return await _beside_others(content, lambda: read(adapter, content, where))


async def _beside_others(content: bytes, work: Callable[[], T]) -> T:
    return work() if len(content) <= AT_ONCE_BYTES else await in_thread(work)


def read(adapter: TypeAdapter[T], content: bytes, where: str, nested: int = MOST_NESTED) -> T:
    """Return an answer as a model. Raises FarmAnswerError.

    Parameters:
        where: requested path, for the message.
        nested: limit of lists and objects in it.
    """
    if _is_dense(content, nested):
        raise faulty(f"The farm's answer to {where} cannot be understood (too many values).")
    try:
        return adapter.validate_json(content)
    except ValidationError as error:
        message = (
            f"The farm's answer to {where} cannot be understood ({error.error_count()} faults)."
        )
        raise faulty(message) from error


def _is_dense(content: bytes, most_nested: int) -> bool:
    """Return whether JSON has so many values that parsing it would take too much memory or time.

    Parsing JSON blocks all of Python's threads. Therefore the number of values is also limited
    absolutely, however large the answer is.
    """
    size = len(content)
    if not _has_many_values(content, size, most_nested):
        return False
    # Perhaps in texts, such as a log, where they mean nothing: look again without them. Texts are
    # values as well, and each becomes a piece here.
    plain = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 2 * min(size // DENSE_NESTED_BYTES + DENSE_VALUES, MOST_VALUES):
        return True
    return _has_many_values(b"".join(plain.split(b'"')[::2]), size, most_nested)


def _has_many_values(content: bytes, size: int, most_nested: int) -> bool:
    nested = content.count(b"[") + content.count(b"{")
    return content.count(b",") > min(
        size // DENSE_BYTES + DENSE_VALUES, MOST_VALUES
    ) or nested > min(size // DENSE_NESTED_BYTES + DENSE_VALUES, most_nested)


async def news(content: bytes, where: str) -> News:
    """Return a page of the change feed; a wrong row does not affect the others.

    Raises:
        FarmAnswerError: the page as a whole is not understood.
    """
    return await _beside_others(content, lambda: _read_news(content, where))


def _read_news(content: bytes, where: str) -> News:
    page = read(TypeAdapter(_Changes), content, where, MOST_NESTED_NEWS)
    refused: list[RefusedOutput] = []
    faults: list[str] = []
    outputs: list[Output] = []
    for row in page.outputs:
        try:
            outputs.append(Output.model_validate(row))
        except ValidationError as error:
            _note(row, _fault(error), refused, faults)
    jobs: list[Job] = []
    for row in page.jobs:
        try:
            jobs.append(bounded(Job.model_validate(row)))
        except ValidationError as error:
            faults.append(f"The farm sent a job with an invalid {_fault(error)}.")
    gone: list[GoneOutput] = []
    for row in page.gone:
        try:
            gone.append(GoneOutput.model_validate(row))
        except ValidationError as error:
            faults.append(f"The farm sent the removal of a result with an invalid {_fault(error)}.")
    return News(
        page.farm_id,
        page.cursor,
        page.more,
        tuple(outputs),
        tuple(jobs),
        tuple(refused),
        tuple(gone),
        tuple(faults),
    )


def bounded(job: Job) -> Job:
    """Return the job with its texts cut to a length that can be stored and shown."""
    cut = {
        field: value[:MOST_MESSAGE]
        for field, value in job
        if isinstance(value, str) and len(value) > MOST_MESSAGE
    }
    return job.model_copy(update={**cut, "warnings": _first(job.warnings, MOST_WARNINGS)})


def bounded_check(check: SubmissionCheck) -> SubmissionCheck:
    """Return a check with its warnings cut to a size that can be stored, beside others."""
    return SubmissionCheck(warnings=_first(check.warnings, MOST_CHECK_WARNINGS))


def _first(messages: list[str], most: int) -> list[str]:
    found: list[str] = []
    left = most
    for message in messages:
        left -= len(message[:MOST_MESSAGE]) + 1
        if left < 0:
            break
        found.append(message[:MOST_MESSAGE])
    return found


def _note(row: JsonValue, fault: str, refused: list[RefusedOutput], faults: list[str]) -> None:
    submission, path = (_text(row, name) for name in ("submission_id", "path"))
    if submission and path:
        message = f"A result was refused: the farm gave an invalid {fault} for '{path}'."
        refused.append(RefusedOutput(submission, path, message))
    else:
        faults.append(f"The farm sent a result with an invalid {fault}.")


def _text(row: JsonValue, field: str) -> str:
    """Return a field that the journal can store, or ""."""
    value = row.get(field) if isinstance(row, dict) else None
    return value if isinstance(value, str) and len(value) <= MOST_TEXT and "\0" not in value else ""


def _fault(error: ValidationError) -> str:
    """Return the name of the first field that is wrong."""
    return ".".join(str(part) for part in error.errors()[0]["loc"]) or "shape"


def unreachable(error: Exception) -> FarmUnreachableError:
    """Return the error of a call without an answer."""
    reason = str(error)[:MOST_MESSAGE] or type(error).__name__
    return FarmUnreachableError(f"The farm does not answer ({reason}).")
