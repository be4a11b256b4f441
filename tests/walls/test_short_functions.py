"""Functions fit a screen, and modules a sitting: who reads one sees all of it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    each
    for folder in ("packages/*/src", "tools", "bench")
    for each in sorted(ROOT.glob(f"{folder}/**/*.py"))
    # The tables of a version are one list after the other: Alembic writes it, nobody changes it.
    if "/migrations/versions/" not in each.as_posix()
]

MOST_LINES = 60
"""Of a function, from its name to its last line, without its docstring."""


MOST_LINES_OF_MODULES = 500


def lengths(source: str) -> Iterator[tuple[str, int]]:
    """Yield each function's name and lines, those of classes and of other functions included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            yield node.name, lines


def test_functions_fit_a_screen() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}: {name} has {lines} lines"
        for path in SOURCES
        for name, lines in lengths(path.read_text(encoding="utf-8"))
        if lines > MOST_LINES
    ]
    assert not too_long


def test_modules_are_short() -> None:
    tests = [*ROOT.glob("packages/*/tests/**/*.py"), *ROOT.glob("tests/**/*.py")]
    counted = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in (*SOURCES, *tests)
    }
    assert not {path: count for path, count in counted.items() if count > MOST_LINES_OF_MODULES}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f():\n    return 1\n", 2),
        ("async def f(\n    a,\n):\n    '''Two\n    lines.'''\n    return 1\n", 4),
        ("class C:\n    def f(self):\n        '''One.'''\n", 1),
    ],
)
def test_lines_are_counted_without_the_docstring(source: str, lines: int) -> None:
    assert list(lengths(source)) == [("f", lines)]
