"""Ways to the values of a JSON body, to exchange them one by one."""

import copy
from collections.abc import Iterator
from typing import Any


def places(body: Any, *way: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value that holds no others: names and indexes, outermost first."""
    if isinstance(body, dict) and body:
        for name, value in body.items():
            yield from places(value, *way, name)
    elif isinstance(body, list) and body:
        for index, value in enumerate(body):
            yield from places(value, *way, index)
    else:
        yield way


def with_value(body: Any, way: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of ``body`` with another value at the end of ``way``."""
    changed = copy.deepcopy(body)
    inside = changed
    for step in way[:-1]:
        inside = inside[step]
    inside[way[-1]] = value
    return changed
