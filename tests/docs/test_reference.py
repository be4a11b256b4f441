"""The reference names what the code has, and nothing that it has not; links and commands work."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import farm_protocol.runner
import httpx
import pytest
import typer
import yaml
from envoy.cli import commands as envoy_cli
from envoy.config import Settings as EnvoySettings
from envoy.process.status_messages import Reason
from farm import cli as farm_cli
from farm.api import runner
from farm.api.app import create_app
from farm.config import Settings as FarmSettings
from farm.products import BUILT_IN
from farm.runner import __main__ as runner_main
from farm_protocol.errors import RETRY, STATUS, ErrorCode
from farm_protocol.models import Answer, Request
from gridmarkets import Job
from pydantic.json_schema import models_json_schema
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings
from starlette.types import ASGIApp

from tools import envoy_description
from tools.message_page import PAGE, as_page, found
from tools.reference_pages import MARKED, with_tables


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.rglob("*.md")),
]
SETTINGS_PAGE = read(REFERENCE / "settings.md")
SETTINGS: list[tuple[str, type[BaseSettings]]] = [
    ("FARM_", FarmSettings),
    ("ENVOY_", EnvoySettings),
]
NOT_SETTINGS = {
    farm_protocol.runner.TOKEN_VARIABLE,
    "ENVOY_URL",
    "ENVOY_EMAIL",
    "ENVOY_PASSWORD",
    "ENVOY_TOKEN",
}
"""Variables in these pages that are not settings: tokens, and the example's own."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^|\n\n)((?:    .*\n?)+)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CALL = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`\s?]*)`")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# Routes


def openapi(app: ASGIApp, address: str) -> dict[str, Any]:
    """Return what an app says of itself, asked as anybody would ask."""

    async def ask() -> Any:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport) as http:
            return (await http.get(address)).raise_for_status().json()

    described: dict[str, Any] = asyncio.run(ask())
    return described


def farm_described() -> dict[str, Any]:
    """Return the description of what users ask for, with that of what runners do."""
    context: Any = SimpleNamespace(version="0")
    described = openapi(create_app(context), "http://farm/openapi.json")
    for route in runner.ROUTES:
        for method in (route.methods or set()) - {"HEAD"}:
            described["paths"].setdefault(runner.PREFIX + route.path, {})[method.lower()] = {}
    said = [each for each in vars(farm_protocol.runner).values() if is_model(each)]
    _, schemas = models_json_schema([(each, "serialization") for each in said])
    described["components"]["schemas"].update(schemas["$defs"])
    return described


def is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Request | Answer)


def calls(described: dict[str, Any]) -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, operations in described["paths"].items()
        for method in operations
    }


def models(described: dict[str, Any]) -> set[str]:
    # FastAPI announces its own two for malformed requests; ours answer `ErrorBody` instead.
    return set(described["components"]["schemas"]) - {
        "HTTPValidationError",
        "ValidationError",
        "JsonValue",
    }


@pytest.mark.parametrize(
    ("describe", "page"),
    [(farm_described, "farm-api.md"), (envoy_description.described, "envoy-api.md")],
)
def test_every_route_and_model_is_named_and_no_other_route(describe: Any, page: str) -> None:
    described = describe()
    text = read(REFERENCE / page)
    assert {" ".join(call) for call in _CALL.findall(text)} == calls(described)
    missing = {model for model in models(described) if not re.search(rf"\b{model}\b", text)}
    assert not missing, f"{page} does not name {missing}"


def test_the_description_of_envoy_is_what_it_answers() -> None:
    written = read(envoy_description.DESCRIPTION)
    assert written == envoy_description.as_text(), "run tools/envoy_description.py"


def test_other_pages_name_only_routes_that_exist() -> None:
    known = calls(farm_described()) | calls(envoy_description.described())
    for page in PAGES:
        text = _COMMENT.sub("", read(page))
        named = {" ".join(call) for call in _CALL.findall(text)}
        assert named <= known, name(page)


# Settings and commands


@pytest.mark.parametrize(("prefix", "settings"), SETTINGS)
def test_every_setting_stands_in_the_table_with_its_default(
    prefix: str, settings: type[BaseSettings]
) -> None:
    rows = table_rows(SETTINGS_PAGE)
    for field, info in settings.model_fields.items():
        cells = rows.get(f"`{prefix}{field.upper()}`")
        assert cells, f"{prefix}{field.upper()} is not in settings.md"
        if info.default is not PydanticUndefined:
            shown = "none" if info.default is None else f"`{info.default}`".lower()
            shown = "empty" if str(info.default) == "" else shown
            assert shown in cells[2], f"{prefix}{field.upper()}: the default is {info.default!r}"


def test_no_page_names_a_variable_that_does_not_exist() -> None:
    known = {f"{prefix}{field.upper()}" for prefix, all_ in SETTINGS for field in all_.model_fields}
    for page in PAGES:
        named = set(re.findall(r"\b(?:FARM|ENVOY)_[A-Z_]*[A-Z]\b", read(page)))
        assert named <= known | NOT_SETTINGS, name(page)


def commands(command: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command that can be called, with its options."""
    children = getattr(command, "commands", None)
    if children:
        for child_name, child in children.items():
            yield from commands(child, f"{path} {child_name}")
        if not command.invoke_without_command:
            return
    options = (option for parameter in command.params for option in parameter.opts)
    yield path, [option for option in options if option.startswith("--")]


COMMANDS = [
    *commands(typer.main.get_command(envoy_cli.app), "envoy"),
    *commands(typer.main.get_command(farm_cli.app), "farm"),
    (
        "python -m farm.runner",
        re.findall(r'add_argument\(\s*"(--[\w-]+)"', read(Path(str(runner_main.__file__)))),
    ),
]


@pytest.mark.parametrize(("command", "options"), COMMANDS)
def test_every_command_has_a_section_with_its_options(command: str, options: list[str]) -> None:
    sections = dict(re.findall(r"^## `(.+?)`\n(.*?)(?=^## |\Z)", SETTINGS_PAGE, re.M | re.S))
    assert command in sections
    assert set(re.findall(r"`(--[\w-]+)`", sections[command])) == set(options)


def test_the_table_of_options_agrees_with_the_commands() -> None:
    options = dict(COMMANDS)
    for variable, cells in table_rows(SETTINGS_PAGE).items():
        given = re.findall(r"`(--[\w-]+)`", cells[1])
        command = "envoy up" if variable.startswith("`ENVOY_") else "farm serve"
        if given and variable.startswith(("`ENVOY_", "`FARM_")):
            assert set(given) <= set(options[command]), variable


# Error codes


def test_every_error_code_stands_with_its_status_and_retry() -> None:
    rows = table_rows(read(REFERENCE / "error-codes.md"))
    codes = {row.strip("`") for row, cells in rows.items() if len(cells) == 5 and row[:1] == "`"}
    assert codes == {code.value for code in ErrorCode}
    for code in ErrorCode:
        cells = rows[f"`{code.value}`"]
        assert cells[1] == str(STATUS[code]), code
        assert cells[2] == ("yes" if code in RETRY else "no"), code


def test_every_reason_of_envoy_is_explained() -> None:
    """In the table of its API; what it is about stands also in the class."""
    page = read(REFERENCE / "envoy-api.md")
    table = page[page.index("| `Reason` |") :].partition("\n\n")[0]
    told = set(re.findall(r"`([a-z_]+)`", table))
    assert told == {each.value for each in Reason if each}
    assert all(
        f"{each.name}:" in str(Reason.__doc__) or f"{each.name}, " in str(Reason.__doc__)
        for each in Reason
        if each
    )


def test_pages_name_only_codes_and_states_that_exist() -> None:
    text = read(REFERENCE / "farm-api.md")
    errors = {cell for row in table_rows(text).values() if len(row) == 4 for cell in row[3:]}
    named = set(re.findall(r"`([a-z_]+)`", " ".join(errors)))
    assert named <= {code.value for code in ErrorCode}


# Products


PRODUCTS = sorted({app for app, _ in BUILT_IN.available()})


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=name)
def test_tables_of_parameters_are_what_the_generator_writes(page: Path) -> None:
    assert with_tables(read(page)) == read(page), "run tools/reference_pages.py"


@pytest.mark.parametrize("app", PRODUCTS)
def test_every_product_has_a_page_with_the_table_of_each_operation(app: str) -> None:
    page = read(REFERENCE / f"{app}.md")
    marked = [(match["app"], match["operation"]) for match in MARKED.finditer(page)]
    assert sorted(marked) == [each for each in BUILT_IN.available() if each[0] == app]


def test_the_table_of_blender_says_what_the_template_says() -> None:
    template = BUILT_IN.load("blender", "render")
    assert template is not None
    rows = table_rows(read(REFERENCE / "blender.md").partition("## Parameters")[2])
    listed = [row for row in rows if row.startswith("`") and len(rows[row]) == 5]
    assert listed == [f"`{parameter.name}`" for parameter in template.parameters]
    assert rows["`frames`"][1:3] == ["text", "required"]
    assert rows["`gpu`"][1:4] == ["bool", "`false`", "`true`, `false`"]
    assert rows["`camera`"][2:4] == ["empty", ""]
    assert rows["`tile_size`"][2:4] == ["`0`", "0, 8 to 8192"]
    assert "`JPEG` (jpg)" in rows["`output_format`"][3]
    assert "``" not in rows["`engine`"][3]


def jobs(page: Path) -> list[Job]:
    """Return the jobs that a page's Python makes."""
    found = []
    for language, body in _FENCE.findall(read(page)):
        if language == "python":
            scope: dict[str, Any] = {"Job": Job}
            exec(body, scope)
            found.append(scope["job"])
    return found


@pytest.mark.parametrize("app", PRODUCTS)
def test_the_jobs_of_a_page_are_valid(app: str) -> None:
    examples = jobs(REFERENCE / f"{app}.md")
    assert examples
    for job in examples:
        template = BUILT_IN.load(job.app, job.operation)
        assert template is not None
        template = template.for_scene(job.path)
        assert template.app == app
        params = dict(job.params)
        assert params.pop("instances")
        assert params.pop("machine_type") == ""
        assert isinstance(params.pop("plugins", []), list)
        checked = template.validate(params)
        assert checked.errors == {}
        assert checked.warnings == []


@pytest.mark.parametrize(("app", "operation"), BUILT_IN.available())
def test_a_page_names_the_variables_that_a_program_may_see(app: str, operation: str) -> None:
    template = BUILT_IN.load(app, operation)
    assert template is not None
    named = re.findall(r"--pass=(\w+)", read(template.path))
    named += [folder for plugin in template.plugins.values() for folder in plugin.folders]
    page = read(REFERENCE / f"{app}.md")
    assert [variable for variable in named if f"`{variable}`" not in page] == []


REALLY_TRIED = {"blender", "ffmpeg"}
"""Products whose programs the tests run; all others have stand-ins."""


@pytest.mark.parametrize("app", PRODUCTS)
def test_a_page_says_what_was_verified(app: str) -> None:
    said = "Verified with the real program"
    if app not in REALLY_TRIED:
        said = "Verified against its documented command line, with a strict stand-in"
    assert said in read(REFERENCE / f"{app}.md")


# Links, commands, the example


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of every table row, by the first cell."""
    rows = (line.strip().strip("|").split("|") for line in text.splitlines() if line[:1] == "|")
    return {row[0].strip(): [cell.strip() for cell in row] for row in rows}


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", read(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = _FENCE.sub("", _COMMENT.sub("", read(page)))
    for link in _LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} in {name(page)}"
        if page.is_relative_to(DOCS):
            assert target.is_relative_to(DOCS), f"{link} leaves the site"
        if anchor:
            assert anchor in anchors(target), f"{link} in {name(page)}"


def test_every_page_stands_in_the_navigation() -> None:
    site = yaml.safe_load(read(ROOT / "mkdocs.yml"))

    def files(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for child in entry.values() if isinstance(entry, dict) else entry:
                yield from files(child)

    listed = list(files(site["nav"]))
    assert len(listed) == len(set(listed))
    assert set(listed) == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def code(page: Path) -> str:
    """Return all code of a page, a piece a line."""
    text = _COMMENT.sub("", read(page))
    fences = [body for _, body in _FENCE.findall(text)]
    rest = _FENCE.sub("", text)
    return "\n".join([*fences, *_INDENTED.findall(rest), *_CODE.findall(rest)])


def test_every_make_target_exists_and_is_documented() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"\bmake ([a-z-]+)", code(page)))
        assert named <= targets, name(page)
    contributing = set(re.findall(r"\bmake ([a-z-]+)", code(ROOT / "CONTRIBUTING.md")))
    assert targets - {"help"} <= contributing


def test_programs_that_a_page_calls_are_set_up() -> None:
    """What pages call in the environment of the workspace, and what git is to call before commits.

    That is what is installed beside the Python of these tests.
    """
    texts = [*map(code, PAGES), read(ROOT / ".pre-commit-config.yaml")]
    named = {each for text in texts for each in re.findall(r"\.venv/bin/([\w.-]+)", text)}
    assert {"pre-commit", "ruff"} <= named
    assert [each for each in named if not Path(sys.executable).with_name(each).exists()] == []


def test_every_command_line_names_a_command_that_exists() -> None:
    known = [command for command, _ in COMMANDS]
    words = r"(?:envoy|farm) (?:(?:users|jobs|credits|plans) )?[a-z-]+"
    pattern = re.compile(rf"(?:^|[|] |`|\n)({words})\b")
    for page in PAGES:
        for command in pattern.findall(code(page)):
            assert command in known, f"{command} in {name(page)}"


def test_paths_of_the_repository_in_code_exist() -> None:
    starts = ("packages/", "tests/", "tools/", "examples/", "bench/", "docs/")
    for page in PAGES:
        for piece in _CODE.findall(_FENCE.sub("", _COMMENT.sub("", read(page)))):
            if piece.startswith(starts) and not re.search(r"[<>*{} ]", piece):
                assert (ROOT / piece).exists(), f"{piece} in {name(page)}"


def test_modules_in_the_architecture_exist() -> None:
    sources = [ROOT / "packages" / each / "src" for each in ("client", "envoy", "farm", "protocol")]
    folders = [*sources, *(folder for source in sources for folder in source.iterdir())]
    for piece in _CODE.findall(read(ROOT / "ARCHITECTURE.md")):
        if re.fullmatch(r"[\w/]+/[\w/]+\.py", piece):
            found = any((folder / piece).exists() for folder in folders)
            assert found or (ROOT / piece).exists(), piece


def test_the_readme_shows_the_examples_as_they_are() -> None:
    shown = [text for kind, text in _FENCE.findall(read(ROOT / "README.md")) if kind == "python"]
    examples = ("render_and_download.py", "render_and_transcode.py")
    for text, example in zip(shown, examples, strict=True):
        lines = read(ROOT / "examples" / example).splitlines()
        body = [line.strip() for line in lines if line.strip()]
        wanted = [line.strip() for line in text.splitlines() if line.strip()]
        start = body.index(wanted[0])
        assert body[start : start + len(wanted)] == wanted


def test_the_example_of_a_wrong_request_is_the_real_message() -> None:
    from farm.jobs.frames import FrameSpecError, parse_frames

    with pytest.raises(FrameSpecError) as caught:
        parse_frames("1 0 0")
    assert str(caught.value) in read(REFERENCE / "error-codes.md")


def test_every_attack_that_the_page_on_security_names_is_there() -> None:
    named = [each for each in _CODE.findall(read(DOCS / "security.md")) if "tests" in each]
    assert len(named) > 30
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_every_message_is_on_its_page() -> None:
    assert as_page() == read(PAGE), "run tools/message_page.py"


@pytest.mark.parametrize(
    ("text", "part", "code"),
    [
        ("This claim has ended or was given to another runner.", "error", "claim_lost"),
        ("Frame {frame} has only one colour: every pixel is the same.", "frame", "one_colour"),
        ("Suspended by {who}.", "job", "user"),
        ("Suspended: the account is disabled.", "job", "disabled"),
        ("The farm no longer has {relative}.", "status", "gone"),
        ("The pattern is empty.", "client", "InvalidRequestError"),
        ("The disk of the render machine is full.", "task", ""),
        ("The farm is not running.", "start", ""),
        ("Blender no longer has its old Internal engine.", "error", "invalid_request"),
    ],
)
def test_messages_stand_under_their_code(text: str, part: str, code: str) -> None:
    """What the page rests on."""
    assert text in found()[part][code]
