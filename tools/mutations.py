"""What can be changed in a module so that a test should notice: one thing at a time."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        lines: of the statement that is changed; of one with a block, those above the block.
        number: only a number is one larger.
    """

    line: int
    lines: range
    number: bool
    before: str
    after: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Return a module with one thing changed, again and again."""
    tree = ast.parse(source)
    unchanged = ast.unparse(tree)
    statements = _statements_of_nodes(tree)
    for place, node in enumerate(ast.walk(tree)):
        for change, at in _changes(node):
            changed = copy.deepcopy(tree)
            there = next(each for at, each in enumerate(ast.walk(changed)) if at == place)
            change(there)
            ast.fix_missing_locations(changed)
            new = ast.unparse(changed)
            statement = statements.get(at, at)
            line = getattr(at, "lineno", getattr(statement, "lineno", 0))
            number = isinstance(node, ast.Constant) and not isinstance(node.value, bool)
            yield Mutant(line, _lines(statement), number, *_difference(unchanged, new), new)


def _statements_of_nodes(tree: ast.AST) -> dict[ast.AST, ast.stmt]:
    """Return the innermost statement of each node."""
    found: dict[ast.AST, ast.stmt] = {}

    def walk(node: ast.AST, statement: ast.stmt | None) -> None:
        inner = node if isinstance(node, ast.stmt) else statement
        if inner is not None:
            found[node] = inner
        for child in ast.iter_child_nodes(node):
            walk(child, inner)

    walk(tree, None)
    return found


def _lines(statement: ast.AST) -> range:
    first, last = getattr(statement, "lineno", 0), getattr(statement, "end_lineno", 0)
    block = _block(statement, "body")
    return range(first, max(first + 1, block[0].lineno if block else last + 1))


def _difference(one: str, other: str) -> tuple[str, str]:
    """Return the first line that two texts do not share, of each."""
    lines = zip(one.split("\n"), other.split("\n"), strict=False)
    before, after = next(((a, b) for a, b in lines if a != b), ("", ""))
    return before.strip(), after.strip()


def _changes(node: ast.AST) -> list[tuple[Change, ast.AST]]:
    """Return what can be done to a node: what does it to a copy, and the node that it is about."""
    return [*((each, node) for each in _other_meanings(node)), *_without_a_statement(node)]


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


def _without_a_statement(node: ast.AST) -> list[tuple[Change, ast.AST]]:
    return [
        (_put(block, at, ast.Pass()), each)
        for block in _BLOCKS
        for at, each in enumerate(_block(node, block))
        if isinstance(each, ast.Expr | ast.Raise | ast.AugAssign)
        and not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
    ]


def _block(node: ast.AST, name: str) -> list[ast.stmt]:
    """Return the statements of a block; of a lambda or a condition the body is no list."""
    found = getattr(node, name, [])
    return found if isinstance(found, list) else []
