"""Whatever is misspelt in the files of the farm's own products, a farm does not start with it.

Each of them is copied as a studio's product. Then every field, every name in braces, every name of
a parameter and every value that is no text is changed in turn.
"""

import copy
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from farm.catalogue.definitions import CatalogueError, load_definitions
from farm.products import BUILT_IN, Library
from json_places import with_value

FREE = [
    re.compile(each)
    for each in (
        # Words that a job may write, and names that only the program knows.
        r"\w+\.farm\.yaml (aliases|refused)\.\w+\.[^.]+",
        r"\w+\.farm\.yaml objects\.\w+\.\w+",
        r"\w+\.farm\.yaml drive\.(environment|stems)\.\w+",
        r"program\.yaml plugins\.\w+\.\d+\.environment\.\w+",
    )
]
"""Keys that are a product's own to choose."""
REFERENCE = re.compile(r"\{\{ ?[\w.]*\w|(?<!\{)\{\w+")
NUMBERS = re.compile(r"(?<=\.)\d+(?=\.|$)")


def nodes(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield everything in a file, with its place."""
    yield place, value
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from nodes(each, (*place, key))


def renamed(content: Any, place: tuple[Any, ...]) -> Any:
    """Return a copy in which one key is misspelt."""
    changed = copy.deepcopy(content)
    part = changed
    for key in place[:-1]:
        part = part[key]
    part[f"{place[-1]}x"] = part.pop(place[-1])
    return changed


def mistakes(file: str, content: Any, names: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Yield what is changed, and the content with it; of the items of a list only one of a kind."""
    for place, value in nodes(content):
        where = ".".join(map(str, place))
        if place and isinstance(place[-1], str) and not is_free(file, where):
            yield f"key {NUMBERS.sub('N', where)}", renamed(content, place)
        if isinstance(value, bool):
            yield f"text {NUMBERS.sub('N', where)}", with_value(content, place, "yes")
        elif isinstance(value, int | float):
            yield f"text {NUMBERS.sub('N', where)}", with_value(content, place, str(value))
        elif isinstance(value, str) and is_read(place):
            for match in REFERENCE.finditer(value):
                wrong = value[: match.end()] + "x" + value[match.end() :]
                yield f"reference {where} {match[0]}", with_value(content, place, wrong)
            if value in names and file.endswith(".farm.yaml") and not is_any_text(place):
                yield f"name {where}", with_value(content, place, f"{value}x")


def is_free(file: str, where: str) -> bool:
    return any(each.fullmatch(f"{file} {where}") for each in FREE)


def is_read(place: tuple[Any, ...]) -> bool:
    """Return whether braces in a text are names; in an expression they are repetitions."""
    words = {"description", "pattern", "markers", "marker", "path", "text", "lines", "series"}
    return words.isdisjoint(place)


def is_any_text(place: tuple[Any, ...]) -> bool:
    """Return whether a text is for a program, and only happens to be the name of a parameter."""
    return place[:2] in {("drive", "command"), ("drive", "words")} and place[-1] != "when"


@cache
def parameters(app: str) -> frozenset[str]:
    """Return the names of all parameters of a product."""
    return frozenset(
        each.name
        for product, operation in BUILT_IN.available()
        if product == app
        for each in BUILT_IN.template(f"{app}_{operation}").parameters
    )


@pytest.mark.parametrize("app", BUILT_IN.places)
def test_a_mistake_in_it_is_told_at_the_start(app: str, tmp_path: Path) -> None:
    place = tmp_path / app
    shutil.copytree(BUILT_IN.places[app], place, ignore=shutil.ignore_patterns("scripts"))
    accepted, tried = [], set()
    for path in sorted(place.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        for what, content in mistakes(path.name, yaml.safe_load(text), parameters(app)):
            if (path.name, what) in tried:
                continue
            tried.add((path.name, what))
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
            if not is_refused(tmp_path):
                accepted.append(f"{path.name} {what}")
        path.write_text(text, encoding="utf-8")

    assert accepted == []
    assert not is_refused(tmp_path)  # It is right without a mistake.
    assert len(tried) > 50


def is_refused(folder: Path) -> bool:
    """Return whether a farm with the products of a folder does not start."""
    try:
        load_definitions(None, Library([folder]))
    except CatalogueError:
        return True
    return False
