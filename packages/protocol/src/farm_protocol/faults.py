"""What is wrong with a value, in plain words: pydantic's own are for programmers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

HASH = r"^[0-9a-f]{64}$"
JOB_ID = r"^[0-9a-f]{32}$"
ID = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$"

FORMS: Mapping[str, str] = MappingProxyType(
    {
        HASH: "a hash: 64 digits and letters from a to f",
        JOB_ID: "32 digits and letters from a to f",
        ID: "up to 100 letters, digits, '_' and '-', with a letter or a digit first",
    }
)
"""Regular expression -> what a text that it matches looks like."""

_DATE, _TIME = "a date, such as 2025-01-31", "a time, such as 12:30:00"
_BOTH = "a date and a time, such as 2025-01-31T12:30:00Z"
KINDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("string_type", "string_sub_type"), "text"),
        **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
        **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
        **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
        **dict.fromkeys(("decimal_type", "decimal_parsing"), "a number"),
        **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
        **dict.fromkeys(("dict_type", "mapping_type"), "a mapping"),
        **dict.fromkeys(("model_type", "model_attributes_type", "dataclass_type"), "a mapping"),
        **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), _DATE),
        **dict.fromkeys(("time_type", "time_parsing"), _TIME),
        **dict.fromkeys(
            ("datetime_type", "datetime_parsing", "datetime_object_invalid"),
            _BOTH,
        ),
        **dict.fromkeys(("datetime_from_date_parsing", "timezone_aware"), _BOTH),
        **dict.fromkeys(("byte_size", "byte_size_unit"), "a size, such as 500GB or 2GiB"),
        "path_type": "a path",
        "none_required": "null",
    }
)
"""Type of pydantic's error -> what should stand there."""


def fault_text(fault: Mapping[str, Any], field: str = "", subject: str = "It") -> str:
    """Return what one of pydantic's ``errors()`` says, as sentences: what is wrong, what to do.

    The value itself is not shown: it may be a password.

    Parameters:
        field: the name of what is wrong.
        subject: stands for what has no name.
    """
    named = f"'{field}'" if field else subject
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in KINDS:
        return f"{named} must be {KINDS[kind]}."
    match kind:
        case "value_error":
            return _ours(context.get("error"), field, named)
        case "missing":
            return f"{named} is missing. Add it."
        case "extra_forbidden":
            return f"{named} is not a known field. Remove it, or correct its name."
        case "literal_error" | "enum":
            return f"{named} must be {context['expected']}."
        case "string_pattern_mismatch":
            form = FORMS.get(context["pattern"], f"text that matches {context['pattern']}")
            return f"{named} has the wrong form. Write {form}."
        case "string_unicode":
            return f"{named} is not valid Unicode text. Correct it."
        case "json_invalid":
            reason = context["error"]
            return f"{named} is not valid JSON ({reason}). Correct it."
        case _:
            return _of_limit(kind, context, named)


def _of_limit(kind: str, context: Mapping[str, Any], named: str) -> str:
    """Return what is wrong with a value that is beyond a limit, or is wrong in a rare way."""
    match kind:
        case "too_short" | "string_too_short" if context["min_length"] <= 1:
            return f"{named} must not be empty. Fill it in."
        case "too_short":
            return f"{named} has too few items: the minimum is {context['min_length']}. Add some."
        case "string_too_short":
            return f"{named} is too short: it needs {context['min_length']} characters or more."
        case "too_long" | "string_too_long":
            return f"{named} is too long: the maximum is {context['max_length']}. Shorten it."
        case "greater_than":
            return f"{named} must be larger than {context['gt']}."
        case "greater_than_equal":
            return f"{named} must be {context['ge']} or more."
        case "less_than":
            return f"{named} must be less than {context['lt']}."
        case "less_than_equal":
            return f"{named} must be {context['le']} or less."
        case "multiple_of":
            return f"{named} must be a multiple of {context['multiple_of']}."
        case "int_parsing_size":
            return f"{named} has too many digits. Write a smaller number."
        case "decimal_max_digits" | "decimal_max_places" | "decimal_whole_digits":
            return f"{named} has too many digits. Round it."
        case _:
            return f"{named} is not valid. Correct it."


def first_fault(error: ValidationError) -> str:
    """Return the first fault of an error as sentences that name the field."""
    fault = error.errors(include_url=False, include_input=False)[0]
    return fault_text(fault, ".".join(map(str, fault["loc"])))


def not_json(error: Exception, variables: Mapping[str, str], prefix: str) -> str:
    """Return which setting cannot be read, of an error of `pydantic_settings`, as sentences.

    Parameters:
        error: says which field is wrong only in words, but its cause has the text of the variable.
        variables: of the environment.
        prefix: of the names of the settings' variables, in capitals.
    """
    text = getattr(error.__cause__, "doc", None)
    names = [
        name.upper()
        for name, value in variables.items()
        if value == text and name.upper().startswith(prefix)
    ]
    named = names[0] if names else f"{prefix}..."
    return f'The setting {named} is not valid JSON. Write a list as ["one", "two"].'


def _ours(error: object, field: str, named: str) -> str:
    """Return what an exception of a check of ours says, as a sentence."""
    text = str(error).rstrip(".?") if isinstance(error, ValueError) else ""
    if not text:
        return f"{named} is not valid. Correct it."
    return f"{field}: {text}." if field else f"{text[:1].upper()}{text[1:]}."
