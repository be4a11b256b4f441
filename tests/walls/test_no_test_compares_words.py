"""No test compares the words of a message: they may change with any version.

Tests tell messages by their names, with `says` and `saying` of tests/support/messages.py.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tools.message_page import bare, rows

ROOT = Path(__file__).parents[2]
TESTS = [
    path
    for path in sorted((*ROOT.glob("packages/*/tests/**/*.py"), *ROOT.glob("tests/**/*.py")))
    # Those are about the page of messages itself, and these about what they plant.
    if path.parent not in (ROOT / "tests/docs", ROOT / "tests/walls")
]

LOOKS = {
    *("startswith", "endswith", "count", "match", "search", "fullmatch", "findall"),
    *("says", "saying", "parametrize"),
}
"""Functions that tell something about a text's words, by a text that they are given."""

LEAST_WORDS = 4
"""Of a message, one after another, which no test happens to use by itself."""
SHORTEST, SHORTEST_SEARCHED = 3, 2
"""Words of a text all of which stand in a message; and of one that is looked for in another, which
is no value of a test's parameter."""

SHOWN = {
    *("message", "messages", "Message", "warnings", "Warnings", "waiting_for", "problems"),
    *("stdout", "stderr", "user_message", "skipped_files"),
}
"""Attributes, keys and variables that hold what people are shown: there one word is enough."""

UNITS = {"bytes", "kb", "mb", "gb", "s"}

ALLOWED = {
    "Job submission successful.": "the published client's contract has these words",
    "File uploads in progress.": "the published client's contract has these words",
    "Nothing to render": "husk says that",
    "render only": "Nuke says that",
    "Sign in": "the tests' own farm answers that",
    "envoy up": "a command",
    "envoy stop": "a command",
    "Error: [Errno": "Python says that",
    "Marker": "a column of a table",
    "Try again later: ": "a script in examples/ says that, in its own words",
}

_PLAIN = re.compile(r"[A-Za-z][a-z'-]*")


def compared(source: str) -> Iterator[tuple[int, str]]:
    """Yield the texts that a test compares something with, and their lines."""

    def walk(node: ast.AST, is_compared: bool) -> Iterator[tuple[int, str]]:
        match node:
            case ast.Constant(value=str(text)):
                if is_compared:
                    yield node.lineno, text
            case ast.JoinedStr(values=values):
                pieces = [each.value if isinstance(each, ast.Constant) else "{}" for each in values]
                if is_compared:
                    yield node.lineno, "".join(map(str, pieces))
            case ast.Assert(test=test):
                yield from walk(test, True)
            case _:
                also = is_compared or looks(node)
                for child in ast.iter_child_nodes(node):
                    yield from walk(child, also)

    def looks(node: ast.AST) -> bool:
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                return name in LOOKS
            case ast.Compare() | ast.keyword(arg="match"):
                return True
        return False

    yield from walk(ast.parse(source), False)


def searched(source: str) -> Iterator[tuple[int, str]]:
    """Yield the texts that a test looks for in others, and their lines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare(left=ast.Constant(value=str(text)), ops=[ast.In() | ast.NotIn()]):
                yield node.lineno, text
            case ast.keyword(arg="match", value=ast.Constant(value=str(text)) as value):
                yield value.lineno, text
            case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value=str(text)), *_]):
                if name in LOOKS:
                    yield node.lineno, text


def searched_in_messages(source: str) -> Iterator[tuple[int, str]]:
    """Yield the texts that a test looks for in what people are shown, and their lines."""
    tree = ast.parse(source)
    each_of = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension) and is_shown(node.iter, set())
        for target in [node.target]
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Compare(
                left=ast.Constant(value=str(text)),
                ops=[ast.In() | ast.NotIn()],
                comparators=[where],
            ):
                if is_shown(where, each_of):
                    yield node.lineno, text
            case ast.keyword(arg="match", value=ast.Constant(value=str(text)) as value):
                yield value.lineno, text
            case ast.Call(
                func=ast.Attribute(attr=name, value=where), args=[ast.Constant(value=str(text)), *_]
            ):
                if name in LOOKS and is_shown(where, each_of):
                    yield node.lineno, text


def is_shown(node: ast.AST, each_of: set[str]) -> bool:
    """Return whether an expression is what people are shown.

    Parameters:
        each_of: variables that are one message after another.
    """
    match node:
        case ast.Name(id=name):
            return name in SHOWN or name in each_of
        case ast.Attribute(attr=name, value=value):
            return name in SHOWN or is_shown(value, each_of)
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name in SHOWN
        case ast.Subscript(value=value) | ast.Await(value=value):
            return is_shown(value, each_of)
        case ast.Call(func=ast.Name(id="str"), args=[ast.Attribute(attr="value")]):
            return True  # Of an error that was raised.
        case ast.Call(func=func):
            return is_shown(func, each_of)
    return False


def is_all_wording(text: str) -> bool:
    """Return whether a text has words, and all of them stand in messages, as far as they go."""
    pieces = [each.strip(".,:;!?()").lower() for each in text.split()]
    plain = [_PLAIN.fullmatch(each) and each not in UNITS for each in pieces]
    marked = [each if is_plain else "" for each, is_plain in zip(pieces, plain, strict=True)]
    found = [tuple(run.split()) for run in " ".join(each or "|" for each in marked).split("|")]
    words = [each for each in found if each]
    return bool(words) and text not in ALLOWED and all(each in said(len(each)) for each in words)


def runs(text: str, length: int) -> Iterator[tuple[str, ...]]:
    """Yield the words of a text that stand one after another."""
    run: tuple[str, ...] = ()
    for piece in text.split():
        word = piece.strip(".,:;!?'\"()`").lower()
        run = (*run, word)[-length:] if _PLAIN.fullmatch(word) else ()
        if len(run) == length:
            yield run


@cache
def said(length: int) -> frozenset[tuple[str, ...]]:
    return frozenset(run for _, text in rows() for run in runs(bare(text), length))


def is_wording(text: str, shortest: int = SHORTEST) -> bool:
    """Return whether a text has words of a message."""
    length = min(len(text.split()), LEAST_WORDS)
    if length < shortest or text in ALLOWED:
        return False
    return not said(length).isdisjoint(runs(text, length))


def test_no_test_compares_words() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in TESTS
        for shortest, texts in ((SHORTEST, compared), (SHORTEST_SEARCHED, searched))
        for line, text in texts(path.read_text(encoding="utf-8"))
        if is_wording(text, shortest)
    ]
    found += [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in TESTS
        for line, text in searched_in_messages(path.read_text(encoding="utf-8"))
        if is_all_wording(text)
    ]
    assert sorted(set(found)) == [], "use says() or saying(), of tests/support/messages.py"


@pytest.mark.parametrize("text", ALLOWED)
def test_what_is_allowed_is_still_needed(text: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in TESTS]
    assert any(text in {each for _, each in compared(source)} for source in sources)


@pytest.mark.parametrize(
    "line",
    [
        'assert "The farm is not running." in done.stderr',
        'assert done.stdout == "Envoy has stopped.\\n"',
        'assert answer == {"errors": {"text": ["The log of this job is full."]}}',
        'assert f"The blob {name} has other bytes, so there is no job {job}" in text',
        'with raises(Error, match="the renderer reported more frames than"): pass',
        'until(lambda: "the farm is not running" in text)',
        'assert text.startswith("Suspended: the account is disabled")',
        'parametrize(("state", "words"), [("late", "its runner stopped responding")])',
        'assert says(text, "some-name", "it belongs to another user")',
    ],
)
def test_compared_words_are_found(line: str) -> None:
    assert [text for _, text in compared(line) if is_wording(text)]


@pytest.mark.parametrize(
    "line",
    [
        'assert "not sent" in message',
        'assert "Envoy has" not in text',
        'with raises(Error, match="submit again"): pass',
        'assert message.startswith("Waiting for")',
    ],
)
def test_two_words_that_are_looked_for_are_found(line: str) -> None:
    assert [text for _, text in searched(line) if is_wording(text, SHORTEST_SEARCHED)]


@pytest.mark.parametrize(
    "line",
    [
        'assert "camera" in job["message"]',
        'with raises(Error, match="damaged"): pass',
        'assert "disabled" in office.farm("disable", EMAIL).stdout',
        'assert "above 50" in answer.json()["message"]',
        'with raises(Error, match="in 1 seconds"): pass',
        'assert not [each for each in claim.warnings if "sandbox" not in each]',
        'assert "wrong" in str(caught.value)',
        'assert (await studio.of(job))["message"].startswith("Suspended: ")',
    ],
)
def test_a_word_that_is_looked_for_in_a_message_is_found(line: str) -> None:
    source = line if "await" not in line else f"async def f():\n    {line}"
    assert [text for _, text in searched_in_messages(source) if is_all_wording(text)]


@pytest.mark.parametrize(
    "line",
    [
        'assert "node1" in job["message"]',
        'assert "demo/scene.blend" in answer.json()["message"]',
        'assert "damaged" in names',
        'assert "no such farmhouse" in told["waiting_for"]',
    ],
)
def test_what_is_filled_in_may_be_looked_for(line: str) -> None:
    assert not [text for _, text in searched_in_messages(line) if is_all_wording(text)]


@pytest.mark.parametrize(
    "line",
    [
        'message = "The farm is not running."',
        'assert done, "The farm is not running."',
        'assert says(text, "farm-not-running")',
        'assert "node1" in job["message"]',
        'assert "No space left on device" in log',
        'assert job["message"] == "It broke."',
    ],
)
def test_what_compares_no_words_is_not_found(line: str) -> None:
    assert not [text for _, text in compared(line) if is_wording(text)]
