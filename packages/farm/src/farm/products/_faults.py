"""What is wrong with a product's files, in plain words: pydantic's own are for programmers."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from farm_protocol.models import fault_text
from pydantic import BaseModel, ValidationError

from farm.products._strict import FORMS

_MOST, _LONGEST = 3, 60
_TYPES = {
    "string_type": "text",
    "bool_type": "true or false",
    **dict.fromkeys(("int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "finite_number"), "a number"),
    **dict.fromkeys(("decimal_type", "decimal_parsing"), "a number"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping"),
}
"""Type of pydantic's error -> what should stand there."""


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
    types = [_TYPES[each["type"]] for each in alternatives if each["type"] in _TYPES]
    if len(types) == len(alternatives):
        return f"{named} must be {_one_of(types)}, not {_shown(alternatives[0]['input'], types)}"
    fault = next(each for each in alternatives if each["type"] not in _TYPES)
    context = fault.get("ctx", {})
    match fault["type"]:
        case "missing":
            return f"{named} is missing. Add it."
        case "extra_forbidden":
            return f"{named} is not a field of this file.{_hint(field, model)}"
        case "literal_error" | "enum":
            return f"{named} must be {context['expected']}."
        case "string_pattern_mismatch":
            form = FORMS.get(context["pattern"], f"text that matches {context['pattern']}")
            return f"{named} cannot be '{fault['input']}'. Write {form}."
        case "pattern_regex":
            return f"{named} is not a regular expression: {_why(fault['input'])}. Correct it."
        case "too_short" | "string_too_short":
            return f"{named} must not be empty. Fill it in."
        case "too_long" | "string_too_long":
            return f"{named} is too long: the maximum is {context['max_length']}. Shorten it."
        case "greater_than":
            return f"{named} must be larger than {context['gt']}."
        case "greater_than_equal":
            return f"{named} must be {context['ge']} or more."
        case "less_than_equal":
            return f"{named} must be {context['le']} or less."
        case "decimal_max_digits" | "decimal_max_places" | "decimal_whole_digits":
            return f"{named} has too many digits. Round it."
        case "union_tag_not_found" | "union_tag_invalid":
            return f"{named} is of no kind that OpenJD knows. Correct its 'type' or 'mode'."
        case _:
            text = fault_text(fault).rstrip(".?")
            return f"{field}: {text}." if field else f"{text[:1].upper()}{text[1:]}."


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
