"""The farm's API for runners: every call of `farm_protocol.runner`, repeated until it is answered.

Errors:

    ReportError
        ClaimLostError     410: another runner has the claim now
        NotWelcomeError    401, 403: the token is no longer valid
        RefusedError       any other answer that repeating cannot change
            TakenError     409: a result would replace what another job has written
            ChangedError   a result has changed since it was hashed
        FarmGoneError      no answer for `GIVE_UP_SECONDS`

All calls are idempotent, so a call whose answer got lost is simply repeated: the embedded farm may
restart at any time, and a render must survive that.
"""

import itertools
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, TypeVar

import httpx
from farm_protocol import heads, peers
from farm_protocol.backoff import BackOff
from farm_protocol.errors import ErrorBody
from farm_protocol.files import BlobHash
from farm_protocol.hashing import CHUNK_BYTES, hash_file
from farm_protocol.runner import (
    Claim,
    ClaimRequest,
    EndedClaim,
    FrameDone,
    Heartbeat,
    HeartbeatAnswer,
    LogChunk,
    RunnerCommand,
    RunnerJob,
    Tickets,
    TicketsRequest,
)
from farm_protocol.sockets import addresses_here, is_another_users
from pydantic import BaseModel, ValidationError

GIVE_UP_SECONDS = 300.0
FULL_SECONDS = 6 * 3600.0
"""How long a result waits for space on the farm's disk: longer than for a silent farm, since
somebody is notified, and rendering it again would need the same space.
"""

HURRY_SECONDS = 3.0
"""How long calls are retried once the runner has been told to end."""

_PAUSES = BackOff(0.1, 5.0)
_MOST_BYTES = 2**24
"""Limit of an answer; for the job, which names all files of its project, `_MOST_JOB_BYTES`."""
_MOST_JOB_BYTES = 2**29
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_CAUTIOUS: dict[str, Any] = {
    # A few compressed bytes can expand to any number, so compression is not accepted.
    "headers": {"Accept-Encoding": "identity"},
    # Cookies are not kept.
    "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),
    "timeout": _TIMEOUT,
}
_RETRY_STATUS = frozenset({408, 422, 425, 429, 500, 502, 503, 504})
"""422 is ``hash_mismatch``: bytes damaged in transit, which are resent."""

_NO_ROOM_STATUS = frozenset({507, 509})


Model = TypeVar("Model", bound=BaseModel)


class ReportError(Exception):
    """The farm could not be reached, or refused the call. ``str()`` is a message."""


class ClaimLostError(ReportError):
    """The claim has gone back to the pool: forget it."""


class NotWelcomeError(ReportError):
    """The runner's token is not accepted (any more)."""


class RefusedError(ReportError):
    """The farm permanently refuses this call."""


class TakenError(RefusedError):
    """A result would replace another job's: rendering it again would not help."""


class ChangedError(RefusedError):
    """A result has changed since it was hashed: its renderer still has it open."""


class FarmGoneError(ReportError):
    """The farm has not answered for too long."""


class Farm:
    """The farm's runner API. Safe to use from several threads."""

    def __init__(self, url: str, token: str, give_up: float = GIVE_UP_SECONDS) -> None:
        """Prepare calls to ``url`` with a job's ``token``; connects with the first call."""
        self._http = httpx.Client(
            base_url=url.rstrip("/") + "/v1/runner/",
            # Loading certificates takes 100 ms, which a farm on this machine does not need.
            verify=url.startswith("https:"),
            event_hooks={"request": [_bound_head, _refuse_strangers]},
            **_CAUTIOUS,
        )
        self._http.headers["Authorization"] = f"Bearer {token}"
        self._elsewhere: httpx.Client | None = None
        self._making = threading.Lock()
        self._give_up = give_up
        self._hurry = threading.Event()

    def give_up_soon(self) -> None:
        """From now on give up soon: the runner is about to end."""
        self._hurry.set()

    def close(self) -> None:
        """Close the connections to the farm."""
        self._http.close()
        if self._elsewhere is not None:
            self._elsewhere.close()

    def job(self) -> RunnerJob:
        """Return the job of the token."""
        job = self._read(RunnerJob, lambda: self._ask("GET", "job", most=_MOST_JOB_BYTES))
        last = {file.path: file for file in job.files}
        return job.model_copy(update={"files": list(last.values())})

    def claim(self, request: ClaimRequest) -> Claim:
        """Request frames from the farm."""
        return self._read(Claim, lambda: self._post("claims", request))

    def heartbeat(
        self, claim_id: str, frame: int | None, waiting_seconds: float = 0.0
    ) -> RunnerCommand:
        """Report that the claim is alive; tried once, since the next one follows soon.

        Parameters:
            waiting_seconds: see `farm_protocol.runner.Heartbeat`.

        Raises:
            FarmGoneError: no answer this time.
        """
        beat = Heartbeat(frame=frame, waiting_seconds=waiting_seconds)
        return self._send_heartbeat(f"claims/{claim_id}/heartbeat", beat)

    def ready_soon(self) -> RunnerCommand:
        """Report progress towards the first claim; also tried once."""
        return self._send_heartbeat("heartbeat", Heartbeat())

    def _send_heartbeat(self, path: str, beat: Heartbeat) -> RunnerCommand:
        try:
            response = self._post(path, beat)
            return HeartbeatAnswer.model_validate_json(_checked(response).content).command
        except ValidationError as error:
            raise FarmGoneError(
                f"The farm's answer cannot be understood ({error.error_count()} faults)."
            ) from error
        except (httpx.HTTPError, _RetryLaterError) as error:
            raise FarmGoneError(f"The farm does not answer: {error}") from error

    def upload(
        self, blob_hash: BlobHash, path: Path, moved: Callable[[], None] = lambda: None
    ) -> None:
        """Send the bytes of a result. Raises ChangedError when it has changed.

        Parameters:
            moved: called after every piece; its exceptions end the upload.
        """
        headers = {"Content-Length": str(path.stat().st_size)}
        tries = itertools.count()

        def put() -> httpx.Response:
            # Resend bytes damaged in transit, but not a file that has changed: the farm would
            # refuse it every time.
            if next(tries) and hash_file(path, moved)[0] != blob_hash:
                raise ChangedError("It was changed while it was being sent.")
            return self._ask(
                "PUT", f"blobs/{blob_hash}", content=_chunks(path, moved), headers=headers
            )

        self._insist(put)

    def tickets(self, hashes: Collection[BlobHash]) -> dict[str, str]:
        """Return where to fetch each of these blobs.

        Parameters:
            hashes: `MOST_TICKETS` at most.
        """
        request = TicketsRequest(hashes=list(hashes))
        answer = self._read(Tickets, lambda: self._post("tickets", request))
        urls = {each: f"blobs/{each}" for each in hashes}
        urls.update((ticket.hash, ticket.url) for ticket in answer.tickets)
        return urls

    def download(
        self,
        url: str,
        size: int,
        target: Path,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Fetch a blob into ``target``, which is overwritten. The caller verifies it.

        Parameters:
            url: the ticket's address.
            size: in bytes; at most one piece more is read.
            progress: called after every piece; its exceptions end the download.

        Raises:
            RefusedError: the ticket is not accepted, for instance because it has expired.
        """
        elsewhere = url.startswith(("http://", "https://"))
        http = self._without_token() if elsewhere else self._http

        def get() -> httpx.Response:
            with http.stream("GET", url) as response:
                if not response.is_success:
                    if elsewhere:
                        raise _refused_elsewhere(response.status_code)
                    return _read_up_to(response, _MOST_BYTES)
                come = 0
                with target.open("wb") as file:
                    for chunk in response.iter_raw(CHUNK_BYTES):
                        file.write(chunk)
                        progress()
                        come += len(chunk)
                        if come > size:
                            break
                return response

        self._insist(get)

    def frame_done(
        self, claim_id: str, done: FrameDone, waiting: Callable[[], float] = lambda: 0.0
    ) -> None:
        """Report a finished frame whose blobs have been sent.

        Parameters:
            waiting: returns the current ``waiting_seconds`` for each attempt.
        """

        def post() -> httpx.Response:
            report = done.model_copy(update={"waiting_seconds": waiting()})
            return self._post(f"claims/{claim_id}/frames", report)

        self._insist(post)

    def log(self, claim_id: str, chunk: LogChunk) -> None:
        """Append to the claim's log."""
        self._insist(lambda: self._post(f"claims/{claim_id}/log", chunk))

    def finish(self, ended: EndedClaim) -> None:
        """End a claim without requesting another one."""
        self._insist(lambda: self._post(f"claims/{ended.claim_id}/finish", ended.finish))

    def _without_token(self) -> httpx.Client:
        with self._making:
            if self._elsewhere is None:
                self._elsewhere = httpx.Client(event_hooks={"request": [_bound_head]}, **_CAUTIOUS)
            return self._elsewhere

    def _post(self, path: str, body: BaseModel) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return self._ask("POST", path, content=body.model_dump_json(), headers=headers)

    def _ask(
        self, method: str, path: str, *, most: int = _MOST_BYTES, **request: Any
    ) -> httpx.Response:
        """Return an answer with its content, which is limited in size."""
        with self._http.stream(method, path, **request) as response:
            return _read_up_to(response, most)

    def _read(self, model: type[Model], call: Callable[[], httpx.Response]) -> Model:
        try:
            return model.model_validate_json(self._insist(call).content)
        except ValidationError as error:
            raise RefusedError(
                f"The farm's answer cannot be understood ({error.error_count()} faults)."
            ) from error

    def _insist(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        """Repeat a call until the farm accepts or permanently refuses it."""
        begin, failures = time.monotonic(), 0
        while True:
            try:
                return _checked(call())
            except (httpx.HTTPError, _RetryLaterError) as error:
                failures += 1
                full = isinstance(error, _NoRoomError)
                patience = FULL_SECONDS if full else self._give_up
                patience = HURRY_SECONDS if self._hurry.is_set() else patience
                if time.monotonic() - begin + _PAUSES.after(failures) > patience:
                    raise FarmGoneError(f"The farm does not answer: {error}") from error
            # Spread out, so that a restarted farm is not hit by all runners at once.
            self._hurry.wait(_PAUSES.spread(failures, random.random()))  # noqa: S311 - not a secret
            if self._hurry.is_set():
                time.sleep(_PAUSES.first)


def _refuse_strangers(request: httpx.Request) -> None:
    """Never send the token to a program that has taken the port of a farm that ended.

    This covers the time before the check and between check and connection.
    """
    if is_another_users(str(request.url)):
        raise httpx.ConnectError(peers.MESSAGE)
    if not addresses_here(str(request.url)):
        return
    others = request.extensions["trace"]

    def look(event: str, info: Mapping[str, Any]) -> None:
        others(event, info)
        if peers.is_strangers(event, info):
            info["return_value"].close()
            raise httpx.ConnectError(peers.MESSAGE)

    request.extensions["trace"] = look


def _bound_head(request: httpx.Request) -> None:
    """Make a request end when its answer has too many interim responses."""
    request.extensions["trace"] = partial(heads.look, error=httpx.RemoteProtocolError)


class _RetryLaterError(Exception):
    """An answer that may be different next time."""


class _NoRoomError(_RetryLaterError):
    """The farm's disk is full."""


def _checked(response: httpx.Response) -> httpx.Response:
    # Anything else is not a success: redirects are not followed.
    if response.is_success:
        return response
    message = _message(response)
    if response.status_code == 410:
        raise ClaimLostError(message)
    if response.status_code in (401, 403):
        raise NotWelcomeError(message)
    if response.status_code in _NO_ROOM_STATUS:
        raise _NoRoomError(message)
    if response.status_code in _RETRY_STATUS:
        raise _RetryLaterError(message)
    if response.status_code == 409:
        raise TakenError(message)
    raise RefusedError(message)


def _refused_elsewhere(status: int) -> Exception:
    # A store knows nothing about claims and runners, and has its own status codes.
    message = f"The store answered with status {status}."
    return _RetryLaterError(message) if status in _RETRY_STATUS else RefusedError(message)


def _message(response: httpx.Response) -> str:
    try:
        return ErrorBody.model_validate_json(response.content).message
    except ValidationError:
        return f"The farm answered with status {response.status_code}."


def _read_up_to(response: httpx.Response, most: int) -> httpx.Response:
    """Read the body of an answer that is being streamed.

    Raises:
        httpx.HTTPError: it breaks off, is compressed, or has more than ``most`` bytes.
    """
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise httpx.DecodingError("its answer is compressed, which was not asked for")
    parts, size = [], 0
    for part in response.iter_raw():
        parts.append(part)
        size += len(part)
        if size > most:
            raise httpx.ReadError(f"its answer is larger than {most} bytes")
    return httpx.Response(
        response.status_code,
        headers=response.headers,
        content=b"".join(parts),
        request=response.request,
    )


def _chunks(path: Path, moved: Callable[[], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            moved()
            yield chunk
