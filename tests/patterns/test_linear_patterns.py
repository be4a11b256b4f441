"""No regular expression of ours takes longer than its text: names and lines come from strangers."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from farm.products import BUILT_IN
from pumps import slow_text

PACKAGES = Path(__file__).parents[2] / "packages"

# What each function of `re`, or method of a pattern, does as far as time is concerned.
SAME = {"findall": "sub", "finditer": "sub", "split": "sub", "subn": "sub"}
METHODS = {"search", "match", "fullmatch", "sub", *SAME}

MADE_WHILE_RUNNING = {
    # File -> expressions that are no constants, and why no text makes them slow.
    "client/src/gridmarkets/watch_file.py": "the user's own: it is only compiled",
    "farm/src/farm/api/bodies.py": "of our routes: what stands between two slashes",
    "farm/src/farm/products/_drive.py": "of the templates, which are looked at below",
    "farm/src/farm/products/_companion.py": "of the templates, which are looked at below",
    "farm/src/farm/products/_faults.py": "of a product's file, to tell why it cannot be compiled",
    "farm/src/farm/products/_parameters.py": "of the templates, which are looked at below",
    "farm/src/farm/products/blender/scripts/farm_caches.py": "an escaped name, then four digits or"
    " more and constants",
    "farm/src/farm/products/shared/drive.py": "of the templates, which are looked at below",
    "farm/src/farm/products/vray/scene.py": "a name that is escaped, between constants",
    "protocol/src/farm_protocol/patterns.py": "classes of one character, of what Python knows",
    "protocol/src/farm_protocol/text.py": "of one character each, by numbers",
}


def expressions() -> Iterator[tuple[str, str, int, set[str]]]:
    """Yield (where, expression, flags, methods) of all constants in the packages."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in PACKAGES.glob("*/src/**/*.py")}
    used = _methods_by_name(trees.values())
    for path, tree in sorted(trees.items()):
        names = {
            node.value: node.targets[0].id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            where = f"{path.relative_to(PACKAGES)}:{call.lineno}"
            for keyword in call.keywords:
                if keyword.arg == "pattern" and isinstance(keyword.value, ast.Constant):
                    # Of pydantic, whose engine is linear; ours may be used on the same one day.
                    yield where, str(keyword.value.value).replace(r"\z", r"\Z"), 0, {"match"}
            if (function := _function_of_re(call)) is None:
                continue
            first = call.args[0]
            if not isinstance(first, ast.Constant):
                yield where, "", 0, set()
                continue
            methods = {function}
            if function == "compile":
                methods = used.get(names.get(call, ""), set()) or {"search"}
            flags = [each.attr for each in ast.walk(call) if isinstance(each, ast.Attribute)]
            value = sum({getattr(re, each) for each in flags if each.isupper()})
            text = first.value
            assert isinstance(text, str | bytes)
            shown = text if isinstance(text, str) else text.decode("latin-1")
            yield where, shown, value, {SAME.get(each, each) for each in methods}


def _function_of_re(call: ast.Call) -> str | None:
    function = call.func
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return None
    known = function.value.id == "re" and function.attr in {"compile", *METHODS}
    return function.attr if known else None


def _methods_by_name(trees: Iterable[ast.Module]) -> dict[str, set[str]]:
    used: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            if node.attr in METHODS:
                used.setdefault(node.value.id, set()).add(node.attr)
    return used


def of_the_data() -> Iterator[tuple[str, str, int, set[str]]]:
    """Yield the same of what stands in YAML files."""
    for app, operation in BUILT_IN.available():
        template = BUILT_IN.load(app, operation)
        assert template is not None
        symptoms = template.symptoms
        for each in (
            *(symptoms.failed, *symptoms.hopeless),
            *(symptoms.no_licence, *symptoms.warnings),
        ):
            yield template.name, each.pattern, 0, {"search"}
        for lines in [template.drive.lines] if template.drive else []:
            for text in (lines.started, lines.written, lines.writing, lines.progress):
                yield template.name, text, 0, {"search"}
        for parameter in template.parameters:
            yield f"{template.name} {parameter.name}", parameter.pattern, 0, {"fullmatch"}
    for app, program in BUILT_IN.programs.items():
        traces = [trace for found in program.plugins.values() for trace in found]
        looked_for = [each for way in program.version for each in (way.pattern, way.path)]
        looked_for += [each for trace in traces for each in (trace.path, trace.text)]
        for found in filter(None, looked_for):
            yield app, found.pattern, 0, {"search"}
        yield app, program.series.pattern, 0, {"match"}


def all_of_them() -> list[object]:
    """Return each expression once."""
    found: dict[tuple[str, int], tuple[str, set[str]]] = {}
    for where, text, flags, methods in (*expressions(), *of_the_data()):
        if text:
            found.setdefault((text, flags), (where, set()))[1].update(methods)
    return [
        pytest.param(text, flags, sorted(methods), id=where)
        for (text, flags), (where, methods) in found.items()
    ]


@pytest.mark.parametrize(("text", "flags", "methods"), all_of_them())
def test_an_expression_takes_no_longer_than_its_text(
    text: str, flags: int, methods: list[str]
) -> None:
    assert slow_text(re.compile(text, flags), methods) is None


def test_expressions_that_are_made_while_running_are_known() -> None:
    made = {where.partition(":")[0] for where, text, _, _ in expressions() if not text}

    assert made <= set(MADE_WHILE_RUNNING)


@pytest.mark.parametrize(
    ("text", "method"),
    [
        (r"(a+)+b", "search"),
        (r"(#+)([^#]*)\Z", "search"),
        (r"^(\w+\s?)*$", "match"),
        (r"<[^>]+>", "sub"),
        (r"Camera .* does not exist", "search"),
        (r"a.*b.*c", "match"),
    ],
)
def test_slow_ones_are_found(text: str, method: str) -> None:
    """What these tests rest on."""
    assert slow_text(re.compile(text), [method]) is not None
