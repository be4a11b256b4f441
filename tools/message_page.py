"""Write docs/reference/messages.md: every message for people, under the code that goes with it.

    .venv/bin/python tools/message_page.py

Messages stand in the sources where they are raised. What is one is told by its form, and what its
code is by what stands around it: the class of the error, a code in the same statement, or the room.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import farm.errors

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "messages.md"

_SENTENCE = re.compile(r"[A-Z'{][^\n]*\s[^\n]*[.!?:]( [^\n]*)?")
_LEAST = 16
_SQL = re.compile(r"(SELECT|UPDATE|INSERT|DELETE|ORDER) ")
_CODES = {"ErrorCode": "error", "JobReason": "job", "FlagCode": "frame"}
"""The classes whose members are codes -> the part of the page."""

_PARTS = {
    "error": (
        "Answers of the APIs",
        "The field `code` of an answer of Envoy or the farm; see [error codes](error-codes.md).",
    ),
    "job": ("Jobs", "The field `reason` of a job; see `JobReason` of the [farm API](farm-api.md)."),
    "frame": ("Frames", "The field `code` of a flag of a frame."),
    "task": (
        "Tasks and warnings",
        "Why a renderer's work failed, and what it warned of. The job's `reason` is `trying_again`"
        " while its frames wait for another try, and `frames` once they were given up.",
    ),
    "status": ("Envoy's status", "What an upload or a download waits for, or why it failed."),
    "client": ("The client library", "Raised before anything is sent, or logged."),
    "start": (
        "Commands and start",
        "Printed by `envoy` and `farm`. The exit status is 1 when a command fails, and 2 when its"
        " arguments are wrong.",
    ),
}
_FARM = {
    name: each.code
    for name, each in vars(farm.errors).items()
    if isinstance(each, type) and issubclass(each, farm.errors.FarmError)
}
_CLASSES = {
    **{name: ("error", str(code)) for name, code in _FARM.items()},
    "CannotOpenDatabaseError": ("start", ""),
    "StartError": ("start", ""),
    "PortInUseError": ("start", ""),
    "TokenFileError": ("start", ""),
    "TooLargeError": ("error", "too_large"),
    "BusyError": ("error", "unavailable"),
    "NotSignedInError": ("error", "not_authenticated"),
    "FrameSpecError": ("error", "invalid_request"),
    "SequenceError": ("error", "invalid_request"),
    "UnsafePathError": ("error", "invalid_request"),
    "PatternError": ("error", "invalid_request"),
}
_ROOMS = (
    ("client/src/", ("client", "")),
    ("envoy/src/envoy/cli/", ("start", "")),
    ("envoy/src/envoy/main.py", ("start", "")),
    ("envoy/src/envoy/process/local_files.py", ("status", "")),
    ("envoy/src/envoy/process/", ("start", "")),
    ("envoy/src/envoy/submissions/", ("error", "invalid_request")),
    ("envoy/src/envoy/upload/scan.py", ("error", "invalid_request")),
    ("envoy/src/", ("status", "")),
    ("farm/src/farm/runner/", ("task", "")),
    ("farm/src/farm/renderers/", ("task", "")),
    ("farm/src/farm/confine/", ("task", "")),
    ("farm/src/farm/frame_health/", ("frame", "")),
    ("farm/src/farm/scenes/", ("task", "")),
    ("farm/src/farm/products/_parameters.py", ("error", "invalid_request")),
    ("farm/src/farm/products/_prefix.py", ("error", "invalid_request")),
    ("farm/src/farm/products/_template.py", ("error", "invalid_request")),
    ("farm/src/farm/products/_", ("start", "")),
    ("farm/src/farm/products/", ("task", "")),
    ("farm/src/farm/submissions/", ("error", "invalid_request")),
    ("farm/src/farm/catalogue/definitions.py", ("start", "")),
    ("farm/src/farm/catalogue/products.py", ("task", "")),
    ("farm/src/farm/catalogue/", ("error", "invalid_request")),
    ("farm/src/farm/jobs/frames.py", ("error", "invalid_request")),
    ("farm/src/farm/jobs/", ("job", "")),
    ("farm/src/farm/scheduler/trust.py", ("error", "invalid_request")),
    ("farm/src/farm/scheduler/claim_ends.py", ("task", "")),
    ("farm/src/farm/scheduler/", ("job", "")),
    ("farm/src/farm/engines/", ("job", "runner")),
    ("farm/src/farm/accounts/", ("error", "invalid_request")),
    ("farm/src/farm/api/", ("error", "invalid_request")),
    ("farm/src/farm/stores/", ("error", "storage_full")),
    ("farm/src/", ("start", "")),
    ("gate/src/", ("error", "")),
    ("protocol/src/", ("error", "invalid_request")),
)
"""Where nothing in the statement tells: the first room that a module lies in."""


def found() -> dict[str, dict[str, list[str]]]:
    """Return the messages by part of the page and code, each once and in order."""
    messages: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in sorted((ROOT / "packages").glob("*/src/**/*.py")):
        place = path.relative_to(ROOT / "packages").as_posix()
        if "/migrations/" in place:
            continue
        for text, around in _texts(ast.parse(path.read_text(encoding="utf-8"))):
            part, code = _code(around, place)
            messages[part][code].add(text)
    return {
        part: {code: sorted(messages[part][code]) for code in sorted(messages[part])}
        for part in _PARTS
    }


def as_page() -> str:
    """Return the page."""
    lines = [
        "# Messages",
        "",
        "All that Envoy, the farm, its runners and the client tell people, by the code that goes"
        " with it. Programs compare codes: messages may change their words with any version. What"
        " stands in braces is filled in. `tools/message_page.py` writes this page.",
    ]
    for part, codes in found().items():
        title, text = _PARTS[part]
        lines += ["", f"## {title}", "", text]
        for code, messages in codes.items():
            lines += ["", f"### `{code}`"] if code else []
            lines += ["", *(f"- {_escaped(each)}" for each in messages)]
    return "\n".join(lines) + "\n"


def _texts(tree: ast.Module) -> Iterator[tuple[str, list[ast.AST]]]:
    """Yield each text that is a message, with what it stands in, the innermost first."""

    def walk(node: ast.AST, around: list[ast.AST]) -> Iterator[tuple[str, list[ast.AST]]]:
        text = _text(node)
        if text is not None:
            if _is_message(text):
                yield text, around
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # A docstring.
        for child in ast.iter_child_nodes(node):
            yield from walk(child, [node, *around])

    yield from walk(tree, [])


def _text(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_piece(each) for each in values)
    return None


def _piece(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=text):
            return str(text)
        case ast.FormattedValue(value=value):
            names = [each.attr for each in ast.walk(value) if isinstance(each, ast.Attribute)]
            names += [each.id for each in ast.walk(value) if isinstance(each, ast.Name)]
            return f"{{{names[0].lower().strip('_')}}}" if names else "{}"
    return ""


def _is_message(text: str) -> bool:
    plain = len(text) >= _LEAST and _SENTENCE.fullmatch(text) is not None
    return plain and not _SQL.match(text)


def _code(around: list[ast.AST], place: str) -> tuple[str, str]:
    for node in around:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            break
        for each in ast.walk(node) if isinstance(node, ast.stmt | ast.Call) else ():
            match each:
                case ast.Attribute(value=ast.Name(id=name), attr=member) if name in _CODES:
                    return _CODES[name], member.lower()
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _CLASSES:
                return _of_class(name, place)
            case ast.Call(func=ast.Attribute(attr="Option" | "Argument")):
                return "start", ""
    return next(code for room, code in _ROOMS if place.startswith(room))


def _of_class(name: str, place: str) -> tuple[str, str]:
    # The client's errors have the same names.
    return ("client", "") if place.startswith("client/") else _CLASSES[name]


def _escaped(text: str) -> str:
    return re.sub(r"([*_<>|`\[\]\\])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(as_page(), encoding="utf-8")
