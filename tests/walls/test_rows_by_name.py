"""What a table holds is read by the names of its columns, and never by their places in a row.

A column more, or two in another order, would otherwise put a value into a wrong field in silence.
"""

import ast
from collections import Counter
from collections.abc import Iterator

import pytest
from source_lines import ROOT, lines_with

PACKAGES = ROOT / "packages"
TABLES = [
    path
    # Where all tables are read.
    for folder in ("farm/src/farm/db", "envoy/src/envoy/journal")
    for path in sorted((PACKAGES / folder).glob("**/*.py"))
    # Each migration is of its own time.
    if "/migrations/versions/" not in path.as_posix()
]
MOST_UNPACKED = 5
MOST_SUBSCRIPTS = 3
"""Fields of one row in a function, read from a mapping that mypy knows nothing of."""


def is_class(name: str) -> bool:
    plain = name.lstrip("_")
    return plain[:1].isupper() and not plain.isupper()


def by_place(source: str) -> Iterator[int]:
    """Yield the lines in which a class gets its fields from a row as a whole."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.Starred()], keywords=[]):
                if is_class(name):
                    yield node.lineno
            case ast.Call(func=ast.Name(id="starmap"), args=[ast.Name(id=name), *_]):
                if is_class(name):
                    yield node.lineno


def untyped(source: str) -> Iterator[int]:
    """Yield the lines in which a wide row is taken apart without a type."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.For(target=ast.Tuple(elts=names))
                | ast.comprehension(target=ast.Tuple(elts=names))
            ):
                if len(names) > MOST_UNPACKED:
                    yield names[0].lineno
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=value):
                if len(names) > MOST_UNPACKED and not isinstance(value, ast.Tuple):
                    yield node.lineno
            case ast.FunctionDef():
                read = Counter(
                    each.value.id
                    for each in ast.walk(node)
                    if isinstance(each, ast.Subscript)
                    and isinstance(each.value, ast.Name)
                    and isinstance(each.ctx, ast.Load)
                    and isinstance(each.slice, ast.Constant)
                )
                if any(count > MOST_SUBSCRIPTS for count in read.values()):
                    yield node.lineno


def test_no_class_is_made_of_a_row_by_place() -> None:
    found = lines_with(by_place, TABLES)
    assert not found


def test_no_wide_row_is_taken_apart_without_a_type() -> None:
    found = lines_with(untyped, TABLES)
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "JobRow(*found)",
        "[_Job(*row) for row in rows]",
        "Plan(*values[:own])",
        "starmap(JobRow, rows)",
    ],
)
def test_rows_by_place_are_found(source: str) -> None:
    assert list(by_place(source)) == [1]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a, b, c, d, e, *f = values", 1),
        ("for a, b, c, d, e, f in rows: pass", 1),
        ("[a for a, b, c, d, e, f in rows]", 1),
        ("def f(row):\n    return [row['a'], row['b'], row['c'], row['d']]", 1),
        ("def f(row):\n    return [row[0], row[1], row[2], row[3]]", 1),
    ],
)
def test_wide_rows_without_a_type_are_found(source: str, line: int) -> None:
    assert list(untyped(source)) == [line]
