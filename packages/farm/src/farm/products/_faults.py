"""What is wrong with a product's files, in plain words: pydantic's own are for programmers."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from farm_protocol.faults import KINDS, fault_text
from pydantic import BaseModel, ValidationError

from farm.products._strict import FORMS

_MOST, _LONGEST = 3, 60


def faults(error: ValidationError, content: Any, model: type[BaseModel]) -> str:
    """Return the first few faults of a file as sentences: the field, what is wrong, what to do.

    Parameters:
        content: of the file.
        model: what it should be.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for fault in error.errors(include_url=False):
        missing = fault["type"] in ("missing", "extra_forbidden")
        found.setdefault(_field(fault["loc"], content, missing), []).append(fault)
    told = [_told(field, each, model) for field, each in found.items()]
    return " ".join(told[:_MOST])


def _field(place: Sequence[int | str], content: Any, missing: bool) -> str:
    """Return a field's place in the file, without the names of alternatives that were tried."""
    parts = []
    for index, part in enumerate(place):
        there = isinstance(content, Mapping) and part in content
        if there or (isinstance(content, list) and isinstance(part, int) and part < len(content)):
            content = content[part]
            parts.append(str(part))
        elif missing and index == len(place) - 1:
            parts.append(str(part))
    return ".".join(parts)


def _told(field: str, alternatives: Sequence[Mapping[str, Any]], model: type[BaseModel]) -> str:
    named = f"'{field}'" if field else "The file"
    types = [KINDS[each["type"]] for each in alternatives if each["type"] in KINDS]
    if len(types) == len(alternatives):
        return f"{named} must be {_one_of(types)}, not {_shown(alternatives[0]['input'], types)}"
    fault = next(each for each in alternatives if each["type"] not in KINDS)
    match fault["type"]:
        case "extra_forbidden":
            return f"{named} is not a field of this file.{_hint(field, model)}"
        case "string_pattern_mismatch" if (pattern := fault["ctx"]["pattern"]) in FORMS:
            return f"{named} cannot be '{fault['input']}'. Write {FORMS[pattern]}."
        case "pattern_regex":
            return f"{named} is not a regular expression: {_why(fault['input'])}. Correct it."
        case "union_tag_not_found" | "union_tag_invalid":
            return f"{named} is of no kind that OpenJD knows. Correct its 'type' or 'mode'."
        case _:
            return fault_text(fault, field, subject="The file")


def _one_of(kinds: Sequence[str]) -> str:
    known = dict.fromkeys(kinds)
    if "a number" in known:
        known.pop("a whole number", None)
    return " or ".join(known)


def _shown(value: Any, kinds: Sequence[str]) -> str:
    """Return what stands in a file, and whether quotes are what is wrong."""
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "..."
    if "text" not in kinds:
        return f"{shown}. Write it without quotes." if isinstance(value, str) else f"{shown}."
    return f"{shown}." if isinstance(value, list | dict) else f"{shown}. Write it in quotes."


def _why(pattern: Any) -> str:
    try:
        re.compile(str(pattern))
    except re.error as error:
        return str(error)
    return "it must be text"


def _hint(field: str, model: type[BaseModel]) -> str:
    """Return which field may be meant instead of an unknown one."""
    *above, last = field.split(".")
    models = [model]
    for part in above:
        fields = [
            info
            for each in models
            for name, info in each.model_fields.items()
            if part in (name, info.alias)
        ]
        # Items of a list, and values by name, are of the models above them.
        if fields:
            models = [each for info in fields for each in _models(info.annotation)]
    names = [info.alias or name for each in models for name, info in each.model_fields.items()]
    close = difflib.get_close_matches(last, names, 1)
    if close:
        return f" Did you mean '{close[0]}'?"
    if not names:
        return " Remove it, or correct its name."
    return f" Remove it, or write one of {', '.join(dict.fromkeys(names))}."


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)
