"""Programs are put together from parts that are handed in: none changes a module of another.

Tests of the system's own calls may: those have no other way to fail.
"""

import ast
from collections.abc import Iterator

import pytest
from source_lines import ROOT, lines_with

SOURCES = [
    each
    for folder in ("packages/*/src", "tools", "bench", "examples")
    for each in sorted(ROOT.glob(f"{folder}/**/*.py"))
    # What runs in a renderer changes that one's modules: it has no other way in.
    if "/scripts/" not in each.as_posix()
]

OURS = {"envoy", "farm", "farm_protocol", "gridmarkets", "http_gate"}


def root_of(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def patched(source: str) -> Iterator[int]:
    """Yield the lines at which an attribute of a module of ours is set."""
    tree = ast.parse(source)
    modules = {
        (each.asname or each.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for each in node.names
        if each.name.partition(".")[0] in OURS
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="setattr"), args=[target, *_]):
                if root_of(target) in modules:
                    yield node.lineno
            case ast.Assign(targets=targets):
                for target in targets:
                    if isinstance(target, ast.Attribute) and root_of(target) in modules:
                        yield node.lineno


def test_nothing_is_put_into_a_module() -> None:
    found = lines_with(patched, SOURCES)
    assert found == [], "give the program a parameter"


@pytest.mark.parametrize(
    "source",
    [
        'import farm.main\nsetattr(farm.main, "Engine", Own)',
        "import farm.runner.claim.run as run\nrun.Results = Own",
    ],
)
def test_a_patch_is_found(source: str) -> None:
    assert list(patched(source)) == [2]
