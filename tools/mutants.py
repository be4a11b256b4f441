"""Switch off one check after another in a module, and see whether the tests beside it notice.

.venv/bin/python tools/mutants.py packages/protocol/src/farm_protocol/paths.py \
    packages/protocol/tests/test_paths.py -- -k "not slow"

Each change is made in a copy of the package, which goes before the real one on PYTHONPATH: nothing
of the repository is touched, and processes that a test starts see the change, too. What survives is
printed: either a test is missing, or the change means the same.
"""

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
Change = Callable[[Any], None]
"""Changes a node of the kind that it was made for."""

_BLOCKS = ("body", "orelse", "finalbody")
_SECONDS = 300.0
"""A change that makes the tests hang this long is noticed."""


@dataclass(frozen=True)
class Mutant:
    """One change: where, and what was there and is there now."""

    line: int
    before: str
    after: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Return a module with one thing changed, again and again."""
    tree = ast.parse(source)
    unchanged = ast.unparse(tree)
    for number, node in enumerate(ast.walk(tree)):
        for change in _changes(node):
            changed = copy.deepcopy(tree)
            there = next(each for at, each in enumerate(ast.walk(changed)) if at == number)
            change(there)
            ast.fix_missing_locations(changed)
            new = ast.unparse(changed)
            yield Mutant(getattr(node, "lineno", 0), *_difference(unchanged, new), new)


def _difference(one: str, other: str) -> tuple[str, str]:
    """Return the first line that two texts do not share, of each."""
    lines = zip(one.split("\n"), other.split("\n"), strict=False)
    before, after = next(((a, b) for a, b in lines if a != b), ("", ""))
    return before.strip(), after.strip()


def _changes(node: ast.AST) -> list[Change]:
    """Return what can be done to a node, each as a function that does it to a copy."""
    return [*_other_meanings(node), *_without_a_statement(node)]


def _put(field: str, at: int, new: ast.AST) -> Change:
    def change(node: Any) -> None:
        getattr(node, field)[at] = new

    return change


def _remove(field: str, at: int) -> Change:
    def change(node: Any) -> None:
        del getattr(node, field)[at]

    return change


def _other_meanings(node: ast.AST) -> list[Change]:
    match node:
        case ast.Compare(ops=ops):
            return [_put("ops", at, _SWAPPED[type(each)]()) for at, each in enumerate(ops)]
        case ast.BoolOp(op=op, values=values):
            other = ast.Or if isinstance(op, ast.And) else ast.And
            without = [_remove("values", at) for at in range(len(values))]
            return [lambda it: setattr(it, "op", other()), *without]
        case ast.BinOp(op=op) if type(op) in _OPERATORS:
            return [lambda it: setattr(it, "op", _OPERATORS[type(it.op)]())]
        case ast.UnaryOp(op=ast.Not()):
            return [lambda it: setattr(it, "operand", ast.UnaryOp(ast.Not(), it.operand))]
        case ast.If() | ast.IfExp() | ast.While():
            return [
                lambda it: setattr(it, "test", ast.Constant(False)),
                lambda it: setattr(it, "test", ast.Constant(True)),
            ]
        case ast.Constant(value=bool()):
            return [lambda it: setattr(it, "value", not it.value)]
        case ast.Constant(value=int()):
            return [lambda it: setattr(it, "value", it.value + 1)]
        case ast.Return(value=value) if value and ast.unparse(value) != "None":
            return [lambda it: setattr(it, "value", ast.Constant(None))]
        case ast.comprehension(ifs=ifs) if ifs:
            return [_remove("ifs", at) for at in range(len(ifs))]
        case ast.Call(func=ast.Attribute(attr="where"), args=args):
            # A condition of a query: whose rows it is about, for example.
            return [_remove("args", at) for at in range(len(args))]
    return []


def _without_a_statement(node: ast.AST) -> list[Change]:
    return [
        _put(block, at, ast.Pass())
        for block in _BLOCKS
        for at, each in enumerate(_statements(node, block))
        if isinstance(each, ast.Expr | ast.Raise | ast.AugAssign)
        and not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
    ]


def _statements(node: ast.AST, block: str) -> list[ast.stmt]:
    """Return the statements of a block; of a lambda or a condition the body is no list."""
    found = getattr(node, block, [])
    return found if isinstance(found, list) else []


def noticed(module: Path, mutant: Mutant, command: list[str]) -> bool:
    """Return whether the tests fail with this change."""
    package = next(each for each in module.parents if each.name == "src")
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        changed = Path(folder) / "src"
        shutil.copytree(package, changed, ignore=shutil.ignore_patterns("__pycache__"))
        (changed / module.relative_to(package)).write_text(mutant.source)
        environment = {**os.environ, "PYTHONPATH": str(changed), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return True
        return done.returncode != 0


def main() -> None:
    """Print what survives; the exit code is 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("module", type=Path, help="what is changed")
    parser.add_argument("tests", nargs="+", help="what should notice")
    parser.add_argument("--lines", default="", help="only these lines, such as 20-80")
    own, _, more = " ".join(sys.argv[1:]).partition(" -- ")
    options = parser.parse_args(own.split())
    first, _, last = options.lines.partition("-")
    rest = sys.argv[sys.argv.index("--") + 1 :] if more else []
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider"]
    command += [*options.tests, *rest]
    module = options.module.resolve()
    if noticed(module, Mutant(0, "", "", module.read_text()), command):
        sys.exit("The tests fail without any change.")
    survivors = count = 0
    for mutant in mutants(module.read_text()):
        if options.lines and not int(first) <= mutant.line <= int(last or first):
            continue
        count += 1
        if not noticed(module, mutant, command):
            survivors += 1
            print(f"{module.name}:{mutant.line}: {mutant.before}  ->  {mutant.after}", flush=True)
    print(f"{count} changes, {survivors} not noticed.")
    sys.exit(survivors > 0)


main()
