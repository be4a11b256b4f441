"""No test gives up on a busy machine: what only ends a test that hangs may take a minute or more.

How long something takes says nothing where four tests share two cores. A wait fails for what it
waits for, or never: then pytest's own time-out ends the test and shows where it waits.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    each
    for folder in ("packages/*/tests", "tests")
    for found in sorted(ROOT.glob(folder))
    for each in sorted(found.rglob("*.py"))
]

SHORTEST_SECONDS = 60
WAITS = {"join": 0, "wait": 0, "wait_for": 1}
"""Methods, and at which place of their arguments the seconds stand."""
CLOCKS = {"monotonic", "perf_counter", "time"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def numbers_of(tree: ast.Module) -> dict[str, float]:
    """Return the numbers that are constants of a module."""
    found: dict[str, float] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                if isinstance(value, int | float):
                    found[name] = value
    return found


def seconds(node: ast.expr | None, numbers: dict[str, float]) -> float | None:
    """Return the number that an expression is, None when it is none that is known."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int(value)) | ast.Constant(value=float(value)):
            return value
        case ast.Name(id=name):
            return numbers.get(name)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            one, other = seconds(left, numbers), seconds(right, numbers)
            return one / other if one is not None and other else None
    return None


def is_clock(node: ast.AST) -> bool:
    return any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr in CLOCKS
        for each in ast.walk(node)
    )


def patience(node: ast.AST) -> Iterator[ast.expr | None]:
    """Yield what a node waits at most, or compares a time that has passed with."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            yield from (each.value for each in node.keywords if each.arg == "timeout")
            place = WAITS.get(name)
            if place is not None and place < len(node.args):
                yield node.args[place]
        case ast.FunctionDef(args=args) | ast.AsyncFunctionDef(args=args):
            named = [*args.posonlyargs, *args.args][::-1]
            pairs = [*zip(named, args.defaults[::-1]), *zip(args.kwonlyargs, args.kw_defaults)]  # noqa: B905
            yield from (value for name, value in pairs if name.arg == "timeout")
        case ast.Compare(left=ast.BinOp(op=ast.Sub()) as left, ops=[ast.Lt() | ast.LtE()]):
            if is_clock(left):
                yield node.comparators[0]
        case ast.Assign(value=ast.BinOp(op=ast.Add(), right=right) as value):
            if is_clock(value.left):
                yield right


def is_to_expire(node: ast.AST) -> bool:
    """Return whether what is in here may well take longer: that is tested, or tried in turns."""
    match node:
        case ast.With(items=items) | ast.AsyncWith(items=items):
            text = " ".join(ast.unparse(each.context_expr) for each in items)
            return "raises(" in text or "suppress(" in text
    return False


def short_ones(source: str) -> Iterator[tuple[int, float]]:
    """Yield the lines at which less than `SHORTEST_SECONDS` are waited, and how long."""
    tree = ast.parse(source)
    numbers = numbers_of(tree)

    def visit(node: ast.AST) -> Iterator[tuple[int, float]]:
        for each in patience(node):
            if (found := seconds(each, numbers)) is not None and found < SHORTEST_SECONDS:
                yield getattr(node, "lineno", 0), found
        if is_to_expire(node):
            return
        for child in ast.iter_child_nodes(node):
            # What a loop does again and again may be over in between.
            in_turns = isinstance(child, ast.Expr) or child is getattr(node, "test", None)
            if not (isinstance(node, ast.While) and in_turns):
                yield from visit(child)

    yield from visit(tree)


def test_no_test_gives_up_soon() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} ({found:g} s)"
        for path in SOURCES
        for line, found in short_ones(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "assert process.wait(30) == 0",
        "thread.join(5)",
        "assert going.wait_for(lambda: True, 10)",
        "await asyncio.wait_for(task, timeout=2.5)",
        "assert begun.acquire(timeout=30)",
        "httpx.get(url, timeout=5)",
        "LONG = 40\nhttpx.get(url, timeout=LONG)",
        "httpx.get(url, timeout=60 / 4)",
        "def wait(self, timeout: float = 40.0): ...",
        "def wait(self, *, timeout=40): ...",
        "assert time.monotonic() - begin < 0.3",
        "assert asyncio.get_running_loop().time() - began <= 5",
        "until = time.monotonic() + 30",
        "while not seen:\n    assert going.wait(5)",
    ],
)
def test_a_short_patience_is_found(line: str) -> None:
    assert [found for found, _ in short_ones(line)] != []


@pytest.mark.parametrize(
    "line",
    [
        "assert process.wait(60) == 0",
        "process.wait()",
        '", ".join(names)',
        "with pytest.raises(APIError):\n    client.get(url, timeout=0.1)",
        "while not over.wait(0.02):\n    look()",
        "while thread.is_alive():\n    thread.join(0.2)",
        "assert time.monotonic() - begin > 1",
    ],
)
def test_what_expires_on_purpose_is_not(line: str) -> None:
    assert list(short_ones(line)) == []
