"""Checks that a value of any shape can be stored and sent on.

It may have any shape, but not any size: see `MOST_VALUES` and the constants after it.
"""

import math
from typing import Any

from pydantic import JsonValue

MOST_VALUES = 10_000
"""Of all parameters of a job together, including the items of lists and objects."""

LONGEST_NAME, LONGEST_TEXT = 200, 100_000
DEEPEST = 16


def storable(values: Any) -> Any:
    """Return ``values`` unchanged. Runs before their types are checked: it reports them by name.

    Python's JSON parser accepts two things that others do not: lone surrogates, and non-finite
    numbers such as ``NaN`` and ``1e999``.

    Raises:
        ValueError: one of these was found, or too much of anything; names the value.
    """
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        return values  # the type check reports what is wrong
    left = MOST_VALUES
    for name, value in values.items():
        if len(name) > LONGEST_NAME:
            raise ValueError(f"the name '{name[:40]}...' is longer than {LONGEST_NAME} characters")
        if not _encodes(name):
            # Shown with escapes, since it cannot be sent back.
            raise ValueError(f"the name {name!a} is not valid Unicode text")
        if "\0" in name:
            raise ValueError(f"the name {name!a} contains a NUL character")
        left -= 1 + _count(value, left)
        if left < 0:
            raise ValueError(f"there are more than {MOST_VALUES} values")
        if problem := _problem(value, 1):
            raise ValueError(f"'{name}' {problem}")
    return values


def _count(value: JsonValue, most: int) -> int:
    """Count the values inside of one; once there are too many, return any larger number.

    Without recursion: the depth is checked later.
    """
    count, inside = 0, [value]
    while inside and count <= most:
        match inside.pop():
            case list() as items:
                count += len(items)
                inside += items[: most + 1]
            case dict() as fields:
                count += len(fields)
                inside += [*fields.values()][: most + 1]
    return count


def _problem(value: JsonValue, depth: int) -> str:
    if depth > DEEPEST:
        return f"is nested more than {DEEPEST} levels deep"
    match value:
        case str() if len(value) > LONGEST_TEXT:
            return f"is longer than {LONGEST_TEXT} characters"
        case str() if not _encodes(value):
            return "is not valid Unicode text"
        case str() if "\0" in value:
            return "contains a NUL character"
        case float() if not math.isfinite(value):
            return "is not a finite number"
        case list():
            return next(filter(None, (_problem(each, depth + 1) for each in value)), "")
        case dict():
            names = [str(name) for name in value]
            if not all(map(_encodes, names)):
                return "has a name that is not valid Unicode text"
            if any("\0" in name for name in names):
                return "has a name that contains a NUL character"
            return next(filter(None, (_problem(each, depth + 1) for each in value.values())), "")
    return ""


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
