"""No command makes a terminal do anything, whatever stands in the farm's database."""

import json
import logging
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from command_line import farm as command
from farm.accounts.credits import grant
from farm.cli import app
from farm.db import tables
from farm.db.accounts import by_email
from farm_protocol.text import EscapingFormatter, escaped, json_text, one_line
from farm_protocol.users import Role
from messages import saying, says
from sqlalchemy import JSON, literal, update

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of

HOSTILE = "\x1b]52;c;aGk=\x07\x1b[2J\r\n\x9b31m\x7f\u202egnp.\u2066\u2028\ufff9\U000e0041 ]x["
"""Clears the screen, writes into the clipboard, begins a line, turns the text around."""
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""What may not reach a terminal."""
EMAIL = "ann@example.com"

PLANTED = {
    "accounts": ["name", "machine_cpu", "machine_gpu"],
    "host_programs": ["host", "app", "version", "plugins"],
    "access_keys": ["label"],
    "notices": ["subject", "text", "error"],
    "projects": ["name"],
    "submissions": ["project", "name", "output_folder"],
    "jobs": [
        *("client_id", "name", "app_version", "operation", "scene", "warnings", "plugins"),
        *("machine_type", "message", "noticed"),
    ],
    "outputs": ["path"],
    "runners": ["host"],
    "claims": ["frames", "message", "marker"],
    "host_failures": ["host"],
    "log_chunks": ["text"],
    "frame_flags": ["message"],
}


def is_about_a_character(message: str) -> bool:
    """Whether it is of a name, or of a text that may have several lines."""
    found = ("contains-control-character", "header-contains-control-character")
    return any(says(message, each) for each in found)


def plant(farm: Farm) -> None:
    """Write what no route would take into everything that people read."""
    by_name = {table.name: table for table in tables.metadata.sorted_tables}
    with farm.database.write() as connection:
        for table, columns in PLANTED.items():
            for name in columns:
                column = by_name[table].c[name]
                if isinstance(column.type, JSON):
                    value: Any = [HOSTILE]
                elif column.primary_key:
                    value = literal(HOSTILE) + column
                else:
                    value = HOSTILE[: getattr(column.type, "length", None)]
                connection.execute(update(by_name[table]).values({column: value}))
        # The ledger takes no changes.
        account = by_email(connection, EMAIL)
        assert account is not None
        grant(connection, account.id, Decimal(1), HOSTILE)


@pytest.fixture
def place(
    farm: Farm, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, str]:
    """A farm with a job that ran and one that waits; returns its folder and the job's id."""
    if database_url is not None:
        monkeypatch.setenv("FARM_DATABASE_URL", database_url)
    ann = farm.user(EMAIL, role=Role.ADMIN)
    farm.user("bob@example.com")
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    runner = FakeRunner(farm, host="node")
    program = {"app": "blender", "version": "3.4.1", "plugins": ["x:1"]}
    runner.claim(programs=[program])
    flag = {"frame": 1, "code": "empty", "certainty": "hint", "message": "looks odd"}
    runner.done(1, flags=[flag]).raise_for_status()
    runner.post("log", {"offset": 0, "text": f"begin\n{HOSTILE}\nend\n"}).raise_for_status()
    runner.finish("failed", message=HOSTILE, marker=HOSTILE, frame=2).raise_for_status()
    job = job_of(ann)["id"]
    plant(farm)
    return farm.data_dir, job


def commands(group: Any, way: tuple[str, ...] = ()) -> Iterator[str]:
    if hasattr(group, "commands"):
        for name, inner in group.commands.items():
            yield from commands(inner, (*way, name))
    else:
        yield " ".join(way)


JOB = "JOB"
CALLS: dict[str, list[list[str]]] = {
    "users add": [["new@example.com"], [f"{HOSTILE}@example.com"]],
    "users list": [[]],
    "users show": [[EMAIL], [HOSTILE]],
    "users plan": [[EMAIL, "Standard"], [EMAIL, HOSTILE], [HOSTILE, "Standard"]],
    "users role": [["bob@example.com", "admin"], [HOSTILE, "admin"]],
    "users emails": [[EMAIL, "off"], [HOSTILE, "off"]],
    "users machine": [[HOSTILE, "--cpu", "x"]],
    "users disable": [["bob@example.com"], [HOSTILE]],
    "users enable": [["bob@example.com"], [HOSTILE]],
    "users password": [["bob@example.com", "--password-stdin"], [HOSTILE, "--password-stdin"]],
    "users rotate-key": [["bob@example.com"], [HOSTILE]],
    "plans list": [[]],
    "plans set": [
        [HOSTILE, "--job-throughput-limit", "1", "--max-throughput", "1"],
        ["Small", "--job-throughput-limit", "1", "--max-throughput", "1"],
    ],
    "plans remove": [[HOSTILE], ["Small"]],
    "credits show": [[], [EMAIL], [HOSTILE]],
    "credits move": [[EMAIL, "1", "--reason", HOSTILE], [HOSTILE, HOSTILE, "--reason", "x"]],
    "credits history": [[EMAIL], [HOSTILE]],
    "credits check": [[]],
    "jobs list": [["--all"], ["--user", HOSTILE]],
    "jobs show": [[JOB], [HOSTILE]],
    "jobs log": [[JOB], [JOB, "--task", HOSTILE], [HOSTILE]],
    **{
        f"jobs {action}": [[JOB], [HOSTILE], ["--submission", HOSTILE], ["--user", HOSTILE]]
        for action in ("suspend", "resume", "retry", "retry-all", "restart-unstarted", "stop")
    },
    "jobs change": [[JOB, "--priority", "40"], [HOSTILE, "--priority", "40"]],
    "workers slots": [[HOSTILE, "1"], ["local-cpu", "1"]],
    "workers": [[]],
    "workers list": [[]],
}
ELSEWHERE = {"serve", "migrate"}


def test_every_command_is_called() -> None:
    known = set(CALLS) - {"workers", "workers list"}
    assert set(commands(typer.main.get_command(app))) - ELSEWHERE <= known | set(CALLS)


def test_no_command_prints_what_a_terminal_obeys(place: tuple[Path, str]) -> None:
    folder, job = place
    shown = 0
    for name, calls in CALLS.items():
        for arguments in calls:
            given = [job if each == JOB else each for each in arguments]
            for more in ([], ["--json"]):
                done = command(folder, *name.split(), *given, *more, given="a long password 12")
                for out in (done.stdout, done.stderr):
                    assert not OBEYED.search(out), (name, given, more, out)
                shown += "]52;c;" in done.stdout
                if more and done.returncode == 0:
                    assert json.loads(done.stdout) is not None, name
    # The names were there, as text.
    assert shown > 10


def test_a_log_keeps_its_lines_and_loses_its_codes(place: tuple[Path, str], farm: Farm) -> None:
    folder, job = place
    out = command(folder, "jobs", "log", job).stdout
    assert "\\x1b]52;c;aGk=\\x07\\x1b[2J" in out
    assert out.count("\n") > 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/login", {"email": EMAIL, "secret": "x", "label": HOSTILE}),
        ("PATCH", "/v1/me", {"name": HOSTILE}),
        ("PATCH", "/v1/users/bob@example.com", {"name": HOSTILE}),
        ("POST", "/v1/users", {"email": f"{HOSTILE}@example.com"}),
        ("POST", "/v1/users/bob@example.com/credits", {"credits": 1, "reason": HOSTILE}),
        ("POST", "/v1/submissions", spec(name=HOSTILE)),
        ("POST", "/v1/submissions", spec(id=HOSTILE)),
        ("POST", "/v1/submissions", spec(app_version="3.4.1\x1b[2J")),
        ("POST", "/v1/submissions", spec() | {"name": HOSTILE}),
        ("POST", "/v1/submissions", spec() | {"project": "de\u202emo"}),
        ("PATCH", "/v1/me", {"name": "Ann\U000e0041\U000e007f"}),
        ("POST", "/v1/submissions", spec(name="a\ufff9b\ufffac\ufffb")),
    ],
)
def test_names_with_control_characters_are_refused(
    farm: Farm, method: str, path: str, body: dict[str, Any]
) -> None:
    ann = farm.user(EMAIL, role=Role.ADMIN)
    farm.user("bob@example.com")
    answer: httpx.Response = ann.request(method, path, json=body)
    assert answer.status_code == 400, answer.text
    assert is_about_a_character(answer.json()["message"])
    assert not OBEYED.search(answer.json()["message"])


def test_what_is_escaped_is_still_json_and_says_which_character() -> None:
    for number in (0x2060, 0x206F, 0xFFF0, 0xFFFE, 0x1BCA0, 0x1D173, 0xE0100, 0xE01EF, 0x10FFFF):
        with pytest.raises(ValueError, check=saying("header-contains-control-character")):
            one_line(f"a{chr(number)}b")
    hidden = "a\ufff9\U000e0041\U000e007f\x9b"
    assert escaped(hidden) == "a\\ufff9\\U000e0041\\U000e007f\\x9b"
    assert json.loads(json_text([hidden])) == [hidden]
    assert not OBEYED.search(json_text([hidden]))


@pytest.mark.parametrize(
    "name", ["größe", "日本語", "नमस्ते", "می‌خواهم", "👩‍🚀", "עברית", "a [b] *c*"]
)
def test_real_names_stay_as_they_are(name: str) -> None:
    assert escaped(name) == name
    assert json.loads(json_text({"name": name})) == {"name": name}


def test_json_for_programs_is_what_it_was() -> None:
    assert json.loads(json_text([HOSTILE])) == [HOSTILE]
    assert not OBEYED.search(json_text([HOSTILE]))


def test_a_name_cannot_begin_a_line_of_the_log() -> None:
    formatter = EscapingFormatter("%(levelname)s %(message)s")
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        fault = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.INFO, "x", 1, "job %s", (f"a\n{HOSTILE}",), fault)
    text = formatter.format(record)
    assert not OBEYED.search(text)
    assert text.splitlines()[0].startswith("INFO job a\\x0a")
