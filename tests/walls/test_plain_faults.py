"""What pydantic found is told in plain words, by `farm_protocol.faults`.

Its own are for programmers. They ("Input should be ...") change with its versions, too.
"""

import ast
from collections.abc import Iterator

import pytest
from source_lines import ROOT, lines_with

SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))
ERRORS = {"ValidationError", "RequestValidationError", "SettingsError"}
"""Exceptions whose texts are pydantic's."""


def _names(node: ast.AST | None) -> set[str]:
    """Return the names in the types that a handler catches."""
    found = ast.walk(node) if node else ()
    named = (each for each in found if isinstance(each, ast.Name | ast.Attribute))
    return {each.id if isinstance(each, ast.Name) else each.attr for each in named}


def _shown(handler: ast.ExceptHandler) -> Iterator[int]:
    """Yield the lines in which a handler makes a text of its exception."""
    for node in ast.walk(handler):
        match node:
            case ast.FormattedValue(value=ast.Name(id=name)) if name == handler.name:
                yield node.lineno
            case ast.Call(func=ast.Name(id="str" | "repr"), args=[ast.Name(id=name)]):
                if name == handler.name:
                    yield node.lineno


def foreign_words(source: str) -> Iterator[int]:
    """Yield the lines that use pydantic's own words."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Subscript(slice=ast.Constant(value="msg"), ctx=ast.Load()):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value="msg"), *_]):
                yield node.lineno
            case ast.ExceptHandler() if _names(node.type) & ERRORS:
                yield from _shown(node)


def test_nobody_is_told_pydantics_words() -> None:
    found = lines_with(foreign_words, SOURCES)
    assert found == [], "use `fault_text` or `first_fault` of `farm_protocol.faults`"


@pytest.mark.parametrize(
    "line",
    [
        "told = fault['msg']",
        "told = error.errors()[0].get('msg', '')",
        "try: pass\nexcept ValidationError as error: fail(f'It is wrong: {error}')",
        "try: pass\nexcept (OSError, pydantic.ValidationError) as error: fail(str(error))",
    ],
)
def test_such_words_are_found(line: str) -> None:
    assert list(foreign_words(line))


@pytest.mark.parametrize(
    "line",
    [
        "told = fault_text(fault)",
        "fault = {'msg': ''}",
        "try: pass\nexcept ValidationError as error: fail(first_fault(error))",
        "try: pass\nexcept OSError as error: fail(f'{error}')",
    ],
)
def test_what_words_it_plainly_is_none(line: str) -> None:
    assert list(foreign_words(line)) == []
