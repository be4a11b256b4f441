"""No program decides by what a text for people says: its words may change with any version.

What renderers print is data of their products (YAML files), which nobody searches here.
"""

import ast
import re
from collections.abc import Iterator

import pytest
from source_lines import ROOT, lines_with

ELSEWHERE = ("/migrations/versions/", "/scripts/")
"""What old versions wrote is known, and of a foreign program its words may be all there is."""
SOURCES = [
    each
    for each in sorted(ROOT.glob("packages/*/src/**/*.py"))
    if not any(place in each.as_posix() for place in ELSEWHERE)
]

TEXTS = {"message", "messages", "description", "noticed"}
"""What texts for people are called: variables, attributes, columns and keys."""

ALSO_TEXTS = {"refusal", "sentence", "problem", "trouble", "told", "warning", "fault"}
"""Names that texts have, too: none of these decides a state by being there."""

CODES = ("State", "Reason", "Outcome", "End", "Code")
"""How the classes end whose members are states and reasons."""

LOOKS = {
    *("startswith", "endswith", "find", "rfind", "index", "rindex", "count", "partition"),
    *("rpartition", "split", "rsplit", "removeprefix", "removesuffix", "like", "ilike"),
    *("not_like", "contains", "icontains", "istartswith", "iendswith", "regexp_match", "in_"),
    *("not_in", "is_", "is_not", "match", "search", "fullmatch", "findall", "finditer"),
}
"""Methods that tell something about a text's words, or that look into one of their arguments."""


WORDS = re.compile(r"[A-Za-z]{2,},? [A-Za-z]{2,}")
"""What no code, name or path looks like."""


def is_wording(node: ast.AST) -> bool:
    """Return whether an expression is words that somebody else may say, or several such."""
    match node:
        case ast.Constant(value=str(text)):
            return WORDS.search(text) is not None
        case ast.Constant(value=bytes(data)):
            return WORDS.search(data.decode("latin-1")) is not None
        case ast.Tuple(elts=each) | ast.Set(elts=each) | ast.List(elts=each):
            return any(map(is_wording, each))
    return False


def is_text(node: ast.AST) -> bool:
    """Return whether an expression is a text for people, or what an error says."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in TEXTS
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name in TEXTS
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return name in TEXTS
        case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id="error" | "problem")]):
            return True
        case ast.Call(func=ast.Attribute(value=value, attr="lower" | "strip" | "casefold")):
            return is_text(value)
    return False


def is_free(node: ast.AST) -> bool:
    """Return whether a text may be compared with this.

    Whether it is another one, or there is one at all, depends on no word of either.
    """
    match node:
        case ast.Constant(value=value):
            return value is None
        case ast.Name(id=name):
            return not name.isupper()
    return is_text(node)


def is_code(node: ast.AST) -> bool:
    """Return whether an expression is a state or a reason: what programs compare."""
    match node:
        case ast.Attribute(value=ast.Name(id=name)):
            return name.endswith(CODES)
    return False


def sets_code(node: ast.AST) -> bool:
    match node:
        case ast.Assign(value=value) | ast.Return(value=ast.AST() as value):
            return is_code(value)
    return False


def tells_by_text(test: ast.AST) -> bool:
    """Return whether a condition is that there is a text, or is none."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return tells_by_text(operand)
        case ast.BoolOp(values=values):
            return any(map(tells_by_text, values))
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in TEXTS | ALSO_TEXTS
    return False


def decisions(source: str) -> Iterator[int]:
    """Yield the lines at which something is decided by the words of a text for people."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                decided = any(map(is_text, sides)) and not all(map(is_free, sides))
                if decided or any(map(is_wording, sides)):
                    yield node.lineno
            case ast.Call(func=ast.Attribute(attr="split" | "rsplit"), args=[]):
                pass  # At its spaces.
            case ast.Call(func=ast.Attribute(value=value, attr=name), args=given):
                worded = any(map(is_wording, given))
                looked = name in LOOKS and (worded or any(map(is_text, (value, *given))))
                if looked or (name == "compile" and worded):
                    yield node.lineno
            case ast.Match(subject=subject) if is_text(subject):
                yield node.lineno
            case ast.IfExp(test=test, body=body, orelse=other) if is_code(body) or is_code(other):
                if tells_by_text(test):
                    yield node.lineno
            case ast.If(test=test, body=body, orelse=other) if tells_by_text(test):
                if any(map(sets_code, (*body, *other))):
                    yield node.lineno


@pytest.mark.parametrize("package", sorted(each.name for each in (ROOT / "packages").iterdir()))
def test_nothing_is_decided_by_words(package: str) -> None:
    paths = [each for each in SOURCES if each.relative_to(ROOT).parts[1] == package]
    found = lines_with(decisions, paths)
    assert found == [], "decide by a code or a column, such as `JobReason`"


@pytest.mark.parametrize(
    "line",
    [
        'if job["message"].startswith(ELSEWHERE): pass',
        "if row.message.startswith(WAITS) and not waits: pass",
        'over = row.get("message", "").lower().endswith("again")',
        'query.where(claims.c.outcome.in_(_BAD), claims.c.message != "")',
        'jobs.c.message.like("Waiting: %")',
        'if "Waits" in entry["message"]: pass',
        'done = "" == answer.message',
        "re.match(pattern, job.message)",
        'if "no such table" in str(error): pass',
        "if message in _FINAL: pass",
        "match message:\n case _: pass",
        'if "disk is full" in told or "no space left" in told: pass',
        'if "failed to start" in record.getMessage(): pass',
        'text = fault["msg"].removeprefix("Value error, it")',
        'over = line.startswith(("Saved: done", b"Time: over now"))',
        'failed = re.compile("No space left on device").search(line)',
        'if told in {"database is locked"}: pass',
        "state = DownloadState.FAILED if output.refusal else DownloadState.PENDING",
        "state = JobState.READY if not message else JobState.FAILED",
        "if row.message and over: state = JobState.FAILED",
    ],
)
def test_a_decision_by_words_is_found(line: str) -> None:
    assert set(decisions(line)) == {1}


@pytest.mark.parametrize(
    "line",
    [
        "if message != node.message: pass",
        'if row["noticed"] != text: pass',
        "if message not in warned and message is not None: pass",
        '" ".join(description.split())',
        'told = f"{job.message}".rstrip()',
        'if reason == "licence": pass',
        "said = message or 'nothing'",
        'if "sqlite_errorcode" in vars(error): pass',
        'log.info("the disk is full")',
        'names = text.split(", ")',
        "state = State.FAILED if output.refusal is not None else State.PENDING",
    ],
)
def test_what_only_shows_or_compares_texts_is_none(line: str) -> None:
    assert list(decisions(line)) == []
