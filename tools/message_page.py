"""Write docs/reference/messages.md: every message for people, under the code that goes with it.

    .venv/bin/python tools/message_page.py

Messages are found in the sources where they are raised, and in the files of products. Texts are
recognised as messages by their form. The code of a message is that of the class of the error, or
one in the same statement. If there is neither, the message has no code, and its part of the page
depends on its module's folder.

Each message also has a name, by which tests refer to it. The names are kept on the page: a message
is looked up there by its text without placeholders. A reworded message keeps its name, and a new
one is named after its first words. If a guess is wrong, correct the page and run this again.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import farm.errors
import gridmarkets.errors
import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "messages.md"

_SENTENCE = re.compile(r"[A-Z'{][^\n]*\s[^\n]*[.!?:]( [^\n]*)?")
_ONLY_NAMED = re.compile(r"[A-Z_]{4,}: \{[a-z_]+\}")
"""A setting, and what is wrong with it."""
_LEAST = 16
_CODE = re.compile(
    # Python and SQL, with lists of columns, and formats of times.
    r"(SELECT|UPDATE|INSERT|DELETE|ORDER|CREATE|ALTER|WHERE|import) |%Y-"
    r"|\w+(, \w+)*, \w+_\w+(, \w+)*$"
)
_PIECE = re.compile(r"[^\[\]|\\*^$<>@#\n]*")
_PLAIN_WORD = re.compile(r"(?<![\w/.={-])[A-Za-z][a-z']*(?![\w/=}-])")
_LEAST_WORDS = 3
_CODES = {"ErrorCode": "error", "JobReason": "job", "FlagCode": "frame", "Reason": "status"}
"""The classes whose members are codes -> the part of the page."""

_PARTS = {
    "error": (
        "Answers of the APIs",
        "The field `code` of an answer of Envoy or the farm; see [error codes](error-codes.md)."
        " Those before the first code say what is wrong with a field (`errors`), or become an"
        " answer with a code elsewhere.",
    ),
    "job": ("Jobs", "The field `reason` of a job; see `JobReason` of the [farm API](farm-api.md)."),
    "frame": ("Frames", "The field `code` of a flag of a frame."),
    "task": (
        "Tasks and warnings",
        "Why a renderer's work failed, and what it warned of. They are shown with the task, and"
        " their code is that of its job: `reason` is `trying_again` while its frames wait for"
        " another try, and `frames` once they were given up. Warnings have none.",
    ),
    "status": (
        "Envoy's status",
        "What an upload or a download waits for, or why it failed: the field `reason` of a"
        " submission, its downloads or its progress, or `waits_for` of all activity; see `Reason`"
        " of [Envoy's API](envoy-api.md). Those before the first code are filled into others, which"
        " say what they are about, or are warnings or answers.",
    ),
    "client": (
        "The client library",
        "Raised, by the class of the error, before anything is sent. Those before the first class"
        " are logged, or are what an error of the library says when Envoy told it nothing better.",
    ),
    "start": (
        "Commands and start",
        "Printed by `envoy` and `farm`, which have an exit status instead of codes: 1 when a"
        " command fails, and 2 when its arguments are wrong.",
    ),
    "log": ("Logs", "What only the logs of Envoy and the farm tell, for who runs them."),
    "piece": ("Pieces", "What is filled into messages, or follows them: the code is theirs."),
}
_ROW = re.compile(r"- `(?P<name>[^`]+)` (?P<text>.+)")
_ESCAPE = re.compile(r"([*_<>|`\[\]\\])")
_FILLED_IN = re.compile(r"\{[^{}]*\}|%(?:\.\d)?[sdrf]")
_WORD = re.compile(r"[A-Za-z][A-Za-z']*|\d+")
_BLOCKS = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module),
    *(ast.ExceptHandler, ast.match_case),
    *(ast.If, ast.For, ast.While, ast.With, ast.AsyncWith, ast.AsyncFor, ast.Try, ast.Match),
)
"""Compound statements: a code in one of their statements does not belong to a text in another."""
_SAYS_NOTHING = {
    *("a", "an", "and", "are", "as", "at", "be", "been", "by", "for", "had", "has", "have", "in"),
    *("is", "it", "its", "of", "on", "or", "that", "the", "their", "there", "these", "this", "to"),
    *("was", "were"),
}
_MOST_WORDS = 5
_ALIKE = 0.5
"""Minimum fraction of common words of two texts, if one is the other one reworded."""
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
    "InvalidRequestError": ("error", "invalid_request"),
    "EngineError": ("job", "runner"),
    "LocalFileError": ("status", "local_file"),
    "FileChangedError": ("status", "local_file"),
    "CorruptDownloadError": ("status", "corrupt"),
    "FarmUnreachableError": ("status", "farm_unreachable"),
    "OtherAccountError": ("status", "other_account"),
}
_OF_CLIENT = {
    **{
        name: each.__name__
        for name, each in vars(gridmarkets.errors).items()
        if isinstance(each, type) and issubclass(each, gridmarkets.errors.EnvoyError)
    },
    "_invalid": "InvalidRequestError",
}
_ROOMS = (
    ("client/src/", ("client", "")),
    ("envoy/src/envoy/cli/", ("start", "")),
    ("envoy/src/envoy/main.py", ("start", "")),
    ("envoy/src/envoy/process/local_files.py", ("status", "")),
    ("envoy/src/envoy/process/", ("start", "")),
    ("envoy/src/envoy/submissions/", ("error", "")),
    ("envoy/src/envoy/upload/scan.py", ("error", "")),
    ("envoy/src/", ("status", "")),
    ("farm/src/farm/runner/claim/open_job.py", ("start", "")),
    ("farm/src/farm/runner/", ("task", "")),
    ("farm/src/farm/renderers/", ("task", "")),
    ("farm/src/farm/confine/", ("task", "")),
    ("farm/src/farm/frame_health/", ("frame", "")),
    ("farm/src/farm/scenes/", ("task", "")),
    ("farm/src/farm/products/_parameters.py", ("error", "")),
    ("farm/src/farm/products/_prefix.py", ("error", "")),
    ("farm/src/farm/products/_template.py", ("error", "")),
    ("farm/src/farm/products/_", ("start", "")),
    ("farm/src/farm/products/", ("task", "")),
    ("farm/src/farm/submissions/", ("error", "")),
    ("farm/src/farm/catalogue/definitions.py", ("start", "")),
    ("farm/src/farm/catalogue/products.py", ("task", "")),
    ("farm/src/farm/catalogue/", ("error", "")),
    ("farm/src/farm/jobs/frames.py", ("error", "")),
    ("farm/src/farm/jobs/", ("job", "")),
    ("farm/src/farm/scheduler/trust.py", ("error", "")),
    ("farm/src/farm/scheduler/claim_ends.py", ("task", "")),
    ("farm/src/farm/scheduler/", ("job", "")),
    ("farm/src/farm/engines/", ("job", "")),
    ("farm/src/farm/accounts/", ("error", "")),
    ("farm/src/farm/api/", ("error", "")),
    ("farm/src/farm/stores/", ("error", "")),
    ("farm/src/farm/errors.py", ("error", "")),
    ("farm/src/", ("start", "")),
    ("gate/src/", ("error", "")),
    ("protocol/src/", ("error", "")),
)
"""Where nothing in the statement tells: the part of the first room that a module lies in. A code is
never guessed: such messages stand before the first one of their part."""
_TOLD = {"tell", "note", "echo"}
"""Functions that print."""
_NO_MESSAGES = {
    # Phrases of HTTP, a line of a file of accounts, and headings of tables.
    *("Content Too Large", "Request Header Fields Too Large"),
    "render:x:{uid}:{gid}:render:/tmp:/bin/sh",
}
_NOTES = {"farm/src/farm/db/columns.py", "farm/src/farm/db/tables.py"}
"""Modules whose texts are for readers of the code."""


def found() -> dict[str, dict[str, list[str]]]:
    """Return the messages by part of the page and code, in order.

    A text that has several codes, or occurs several times, is listed once, under its first code.
    """
    messages: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in sorted((ROOT / "packages").glob("*/src/**/*.py")):
        place = path.relative_to(ROOT / "packages").as_posix()
        if "/migrations/" in place:
            continue
        for text, around in _texts(ast.parse(path.read_text(encoding="utf-8"))):
            if text.strip() in _NO_MESSAGES or place in _NOTES:
                continue
            if _is_for_logs(around, place):
                if _is_message(text):
                    messages["log"][""].add(text)
            elif _is_message(text):
                part, code = _code(around, place)
                messages[part][code].add(text)
            elif _is_piece(text):
                messages["piece"][""].add(text.strip())
    for part, code, text in _of_products():
        messages[part][code].add(text)
    seen: set[str] = set()
    once: dict[str, dict[str, list[str]]] = {part: {} for part in _PARTS}
    for part in _PARTS:
        for code in sorted(messages[part]):
            new = {bare(each): each for each in sorted(messages[part][code], reverse=True)}
            if texts := sorted(text for key, text in new.items() if key not in seen):
                once[part][code] = texts
            seen |= new.keys()
    return once


def as_page() -> str:
    """Return the page.

    Raises:
        ValueError: two messages have one name. Give one of them another on the page.
    """
    lines = [
        "# Messages",
        "",
        "All that Envoy, the farm, its runners and the client tell people, by the code that goes"
        " with it. Programs compare codes: messages may change their words with any version. What"
        " stands in braces is filled in. Before each message stands its name, by which tests tell"
        " it from others. One that several codes have stands under the first of them."
        " `tools/message_page.py` writes this page.",
    ]
    parts = found()
    texts = [each for codes in parts.values() for of_one in codes.values() for each in of_one]
    names = named(texts, rows())
    if double := [name for name, count in Counter(names.values()).items() if count > 1]:
        raise ValueError(f"several messages have the names {', '.join(sorted(double))}")
    for part, codes in parts.items():
        title, text = _PARTS[part]
        lines += ["", f"## {title}", "", text]
        for code, messages in codes.items():
            lines += ["", f"### `{code}`"] if code else []
            lines += ["", *(_row(names[bare(each)], each) for each in messages)]
    return "\n".join(lines) + "\n"


def _row(name: str, text: str) -> str:
    """Return a message's line of the page."""
    return f"- `{name}` " + _ESCAPE.sub(r"\\\1", text)


def rows() -> list[tuple[str, str]]:
    """Return the names and texts that are on the page."""
    if not PAGE.exists():
        return []
    found = map(_ROW.fullmatch, PAGE.read_text(encoding="utf-8").splitlines())
    return [(each["name"], re.sub(r"\\(.)", r"\1", each["text"])) for each in found if each]


def bare(text: str) -> str:
    """Return a message without its placeholders and the spaces around them."""
    return _FILLED_IN.sub("{}", text).strip()


def named(texts: Iterable[str], before: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the name of each text by its `bare` form.

    Parameters:
        before: names and texts as they were.
    """
    wanted = list(dict.fromkeys(map(bare, texts)))
    old = {bare(text): name for name, text in before}
    names = {each: old.pop(each) for each in wanted if each in old}
    for each in wanted:
        if each not in names:
            likeness, alike = max(((_alike(text, each), text) for text in old), default=(0.0, ""))
            if likeness >= _ALIKE:
                names[each] = old.pop(alike)
    taken = set(names.values())
    for each in wanted:
        if each not in names:
            names[each] = _new(each, taken)
            taken.add(names[each])
    return names


def _alike(one: str, other: str) -> float:
    words, others = set(_telling(one)), set(_telling(other))
    return 2 * len(words & others) / max(1, len(words) + len(others))


def _telling(text: str) -> list[str]:
    words = [each.lower().replace("'", "") for each in _WORD.findall(text)]
    return [each for each in words if each not in _SAYS_NOTHING] or words


def _new(text: str, taken: set[str]) -> str:
    telling = _telling(text) or ["message"]
    for count in range(min(_MOST_WORDS, len(telling)), len(telling) + 1):
        if (name := "-".join(telling[:count])) not in taken:
            return name
    return next(each for number in range(2, 99) if (each := f"{name}-{number}") not in taken)


def _of_products() -> Iterator[tuple[str, str, str]]:
    """Yield part, code and text of each message in the files of a product."""

    def walk(node: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        match node:
            case dict():
                for key, value in node.items():
                    yield from walk(value, (*keys, str(key)))
            case list():
                for value in node:
                    yield from walk(value, keys)
            case str():
                yield keys, " ".join(node.split())

    for path in sorted((ROOT / "packages").glob("*/src/**/products/*/*.farm.yaml")):
        for keys, text in walk(yaml.safe_load(path.read_text(encoding="utf-8")), ()):
            if keys[-1] == "because":
                yield "error", "invalid_request", f"{{name}} {text}"
            elif keys[0] == "refused" or keys[-1] == "message":
                is_fault = keys[0] in ("refused", "patterns")
                yield *(("error", "invalid_request") if is_fault else ("task", "")), text


def _texts(tree: ast.Module) -> Iterator[tuple[str, list[ast.AST]]]:
    """Yield each text with the nodes that contain it, the innermost first."""

    def walk(node: ast.AST, around: list[ast.AST]) -> Iterator[tuple[str, list[ast.AST]]]:
        text = _text(node)
        if text is not None:
            yield text, around
            return
        if _is_for_programs(node):
            return
        for child in ast.iter_child_nodes(node):
            yield from walk(child, [node, *around])

    yield from walk(tree, [])


def _is_for_programs(node: ast.AST) -> bool:
    """Return whether users never see a text: in assertions and comparisons, for example."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return True  # A docstring.
        case ast.Call(func=ast.Name(id="AssertionError")):
            return True
    return isinstance(node, ast.Assert | ast.Compare)


def _text(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Constant(value=bytes(data)) if data.isascii():
            return data.decode()
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
    if _ONLY_NAMED.fullmatch(text):
        return True
    plain = len(text) >= _LEAST and _SENTENCE.fullmatch(text) is not None
    has_words = re.search(r"[A-Za-z]{2}", bare(text)) is not None
    return plain and has_words and not _CODE.match(text)


def _is_piece(text: str) -> bool:
    plain = _PIECE.fullmatch(text) is not None and "%(" not in text and not _CODE.match(text)
    return plain and len(_PLAIN_WORD.findall(text)) >= _LEAST_WORDS


def _is_for_logs(around: list[ast.AST], place: str) -> bool:
    if place.startswith("client/"):
        return False  # Whoever uses the library reads its log.
    for node in around:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "_log" | "logger"))):
                return True
    return False


def _code(around: list[ast.AST], place: str) -> tuple[str, str]:
    inner: ast.AST | None = None
    for node in around:
        if isinstance(node, _BLOCKS):
            used = _where_used(inner, node)
            if used is not None and (found := _text_of(used, None, place)) is not None:
                return found
            break
        if (found := _text_of(node, inner, place)) is not None:
            return found
        inner = node
    return next(code for room, code in _ROOMS if place.startswith(room))


def _where_used(statement: ast.AST | None, block: ast.AST) -> ast.AST | None:
    """Return the next simple statement of a block that uses a name which a statement assigns."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            pass
        case _:
            return None
    for _, part in ast.iter_fields(block):
        if isinstance(part, list) and statement in part:
            for after in part[part.index(statement) + 1 :]:
                names = {each.id for each in ast.walk(after) if isinstance(each, ast.Name)}
                if name in names:
                    return None if isinstance(after, _BLOCKS) else after
    return None


def _text_of(node: ast.AST, inner: ast.AST | None, place: str) -> tuple[str, str] | None:
    """Return the part and the code that a call or a statement gives its text.

    Parameters:
        inner: as of `_named_code`.
    """
    if (found := _named_code(node, inner)) is not None:
        return found
    if place.startswith("client/"):
        return _raised_by_client(node)
    match node:
        case ast.Raise(exc=ast.Call() as call) | ast.Return(value=ast.Call() as call):
            return _text_of(call, inner, place)
        case ast.Call(func=ast.Name(id=name)) if name in _CLASSES:
            return _CLASSES[name]
        case ast.Call(func=ast.Attribute(attr="Option" | "Argument")):
            return "start", ""
        case ast.Call(func=ast.Name(id=name)) if name in _TOLD:
            return "start", ""
    return None


def _named_code(node: ast.AST, inner: ast.AST | None) -> tuple[str, str] | None:
    """Return the code that an expression or a statement contains beside the text.

    Parameters:
        inner: the part of the node that contains the text; None: the text itself.
    """
    parts: list[ast.AST]
    match node:
        case ast.Dict(keys=keys, values=values):
            # Its own key's, not a neighbour's.
            parts = [key for key, value in zip(keys, values, strict=True) if value is inner and key]
        case ast.Compare() | ast.IfExp():
            return None
        case ast.stmt() | ast.Call():
            parts = [node]
        case _:
            return None
    for part in parts:
        for each in _outside_conditions(part):
            match each:
                case ast.Attribute(value=ast.Name(id=name), attr=member) if name in _CODES:
                    return _CODES[name], member.lower()
    return None


def _outside_conditions(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes in a node, without those in comparisons and in other dictionaries."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Compare | ast.Dict):
            yield from _outside_conditions(child)


def _raised_by_client(node: ast.AST) -> tuple[str, str] | None:
    """Return the class of the client's error that a call makes, or a statement raises."""
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in _OF_CLIENT:
            return "client", _OF_CLIENT[name]
        case ast.Raise(exc=ast.Call(func=ast.Name(id=name))) if name[:1].isupper():
            return "client", name
    return None


if __name__ == "__main__":
    PAGE.write_text(as_page(), encoding="utf-8")
