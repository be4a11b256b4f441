"""A small Envoy to talk to: it answers what the published contract says, and is strict.

Anything that the contract does not have (another path, method, content type or JSON shape) is
written down, and fails the test at its end.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Query = list[tuple[str, str]]
Answer = tuple[int, Any]
"""A status, and a JSON value or bytes."""

PRODUCTS = [
    {
        "id": "blender:3.4.1",
        "name": "Blender",
        "app_type": "blender",
        "version": "3.4.1",
        "is_plugin": False,
        "business_vertical": "media",
        "operations": ["render"],
        "compatible_modules": [],
    },
    {
        "id": "blender:3.10.0",
        "name": "Blender",
        "app_type": "blender",
        "version": "3.10.0",
        "is_plugin": False,
        "business_vertical": "media",
        "operations": ["render"],
        "compatible_modules": [],
    },
]
USER = {
    "created": "2019-07-01T15:27:48",
    "credits_available": 1000.0,
    "credits_consumed": 200.0,
    "email_address": "artist@example.com",
    "job_throughput_limit": 30,
    "max_throughput": 30,
    "name": "Ärtist",
    "service_plan": "Standard",
}
MACHINES = [{"id": "local-cpu", "name": "This machine", "gpu": False, "is_default": True}]


class StandIn:
    """An Envoy stand-in.

    Attributes:
        url: where it listens.
        requests: (method, path, body or query) of every request, in order.
        answers: (method, first path segment) -> (status, JSON value or bytes), or a function of
            (path, body or query) that returns these; to be changed.
        hosts: the Host header of every request.
        shown: the Authorization header of every request, or None.
        problems: what was not as the contract says.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.hosts: list[str | None] = []
        self.shown: list[str | None] = []
        self.problems: list[str] = []
        self.answers: dict[tuple[str, str], Answer | Callable[[str, Any], Answer]] = {
            ("POST", "auth"): (200, {"email": "artist@example.com"}),
            ("GET", "credits-info"): (200, {"credits_available": 100.0}),
            ("GET", "user-info"): (200, {"data": USER}),
            ("GET", "products"): (200, PRODUCTS),
            ("GET", "machines"): (200, MACHINES),
            ("GET", "project-status"): (200, {"Code": 200, "State": "", "Details": {}}),
            ("POST", "upload"): (200, {"ID": "project"}),
            ("POST", "project-submit"): (201, {"ID": "project", "submission_id": "1"}),
        }
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                stand_in.handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_address[1]}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def sent(self, method: str, path: str) -> list[Any]:
        """The bodies (or queries) of all requests to one path."""
        return [data for m, p, data in self.requests if (m, p) == (method, path)]

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.requests]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        key = (handler.command, parts.path.strip("/").split("/")[0])
        length = int(handler.headers.get("Content-Length") or 0)
        raw = handler.rfile.read(length)
        data = parse_qsl(parts.query, keep_blank_values=True)
        if handler.command == "POST":
            if handler.headers.get("Content-Type") != "application/json":
                self.problems.append(f"{key}: content type {handler.headers.get('Content-Type')}")
            data = json.loads(raw.decode("utf-8"))
            self.check_shape(key[1], data)
        elif raw:
            self.problems.append(f"{key}: a body without need")
        self.hosts.append(handler.headers.get("Host"))
        self.shown.append(handler.headers.get("Authorization"))
        self.requests.append((handler.command, unquote(parts.path), data))
        if key not in self.answers:
            self.problems.append(f"no such route: {key}")
        answer = self.answers.get(key, (404, b"no such route"))
        status, body = answer(unquote(parts.path), data) if callable(answer) else answer
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        kind = "text/plain" if isinstance(body, bytes) else "application/json"
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        handler.wfile.write(content)

    def check_shape(self, route: str, body: Any) -> None:
        try:
            SHAPES[route](body)
        except (AssertionError, KeyError, TypeError) as error:
            self.problems.append(f"{route}: {error!r} in {json.dumps(body)[:500]}")


def check_auth(body: Any) -> None:
    assert set(body) == {"Username", "AccessKey"}
    assert all(isinstance(value, str) for value in body.values())


def check_upload(body: Any) -> None:
    assert {"upload"} <= set(body) <= {"upload", "skipped_files", "gather_files"}
    assert body["upload"]
    assert all(isinstance(message, str) for message in body.get("skipped_files", []))
    check_groups(body["upload"])


def check_groups(groups: Any) -> None:
    assert isinstance(groups, list)
    for group in groups:
        assert set(group) == {"localRoot", "remoteRoot", "files", "named", "folders"}
        assert set(group["named"]) <= set(group["files"])
        assert group["remoteRoot"].startswith("/")
        assert group["files"] == sorted(set(group["files"]))
        for name in group["files"]:
            assert not name.startswith("/")
            assert not set(name.split("/")) & {"", ".", ".."}


def check_submission(body: Any) -> None:
    required = {"project_request", "project_files", "watch_files"}
    assert required <= set(body) <= required | {"skip_upload", "skipped_files", "gather_files"}
    assert body.get("skip_upload", True) is True
    assert body.get("gather_files", True) in (True, False)
    check_groups(body["project_files"])
    for pattern, folder in body["watch_files"].items():
        assert isinstance(pattern, str)
        assert isinstance(folder, str)
    request = body["project_request"]
    assert set(request) == {"name", "params", "jobs"}
    params = request["params"]
    assert params["skip_auto_download"] in (True, False)
    for name in (
        "project_name",
        "submission_name",
        "output_folder_name",
        "remote_output_folder",
        "local_root",
    ):
        assert isinstance(params[name], str), name
    ids = [job["id"] for job in request["jobs"]]
    assert ids
    assert len(set(ids)) == len(ids)
    for job in request["jobs"]:
        assert set(job) == {
            "id", "name", "app", "app_version", "operation", "path", "params", "dependencies",
        }  # fmt: skip
        assert set(job["dependencies"]) <= set(ids)
        assert None not in job["params"].values()


def check_action(body: Any) -> None:
    assert body == {}


SHAPES = {
    "auth": check_auth,
    "upload": check_upload,
    "project-submit": check_submission,
    "envoy": check_action,
}
