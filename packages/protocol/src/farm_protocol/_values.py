"""What a value of any shape must be, so that it can be stored and sent on."""

import math

from pydantic import JsonValue


def storable(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return ``values`` as they are.

    Python reads two things as JSON that no other reader takes: half of a character that needs two
    (a lone surrogate), and numbers without an end, such as ``NaN`` and ``1e999``.

    Raises:
        ValueError: there is one of these; names the value.
    """
    for name, value in values.items():
        if not _encodes(name):
            # Shown as it would be written, since it cannot be sent back.
            raise ValueError(f"the name {name!a} is not valid Unicode text")
        if problem := _problem(value):
            raise ValueError(f"'{name}' {problem}")
    return values


def _problem(value: JsonValue) -> str:
    match value:
        case str() if not _encodes(value):
            return "is not valid Unicode text"
        case float() if not math.isfinite(value):
            return "is not a finite number"
        case list():
            return next(filter(None, map(_problem, value)), "")
        case dict():
            if not all(map(_encodes, value)):
                return "has a name that is not valid Unicode text"
            return _problem([*value.values()])
    return ""


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
