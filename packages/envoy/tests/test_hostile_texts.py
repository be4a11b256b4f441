"""Whatever an address or a body holds in the place of a name or an id: never a fault of Envoy's."""

import io
import json
import re
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest
from envoy.cli.tables import show, show_flagged
from envoy.journal import EntryState
from envoy.views.own import Activity, DownloadsView, SubmissionView
from envoy_studio import Studio
from farm_protocol.errors import STATUS, ErrorBody, ErrorCode
from farm_protocol.frames import Flag, Frame
from farm_protocol.jobs import Job
from json_places import places, with_value
from messages import says
from rich.console import Console

ODD = [
    "\0", "a\0b", "\x1b]52;c;eA==\x07", "a\nb", "a\x9bb", "a\u202eb", "..", ".", "a/b", "a\\b",
    "x" * 5000, "größe 日本 🎬", "\uffff", "';--\"", "%00%2e%2e%2f", "%s{0}{x}", " ",
    "9" * 30, "-1",
]  # fmt: skip
RAW = ["%00", "%2e%2e", "%2f", "%ff%fe", "%c0%80", "%ed%a0%80", "%", "%zz", "%0d%0aX:%20y", "%2500"]
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def ask(
    studio: Studio, method: str, address: str, content: bytes | None = None
) -> tuple[int, bytes]:
    """Send an address as it stands."""
    url = studio.http.base_url
    connection = HTTPConnection(url.host, url.port, timeout=60)
    connection.request(method, address, content, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def check(status: int, content: bytes, what: Any) -> None:
    assert status < 500, (what, content)
    if status >= 400 and status != 401:
        body = ErrorBody.model_validate_json(content)
        assert STATUS[ErrorCode(body.code)] == status or status == 405, what
        assert body.message, what


async def test_no_address_is_a_fault(studio: Studio) -> None:
    import asyncio

    await studio.submitted()
    described = (await studio.http.get("/envoy/openapi.json")).json()["paths"]
    tried = 0
    for path, methods in described.items():
        names = re.findall(r"{(\w+)}", path)
        right = {"action": "stop", "name": "demo", "job_id": "0" * 32}
        for method in methods:
            if path == "/envoy/stop":
                continue
            for name in names:
                for value in [*(quote(text, safe="") for text in ODD), *RAW]:
                    address = path
                    for each in names:
                        text = value if each == name else right[each]
                        address = address.replace("{" + each + "}", text)
                    content = b"{}" if method == "post" else None
                    found = await asyncio.to_thread(ask, studio, method.upper(), address, content)
                    check(*found, (method, address))
                    tried += 1
            for each in methods[method].get("parameters", []):
                if each["in"] != "query":
                    continue
                for value in [*(quote(text, safe="") for text in ODD), *RAW, ""]:
                    address = f"{path.format(**right)}?{each['name']}={value}"
                    found = await asyncio.to_thread(ask, studio, method.upper(), address)
                    check(*found, (method, address))
                    tried += 1
    assert tried > 200


WRONG: list[Any] = [*ODD, None, [], {}, True, 2**63, -(2**63), 2**200, 1e308]
UNWRITABLE = [b'"\\ud800"', b"NaN", b"1e999", b"[" * 3000 + b"]" * 3000, b"1" * 5000]


@pytest.mark.parametrize("path", ["/auth", "/upload", "/project-submit"])
async def test_no_body_is_a_fault(studio: Studio, path: str) -> None:
    studio.write("scene.blend")
    body = {
        "/auth": {"Username": "artist@example.com", "AccessKey": "x"},
        "/upload": {"upload": [studio.body()["project_files"]], "skipped_files": ["x"]},
        "/project-submit": studio.body() | {"skipped_files": ["x"]},
    }[path]
    for way in places(body):
        for value in WRONG:
            answer = await studio.http.post(path, json=with_value(body, way, value))
            check(answer.status_code, answer.content, (way, value))
        for raw in UNWRITABLE:
            text = json.dumps(with_value(body, way, "@here@")).encode().replace(b'"@here@"', raw)
            kind = {"Content-Type": "application/json"}
            answer = await studio.http.post(path, content=text, headers=kind)
            check(answer.status_code, answer.content, (way, raw))
    for get in ("/envoy/activity", "/envoy/health", "/project-status/demo"):
        assert (await studio.http.get(get)).status_code == 200


async def test_names_with_control_characters_are_refused(studio: Studio) -> None:
    studio.write("scene.blend")
    for change in ({"name": "a\x1b[2J"}, {"id": "a\nb"}, {"app_version": "4.2.0\x9b"}):
        body = studio.body()
        body["project_request"]["jobs"][0] |= change
        answer = await studio.http.post("/project-submit", json=body)
        assert answer.status_code == 400
        assert says(answer.json()["message"], "header-contains-control-character")
    for name in ("submission_name", "project_name"):
        body = studio.body()
        body["project_request"]["params"][name] = "a\u202eb\x07"
        answer = await studio.http.post("/project-submit", json=body)
        assert answer.status_code == 400
        message = answer.json()["message"]
        found = ("contains-control-character", "header-contains-control-character")
        assert any(says(message, each) for each in found)


async def test_a_refused_name_is_refused_once(studio: Studio) -> None:
    """Although an old client's folder for results would be named after it."""
    studio.write("scene.blend")
    for hostile in ("demo\x07", "demo\x9b31m"):
        body = studio.body(watch_files=None)
        body["project_request"] |= {"params": None, "name": hostile}
        answer = await studio.http.post("/project-submit", json=body)
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == ["name"], answer.json()


def test_the_table_shows_what_a_terminal_would_obey() -> None:
    hostile = "\x1b]52;c;aGk=\x07\x1b[2J\r\n\x9b31m\x7f\u202egnp.\u2066\u2028 [red]x"
    # What is not shown is left out.
    of_job: dict[str, Any] = {
        "id": hostile, "name": hostile, "state": hostile, "message": hostile, "frames_done": 1,
        "frames_total": 2, "frames_flagged": 1, "warnings": [hostile],
    }  # fmt: skip
    of_downloads: dict[str, Any] = {
        "files_done": 1, "files_total": 2, "files_failed": 1, "message": hostile,
    }  # fmt: skip
    of_submission: dict[str, Any] = {
        "project": hostile, "name": hostile, "state": EntryState.FAILED, "message": hostile,
        "warnings": [hostile], "bytes_total": 1, "bytes_done": 1,
        "jobs": [Job.model_construct(**of_job)],
        "downloads": DownloadsView.model_construct(**of_downloads),
    }  # fmt: skip
    submission = SubmissionView.model_construct(**of_submission)
    console = Console(width=500, record=True, file=io.StringIO())
    show(Activity(submissions=[submission], waiting_for=hostile, problems=[hostile]), console)
    flag = Flag(code=hostile, certainty=hostile, message=hostile)
    frame = Frame(number=1, state=hostile, seconds=0, failures=0, flags=[flag])
    show_flagged(hostile, [frame] * 30, console)
    text = console.export_text()
    assert "\\x1b]52;c;aGk=" in text
    assert not OBEYED.search(text)
