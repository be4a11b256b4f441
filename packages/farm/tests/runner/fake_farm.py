"""A farm that knows only the runner's routes, is strict about them, and can misbehave on demand."""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from blake3 import blake3
from farm_protocol.errors import STATUS, ErrorBody, ErrorCode
from farm_protocol.files import Ticket
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

TOKEN = "token-of-one-job"

Answer = tuple[int, str | bytes]
"""Status and body."""


class FakeFarm:
    """Hands out ``claims`` in turn and remembers what it is told."""

    def __init__(self, job: RunnerJob, claims: list[list[int]]) -> None:
        self.job = job
        self.sandbox_required: set[int] = set()  # numbers of claims
        self.limits_required: set[int] = set()
        self.claims = list(claims)
        self.blobs: dict[str, bytes] = {}
        self.elsewhere: Callable[[list[str]], Mapping[str, str]] = lambda hashes: {}
        """Returns {hash: URL} of tickets that lead elsewhere."""
        self.frames: dict[int, FrameDone] = {}
        self.frame_times: dict[int, float] = {}
        self.asked_for_job = False
        self.beats: list[int | None] = []
        self.waited: list[float] = []  # seconds, as heartbeats and then the frame tell
        self.room, self.busy = True, False
        self.log = ""
        self.finishes: dict[str, Finish] = {}
        self.requests: list[ClaimRequest] = []
        self.problems: list[str] = []
        self.lost: set[str] = set()
        self.taken: set[int] = set()
        self.stop = False
        self.yields: bool | str = False
        self.changed = threading.Condition()
        self._given = 0
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        handler = type("Handler", (_Handler,), {"farm": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections, also those that are open."""
        assert self._server is not None
        server, self._server = self._server, None
        server.shutdown()
        server.server_close()

    @property
    def is_down(self) -> bool:
        return self._server is None

    def wait(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout), self.log

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        if (method, path) == ("GET", "job"):
            self.asked_for_job = True
            return 200, self.job.model_dump_json()
        if (method, path) == ("POST", "tickets"):
            asked = TicketsRequest.model_validate_json(body).hashes
            urls = {each: f"blobs/{each}" for each in asked} | dict(self.elsewhere(asked))
            tickets = [Ticket(hash=each, url=url) for each, url in urls.items()]
            return 200, Tickets(tickets=tickets).model_dump_json()
        if (method, path) == ("POST", "heartbeat"):
            return 200, self._heartbeat("", body)
        if (method, path) == ("POST", "claims"):
            request = ClaimRequest.model_validate_json(body)
            self.requests.append(request)
            if request.ended is not None and request.ended.claim_id not in self.lost:
                self.finishes[request.ended.claim_id] = request.ended.finish
            if not self.claims:
                return 200, Claim(claim_id=None, frames=[], reason="done").model_dump_json()
            self._given += 1
            frames = self.claims.pop(0)
            claim = Claim(
                claim_id=f"c{self._given}",
                frames=frames,
                sandbox_required=self._given in self.sandbox_required,
                limits_required=self._given in self.limits_required,
            )
            return 200, claim.model_dump_json()
        if match := re.fullmatch(r"blobs/([0-9a-f]{64})", path):
            return self._blob(method, match[1], body)
        match = re.fullmatch(r"claims/(\w+)/(heartbeat|frames|log|finish)", path)
        if method != "POST" or match is None:
            return self._error(ErrorCode.NOT_FOUND, path)
        claim_id, what = match.groups()
        if claim_id in self.lost:
            return self._error(ErrorCode.CLAIM_LOST, "The claim is lost.")
        if what == "frames" and self.busy:
            return 503, "{}"
        if what == "frames" and FrameDone.model_validate_json(body).frame in self.taken:
            return self._error(ErrorCode.CONFLICT, "Another job has written it.")
        return 200, getattr(self, f"_{what}")(claim_id, body)

    def _blob(self, method: str, name: str, body: bytes) -> Answer:
        if method == "PUT" and not self.room:
            return self._error(ErrorCode.STORAGE_FULL, "The farm's disk is full.")
        if method == "GET":
            found = self.blobs.get(name)
            return (200, found) if found is not None else self._error(ErrorCode.NOT_FOUND, "gone")
        if blake3(body).hexdigest() != name:
            return self._error(ErrorCode.HASH_MISMATCH, "Other bytes.")
        self.blobs[name] = body
        return 204, b""

    def _heartbeat(self, claim: str, body: bytes) -> str:
        beat = Heartbeat.model_validate_json(body)
        self.beats.append(beat.frame)
        self.waited.append(beat.waiting_seconds)
        command = RunnerCommand.STOP if self.stop else RunnerCommand.CONTINUE
        if self.yields is True or (self.yields == "delivered" and self.frames):
            command = RunnerCommand.YIELD
        return HeartbeatAnswer(command=command).model_dump_json()

    def _frames(self, claim: str, body: bytes) -> str:
        done = FrameDone.model_validate_json(body)
        for output in done.outputs:
            if len(self.blobs.get(output.hash, b"")) != output.size:
                self.problems.append(f"{output.path} was reported before its bytes came")
        self.waited.append(done.waiting_seconds)
        self.frames[done.frame] = done
        self.frame_times.setdefault(done.frame, time.monotonic())
        return "{}"

    def _log(self, claim: str, body: bytes) -> str:
        self.log += LogChunk.model_validate_json(body).text
        return "{}"

    def _finish(self, claim: str, body: bytes) -> str:
        self.finishes[claim] = Finish.model_validate_json(body)
        return "{}"

    @staticmethod
    def _error(code: ErrorCode, message: str) -> Answer:
        return STATUS[code], ErrorBody(code=code, message=message).model_dump_json()


class _Handler(BaseHTTPRequestHandler):
    farm: FakeFarm
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.farm.is_down:
            self.close_connection = True
            return
        answer: str | bytes
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            status, answer = 401, json.dumps({"code": "not_authenticated", "message": "Who?"})
        else:
            try:
                path = self.path.removeprefix("/v1/runner/")
                status, answer = self.farm.answer(self.command, path, body)
            except Exception as error:  # a wrong request must fail the test, not vanish
                self.farm.problems.append(repr(error))
                status, answer = 500, "{}"
        data = answer.encode() if isinstance(answer, str) else answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        with self.farm.changed:
            self.farm.changed.notify_all()

    do_GET = do_POST = do_PUT = _serve

    def log_message(self, *args: object) -> None:
        pass
